"""Power sampling: whole texts from a sharpened model, by chains that grow block by block."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from gpt2sdk import Session, Step, strategy
from gpt2sdk_steering.chains import Chains, rows_of_chains
from gpt2sdk_steering.conversion import PotentialOption
from gpt2sdk_steering.metropolis_hastings import NumMoves
from gpt2sdk_steering.potential import PotentialRun
from gpt2sdk_steering.smc import Limit

Alpha = Annotated[
    float, Field(gt=0.0, description="The power; above 1 makes likely texts likelier still.")
]
BlockSize = Annotated[
    int, Field(ge=1, description="Tokens that a text grows by before it is moved again.")
]


@strategy(hold=None, chooses=False, rows_per_prompt=rows_of_chains)
def power_sampling(
    session: Session,
    *,
    alpha: Alpha = 4.0,
    num_moves: NumMoves = 10,
    block_size: BlockSize = 192,
    potential: PotentialOption = None,
    at_limit: Limit = "cut",
) -> Iterator[Step]:
    """Draw whole texts with probabilities `p(text) ** alpha`, normalised.

    A temperature of `1 / alpha` sharpens each token by itself, which favours tokens that are
    likely now; this favours those that likely texts go through. Each completion is the end of a
    chain of its own: the text grows by a block, drawn at that temperature, is then so many times
    cut at any token and regrown, and is accepted or refused with the ratio of what the
    temperature got wrong; then it grows by the next block. More moves come nearer to the target.

    A `potential` multiplies it. A completion's `score` is `alpha * log p(text)` and its log
    weight.

    Karan and Du, "Reasoning with sampling: your base model is smarter than you think", 2025,
    arXiv:2510.14901, with its power, number of moves and block. As there, texts are cut at
    `max_new_tokens`. Where texts end early, the ratio counts in how many places each could be cut.
    """
    run = PotentialRun() if potential is None else potential.start(session)
    chains = Chains(session, run, alpha, at_limit)
    longest = max(row.prompt.max_new_tokens for row in session.rows.records)
    number = 0
    for length in range(block_size, longest + block_size, block_size):
        yield from chains.extend(length)
        for _ in range(num_moves):
            yield from chains.move(number, length)
            number += 1
        chains.release(length)
