"""A poll: answers that completions give, with the weight of those that give them."""

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from gpt2sdk import OptionError

Answer = Annotated[
    Callable[[str], Hashable | None] | None,
    Field(
        description="Function of a completion's text that returns its answer, any hashable value, "
        "or None where it has none; by default the whole text, without blanks around it."
    ),
]


def answer_of(function: Callable[[str], Hashable | None] | None, text: str) -> Hashable | None:
    """Return the answer in a text; a text that is empty but for blanks has none by itself.

    Raises:
        OptionError: The function returned what cannot be compared with other answers.

    >>> answer_of(None, " 42 "), answer_of(len, "42")
    ('42', 2)
    """
    if function is None:
        return text.strip() or None
    answer = function(text)
    if not isinstance(answer, Hashable):
        raise OptionError(
            f"answer returned {answer!r} for {text!r}: expected a value that is hashable, such as "
            "a text or a number, or None",
            name="answer",
            value=answer,
            expected="a hashable value, or None",
        )
    return answer


@dataclass
class Poll:
    """The votes of one prompt.

    Attributes:
        weights: What each answer has, in the order in which they were first given.
        votes: How many there were.

    Example:
        >>> poll = Poll()
        >>> for answer in ("8", "7", "8", None):
        ...     poll.vote(answer)
        >>> poll.ranking, round(poll.share("8"), 3), poll.leads
        (['8', '7'], 0.667, (2.0, 1.0))
    """

    weights: dict[Hashable, float] = field(default_factory=dict)
    votes: int = 0

    def vote(self, answer: Hashable | None, weight: float = 1.0) -> None:
        """Take a vote; who has no answer has none."""
        if answer is not None:
            self.weights[answer] = self.weights.get(answer, 0.0) + weight
            self.votes += 1

    @property
    def ranking(self) -> list[Hashable]:
        """The answers, that with most votes first; on ties the one that came first."""
        return sorted(self.weights, key=lambda answer: -self.weights[answer])

    @property
    def leads(self) -> tuple[float, float]:
        """The weights of the first two answers; 0 where there are less."""
        first, second, *_ = *(self.weights[each] for each in self.ranking), 0.0, 0.0
        return first, second

    def is_settled(self, majority: float) -> bool:
        """Whether an answer has such a share of the votes, of which there have to be two."""
        return self.votes > 1 and self.share(self.ranking[0]) >= majority

    def share(self, answer: Hashable) -> float:
        """Return an answer's part of all votes; 0 where there are none."""
        total = math.fsum(self.weights.values())
        return self.weights.get(answer, 0.0) / total if total else 0.0


def beta_confidence(first: int, second: int) -> float:
    """Return how sure it is that the first of two answers stays ahead, after so many votes.

    The probability that `p > 1/2` where `p`, the chance of a vote for the first, is distributed as
    `Beta(first + 1, second + 1)`, its posterior under a uniform prior. It equals the probability
    of at most `first` heads in `first + second + 1` tosses.

    >>> beta_confidence(3, 0), beta_confidence(4, 0), beta_confidence(1, 1)
    (0.9375, 0.96875, 0.5)
    """
    tosses = first + second + 1
    return math.fsum(math.comb(tosses, heads) / 2**tosses for heads in range(first + 1))
