"""Best of n: several completions are drawn, and the ones with the best scores returned."""

from collections.abc import Callable, Iterator
from typing import Annotated

import torch
from pydantic import Field

from gpt2sdk import COUNT_RULE, Session, Step, strategy
from gpt2sdk_strategies.judgement import number
from gpt2sdk_strategies.siblings import complete, leave, sound, spread, taken
from gpt2sdk_strategies.wanted import check_wanted

BestOf = Annotated[
    int,
    COUNT_RULE,
    Field(ge=1, description="Completions drawn for each prompt."),
]
Scorer = Annotated[
    Callable[[str], float] | None,
    Field(
        description="Function of a completion's text that says how good it is; by default the "
        "mean log-probability of its tokens counts."
    ),
]


@strategy(hold=None)
def best_of_n(session: Session, *, best_of: BestOf = 4, scorer: Scorer = None) -> Iterator[Step]:
    """Draw `best_of` completions of each prompt, and return the best `num_return_sequences`.

    `scorer(text)` is given a completion's text, as the result would have it, and returns a finite
    number; higher is better. Without a scorer it is `mean_i log p(token_i)` in nats, with the
    model's own probabilities, before processors; an end token counts. The number is the
    completion's `score`; on ties the one drawn first comes first.

    With a reward model as scorer this is best-of-n sampling (Stiennon et al., "Learning to
    summarize from human feedback", 2020, arXiv:2009.01325).

    Raises:
        OptionError: More completions are asked for than are drawn, or the scorer returns no finite
            number.
    """
    check_wanted(session, best_of, "best_of", "completions are drawn")
    spread(session, best_of)
    sums = torch.zeros(len(session.rows), dtype=torch.float64, device=session.device)
    while session.running:
        logits = session.next_logits()
        step = session.append(session.choose(session.process(logits)))
        sums += taken(logits, step.tokens)
        if done := complete(session):
            judged = [seat for _, rows in done for seat in sound(rows)]
            if scorer is None:
                lengths = session.rows.lengths - session.rows.prompt_lengths
                scores = (sums / lengths.clamp(min=1))[judged].tolist()
            else:
                texts = [each.text for each in session.completions(judged)]
                scores = [number(scorer, text, "scorer") for text in texts]
            session.submit(judged, scores)
            sums = sums[leave(session, done)]
        yield step
