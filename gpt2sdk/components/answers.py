"""Answers that are no text: a decision among options, and the distribution of the next token."""

import math
from dataclasses import dataclass
from typing import Literal

Normalization = Literal["sum", "token", "byte"]
"""By what the log-probabilities of options are compared: as they are, per token, per byte."""


@dataclass(frozen=True, slots=True)
class Decision:
    """How likely each of several options is to follow a prompt.

    Attributes:
        options: The options, as texts.
        logprobs: The log-probability of each whole option behind the prompt (natural log).
        token_counts: How many tokens each of them has.
        byte_counts: How many UTF-8 bytes.
        normalization: What options are compared by.
        prompt_index: The prompt they follow.

    Example:
        >>> logprobs = math.log(0.3), math.log(0.1)
        >>> decision = Decision((" yes", " by no means"), logprobs, (1, 3), (4, 12))
        >>> [round(each, 3) for each in decision.probabilities], decision.best
        ([0.75, 0.25], ' yes')
        >>> per_token = Decision(decision.options, logprobs, (1, 3), (4, 12), "token")
        >>> round(math.exp(per_token.scores[1]), 3), per_token.best
        (0.464, ' by no means')
    """

    options: tuple[str, ...]
    logprobs: tuple[float, ...]
    token_counts: tuple[int, ...]
    byte_counts: tuple[int, ...]
    normalization: Normalization = "sum"
    prompt_index: int = 0

    @property
    def scores(self) -> tuple[float, ...]:
        """What the options are compared by: log-probabilities, or their means."""
        ones = (1,) * len(self.options)
        counts = {"sum": ones, "token": self.token_counts, "byte": self.byte_counts}
        lengths = counts[self.normalization]
        return tuple(each / count for each, count in zip(self.logprobs, lengths, strict=True))

    @property
    def probabilities(self) -> tuple[float, ...]:
        """The softmax of the scores: how likely each option is, if it is one of these."""
        scores = self.scores
        top = max(scores)
        weights = [math.exp(score - top) for score in scores]
        total = math.fsum(weights)
        return tuple(weight / total for weight in weights)

    @property
    def index(self) -> int:
        """Which option is the likeliest; the first of those that are equally likely."""
        return self.scores.index(max(self.scores))

    @property
    def best(self) -> str:
        """The likeliest option."""
        return self.options[self.index]


@dataclass(frozen=True, slots=True)
class NextToken:
    """The distribution of a prompt's next token: its likeliest tokens, and how wide it is.

    Attributes:
        tokens: The likeliest tokens, best first, without those that cannot come.
        texts: The text of each by itself; bytes that are no whole character are U+FFFD.
        logprobs: The log-probability of each (natural log), among all tokens.
        support: How many tokens can come at all.
        entropy: The entropy of the whole distribution, in nats: 0 to `log(support)`.
        prompt_index: The prompt it follows.

    Example:
        >>> heads = NextToken((4, 7), ("to", "be"), (math.log(0.75), math.log(0.25)), 2, 0.56)
        >>> [round(each, 2) for each in heads.probabilities], heads.text
        ([0.75, 0.25], 'to')
    """

    tokens: tuple[int, ...]
    texts: tuple[str, ...]
    logprobs: tuple[float, ...]
    support: int
    entropy: float
    prompt_index: int = 0

    @property
    def probabilities(self) -> tuple[float, ...]:
        """The probability of each token."""
        return tuple(map(math.exp, self.logprobs))

    @property
    def text(self) -> str:
        """The text of the likeliest token."""
        return self.texts[0]
