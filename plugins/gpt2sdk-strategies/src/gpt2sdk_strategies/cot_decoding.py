"""CoT-decoding: branches at the first token, each followed greedily, and judged by their margin."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Annotated

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from gpt2sdk import COUNT_RULE, Logits, Session, Step, strategy
from gpt2sdk_strategies.poll import Poll
from gpt2sdk_strategies.siblings import complete, leave, sound
from gpt2sdk_strategies.wanted import check_wanted

NumBranches = Annotated[
    int,
    COUNT_RULE,
    Field(ge=1, description="Likeliest first tokens that are followed, each in a branch."),
]
Span = Annotated[
    Callable[[str], str | None] | None,
    Field(
        description="Function of a completion's text that returns the part of it that is the "
        "answer, or None where there is none; by default the whole text."
    ),
]
Aggregate = Annotated[
    bool, Field(description="Add up the margins of branches with the same answer.")
]


@dataclass
class AnswerPath:
    """One branch.

    Attributes:
        margins: By how much the likeliest token was likelier than the next, at each token's place.
        starts: How many characters were written before each token.
    """

    margins: list[float] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)

    def margin(self, text: str, answer: str) -> float:
        """Return the mean margin of the tokens that the answer's last occurrence is made of.

        An answer that does not stand in the text as it is, is the whole text.

        >>> branch = AnswerPath([0.5, 0.1, 0.9], [0, 2, 4])  # the tokens `so`, ` 4` and `2.`
        >>> branch.margin("so 42.", "42"), branch.margin("so 42.", "forty-two")
        (0.5, 0.5)
        """
        begin = text.rfind(answer)
        end = begin + len(answer)
        ends = [*self.starts[1:], len(text)]
        inside = [
            margin
            for margin, start, stop in zip(self.margins, self.starts, ends, strict=True)
            if begin >= 0 and start < end and (stop > begin or start >= begin)
        ]
        margins = inside or self.margins
        return sum(margins) / len(margins)


@strategy(hold=None, rewinds=False, draws=False)
def cot_decoding(
    session: Session,
    *,
    num_branches: NumBranches = 10,
    answer: Span = None,
    aggregate: Aggregate = False,
) -> Iterator[Step]:
    """Follow each of the likeliest first tokens greedily, and return the surest completion.

    A token's margin is the probability of the likeliest token at its place less that of the next
    likeliest, in the processed distribution. A completion's `score` is the mean margin of the
    tokens of its answer, from 0 to 1. `answer(text)` returns the part of the text that is the
    answer, as it stands there, since its tokens are looked for; without such a function it is the
    whole text. A completion for which it returns `None` scores -1. With `aggregate` the scores of
    completions with the same answer are added up; the surest completion of each answer is returned
    with the sum, the largest sum first.

    What of the first token is ruled out begins no branch, so there may be fewer than
    `num_branches`.

    Wang and Zhou, "Chain-of-thought reasoning without prompting", 2024, arXiv:2402.10200.

    Raises:
        OptionError: More completions are asked for than there are branches.
    """
    check_wanted(session, num_branches, "num_branches", "branches are followed")
    logits = session.process(session.next_logits())
    values, found = logits.topk(min(num_branches, logits.shape[1]))
    parents, ranks = values.isfinite().nonzero(as_tuple=True)
    tokens = found[parents, ranks]
    branches = [AnswerPath([each], [0]) for each in margins(logits[parents]).tolist()]
    session.fork(parents)
    step = session.append(tokens)
    branches = _hand_in(session, branches, answer, aggregate=aggregate)
    yield step
    while session.running:
        lengths = [len(text) for text in session.texts()]
        logits = session.process(session.next_logits())
        step = session.append(logits.argmax(-1))
        gains = margins(logits).tolist()
        for branch, token, gain, start in zip(branches, step.tokens, gains, lengths, strict=True):
            if token >= 0:
                branch.margins.append(gain)
                branch.starts.append(start)
        branches = _hand_in(session, branches, answer, aggregate=aggregate)
        yield step


def _hand_in(
    session: Session,
    branches: Sequence[AnswerPath],
    answer: Callable[[str], str | None] | None,
    *,
    aggregate: bool,
) -> list[AnswerPath]:
    """Submit and drop the prompts whose branches have all ended; return what is left."""
    done = complete(session)
    for _, rows in done:
        poll, best = Poll(), dict[Hashable, tuple[float, int]]()
        seats = sound(rows)
        for seat, each in zip(seats, session.completions(seats), strict=True):
            said = each.text if answer is None else answer(each.text)
            margin = -1.0 if said is None else branches[seat].margin(each.text, said)
            key = said.strip() if aggregate and said is not None else seat
            poll.vote(key, margin)
            best[key] = max(best.get(key, (-inf, 0)), (margin, -seat))
        scores = [poll.weights[key] for key in poll.ranking]
        session.submit([-best[key][1] for key in poll.ranking], scores)
    return [branches[seat] for seat in leave(session, done)]


def margins(logits: Logits) -> Float[Tensor, " rows"]:
    """Return by how much each row's likeliest token is likelier than the next.

    >>> import torch
    >>> margins(torch.tensor([[0.2, 0.7, 0.1], [0.0, 1.0, 0.0]]).log())
    tensor([0.5000, 1.0000])
    """
    top = logits.softmax(-1).topk(min(2, logits.shape[1])).values
    return top[:, 0] - top[:, 1:].sum(-1)
