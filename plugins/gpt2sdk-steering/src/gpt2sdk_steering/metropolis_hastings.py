"""Metropolis-Hastings: texts by second thoughts."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from gpt2sdk import COUNT_RULE, Session, Step, strategy
from gpt2sdk_steering.chains import Chains, rows_of_chains
from gpt2sdk_steering.conversion import PotentialOption
from gpt2sdk_steering.potential import PotentialRun
from gpt2sdk_steering.smc import Limit

NumMoves = Annotated[
    int,
    COUNT_RULE,
    Field(ge=0, description="How often each text is cut, regrown, and accepted or refused."),
]


@strategy(hold=None, chooses=False, rows_per_prompt=rows_of_chains)
def metropolis_hastings(
    session: Session,
    *,
    potential: PotentialOption = None,
    num_moves: NumMoves = 50,
    at_limit: Limit = "end",
) -> Iterator[Step]:
    """Draw texts from the model times a potential, by chains of second thoughts.

    The target is that of `smc`. Each completion is the end of a chain of its own: a text is
    written, then so many times cut at any token and regrown, and the new text is taken with
    probability

    ```text
    min(1, exp(new weight - old weight) * old length / new length)
    ```

    Weights are those of the potential; lengths count, since a text of `n` tokens can be cut in
    `n` places. A chain's state is distributed as the target after many moves; it needs no more rows
    than completions, and no prefix weights.

    A completion's `score` is the logarithm of `p(text) * weight`, which is not normalised. A chain
    that never found a text with weight gives no completion; if none did, the prompt has the text
    that came farthest, with `finish_reason="zero_weight"` and no score.

    Metropolis et al., 1953, doi:10.1063/1.1699114; Hastings, 1970, doi:10.1093/biomet/57.1.97.
    """
    run = PotentialRun() if potential is None else potential.start(session)
    chains = Chains(session, run, 1.0, at_limit)
    longest = max(row.prompt.max_new_tokens for row in session.rows.records)
    yield from chains.extend(longest)
    for number in range(num_moves):
        yield from chains.move(number, longest)
    chains.release(longest)
