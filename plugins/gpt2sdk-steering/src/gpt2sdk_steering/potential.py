"""Potentials: log weights of texts, and how they are multiplied, tempered and normalised."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from pydantic_core import CoreSchema, core_schema
from torch import Tensor
from typing_extensions import override

from gpt2sdk import Logits, Rows, Session, log_normalizer
from gpt2sdk_steering.continuation import Continuation, continuations

Weights = Float[Tensor, " vocab"]
"""A log weight for each token."""


@dataclass(frozen=True, slots=True)
class PotentialRun:
    """A potential at work in one session.

    A row's log weight is the sum of what `next` says of its tokens, and of what `weigh` says of
    the row as it stands.

    Attributes:
        next: `(logprobs, rows) -> log weights` that each next token of these rows multiplies in,
            given the log-probabilities of their next tokens; `None` where nothing is known of
            tokens before they are written.
        weigh: `rows -> log weights` of these rows besides; `None` where they are 0.
    """

    next: Callable[[Logits, Rows], Logits] | None = None
    weigh: Callable[[Rows], list[float]] | None = None


class Potential:
    """Log weights of continuations: strategies draw texts with `p(text) * exp(complete(text))`.

    Override `prefix` and `complete`. What matters in the end is `complete`; a good `prefix` says
    early what will become of a text, so that particles go where the weight is. All weights are
    logarithms: 0 changes nothing, `-inf` rules out.

    Promises, which `check_potential` checks:

    - A prefix of `-inf` stays so: whatever continues it has `-inf` as well.
    - `next`, where it is overridden, has `prefix(x + t) - prefix(x)` for each token `t`, and
      `complete(x + t) - prefix(x)` for end tokens. Then tokens are drawn with these weights, not
      weighed afterwards, which needs far fewer particles.
    - The batched forms give what the single ones give. Override them where many texts are weighed
      in one call, as by a classifier.

    `p * q` multiplies weights, `p ** beta` raises them to a power, and `p.normalize()` lets those
    of all next tokens add up to one.

    Loula et al., "Syntactic and semantic control of large language models via sequential Monte
    Carlo", 2025, arXiv:2504.13139.

    Example:
        >>> class Vowels(Potential):
        ...     def prefix(self, continuation):
        ...         return float(sum(letter in "aeiou" for letter in continuation.text))
        >>> from gpt2sdk import Prompt
        >>> from gpt2sdk.testing import Letters
        >>> king = Continuation("king", (10, 8, 13, 6), Prompt(0, (0,)), Letters())
        >>> Vowels().complete(king), (Vowels() ** 0.5 * Vowels()).complete(king)
        (1.0, 1.5)
    """

    def prefix(self, continuation: Continuation) -> float:
        """The log weight of an unfinished continuation, the empty one included; 0 by default."""
        return 0.0

    def complete(self, continuation: Continuation) -> float:
        """The log weight of a finished continuation; by default that of a prefix."""
        return self.prefix(continuation)

    def next(self, continuation: Continuation) -> Weights:
        """The log weight that each next token multiplies in, end tokens included."""
        message = f"{self!r} does not override next"
        raise NotImplementedError(message)

    def batch_prefix(self, some: Sequence[Continuation]) -> list[float]:
        """`prefix` of each of some continuations."""
        return [self.prefix(each) for each in some]

    def batch_complete(self, some: Sequence[Continuation]) -> list[float]:
        """`complete` of each of some continuations."""
        return [self.complete(each) for each in some]

    def batch_next(self, some: Sequence[Continuation]) -> Logits:
        """`next` of each of some continuations, stacked."""
        return torch.stack([self.next(each) for each in some])

    @property
    def knows_next(self) -> bool:
        """Whether the log weights of all next tokens can be had."""
        kind = type(self)
        return (kind.next, kind.batch_next) != (Potential.next, Potential.batch_next)

    @property
    def knows_texts(self) -> bool:
        """Whether it weighs continuations by themselves, and not only rows of a session."""
        silent = all(
            getattr(type(self), name) is getattr(Potential, name)
            for name in ("prefix", "complete", "batch_prefix", "batch_complete")
        )
        return not silent or type(self).start is Potential.start

    def start(self, session: Session) -> PotentialRun:
        """Begin a session: return what weighs rows there.

        Override it, instead of all else, where weights need more than what is written: memory, a
        mirror, or the model's logits.
        """
        if self.knows_next:
            return _stepwise(self, session)
        return PotentialRun(weigh=lambda rows: _weights(self, session, rows))

    def normalize(self) -> "Potential":
        """Return it with the weights of all next tokens adding up to one, at every prefix.

        Raises:
            TypeError: Nothing is known of next tokens.
        """
        return Normalized(self)

    def __mul__(self, other: "Potential") -> "Potential":
        return Product((self, other))

    def __pow__(self, beta: float) -> "Potential":
        return Power(self, beta)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> CoreSchema:
        return core_schema.is_instance_schema(cls)


@dataclass(frozen=True)
class Product(Potential):
    """The product of potentials; `-inf` of one rules out.

    Attributes:
        factors: What is multiplied.
    """

    factors: tuple[Potential, ...]

    @override
    def prefix(self, continuation: Continuation) -> float:
        return math.fsum(each.prefix(continuation) for each in self.factors)

    @override
    def complete(self, continuation: Continuation) -> float:
        return math.fsum(each.complete(continuation) for each in self.factors)

    @override
    def next(self, continuation: Continuation) -> Weights:
        return torch.stack([each.next(continuation) for each in self.factors]).sum(0)

    @override
    def batch_prefix(self, some: Sequence[Continuation]) -> list[float]:
        return _sums([each.batch_prefix(some) for each in self.factors])

    @override
    def batch_complete(self, some: Sequence[Continuation]) -> list[float]:
        return _sums([each.batch_complete(some) for each in self.factors])

    @property
    @override
    def knows_next(self) -> bool:
        return all(each.knows_next for each in self.factors)

    @property
    @override
    def knows_texts(self) -> bool:
        return all(each.knows_texts for each in self.factors)

    @override
    def start(self, session: Session) -> PotentialRun:
        runs = [each.start(session) for each in self.factors]
        nexts = [run.next for run in runs if run.next is not None]
        weighs = [run.weigh for run in runs if run.weigh is not None]
        return PotentialRun(
            (lambda logits, rows: torch.stack([each(logits, rows) for each in nexts]).sum(0))
            if nexts
            else None,
            (lambda rows: _sums([each(rows) for each in weighs])) if weighs else None,
        )


@dataclass(frozen=True)
class Power(Potential):
    """A potential raised to a power: log weights times `beta`; what is ruled out stays out.

    Attributes:
        base: The potential.
        beta: The power, 0 or more; 0 leaves only what is ruled out.
    """

    base: Potential
    beta: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.beta < float("inf"):
            message = f"a potential is raised to a power of 0 or more; got {self.beta!r}"
            raise ValueError(message)

    @override
    def prefix(self, continuation: Continuation) -> float:
        return self._of(self.base.prefix(continuation))

    @override
    def complete(self, continuation: Continuation) -> float:
        return self._of(self.base.complete(continuation))

    @override
    def next(self, continuation: Continuation) -> Weights:
        return self._of_all(self.base.next(continuation))

    @override
    def batch_prefix(self, some: Sequence[Continuation]) -> list[float]:
        return [self._of(each) for each in self.base.batch_prefix(some)]

    @override
    def batch_complete(self, some: Sequence[Continuation]) -> list[float]:
        return [self._of(each) for each in self.base.batch_complete(some)]

    @property
    @override
    def knows_next(self) -> bool:
        return self.base.knows_next

    @property
    @override
    def knows_texts(self) -> bool:
        return self.base.knows_texts

    @override
    def start(self, session: Session) -> PotentialRun:
        after, weigh = (run := self.base.start(session)).next, run.weigh
        return PotentialRun(
            None if after is None else lambda logits, rows: self._of_all(after(logits, rows)),
            None if weigh is None else lambda rows: [self._of(each) for each in weigh(rows)],
        )

    def _of(self, weight: float) -> float:
        return weight if weight == -torch.inf else self.beta * weight

    def _of_all(self, weights: Tensor) -> Tensor:
        return (self.beta * weights).where(~weights.isneginf(), -torch.inf)


@dataclass(frozen=True)
class Normalized(Potential):
    """A potential whose weights of next tokens add up to one at every prefix.

    `next(x)[t] - log sum_u exp(next(x)[u])`, and `prefix(x)` is the sum of these over the tokens
    of `x`: with a language model's log-probabilities it is the model itself, and of a product of
    models it is the local product, which a chain of processors would draw from.

    Attributes:
        base: The potential.
    """

    base: Potential

    def __post_init__(self) -> None:
        if type(self.base).start is Potential.start and not self.base.knows_next:
            message = f"{self.base!r} cannot be normalized: it does not override next"
            raise TypeError(message)

    @override
    def prefix(self, continuation: Continuation) -> float:
        tokens = continuation.tokens
        steps = zip(continuation.prefixes(), tokens, strict=True)
        return math.fsum(float(self.next(each)[token]) for each, token in steps)

    @override
    def next(self, continuation: Continuation) -> Weights:
        return _normalized(self.base.next(continuation)[None])[0]

    @property
    @override
    def knows_texts(self) -> bool:
        return self.base.knows_next

    @override
    def start(self, session: Session) -> PotentialRun:
        after = self.base.start(session).next
        if after is None:
            message = f"{self.base!r} cannot be normalized: it says nothing of next tokens"
            raise TypeError(message)
        return PotentialRun(lambda logits, rows: _normalized(after(logits, rows)))


def _normalized(weights: Logits) -> Logits:
    """Log-softmax of each row; one that is ruled out altogether stays so."""
    total = log_normalizer(weights)[:, None]
    return weights - total.masked_fill(total.isneginf(), 0.0)


def _sums(columns: Sequence[Sequence[float]]) -> list[float]:
    return [math.fsum(values) for values in zip(*columns, strict=True)]


def _weights(potential: Potential, session: Session, rows: Rows) -> list[float]:
    """`complete` of the finished ones of these rows, `prefix` of the others."""
    some = continuations(session, rows)
    over = [reason is not None for reason in rows.finish_reason]
    done = [each for each, end in zip(some, over, strict=True) if end]
    growing = [each for each, end in zip(some, over, strict=True) if not end]
    ended = iter(potential.batch_complete(done) if done else [])
    unended = iter(potential.batch_prefix(growing) if growing else [])
    return [next(ended) if end else next(unended) for end in over]


def _stepwise(potential: Potential, session: Session) -> PotentialRun:
    """Weigh next tokens; a row besides for what its first prefix has, and an end by no token."""

    def after(logits: Logits, rows: Rows) -> Logits:
        return potential.batch_next(continuations(session, rows)).to(logits)

    def weigh(rows: Rows) -> list[float]:
        prompts = {row.prompt: 0.0 for row in rows.records}
        empty = [Continuation("", (), prompt, session.vocabulary) for prompt in prompts]
        first = dict(zip(prompts, potential.batch_prefix(empty), strict=True))
        weights = [first[row.prompt] for row in rows.records]
        cut = [at for at, reason in enumerate(rows.finish_reason) if _cut(reason)]
        if cut:
            some = continuations(session, rows.select(cut))
            ends, starts = potential.batch_complete(some), potential.batch_prefix(some)
            for at, end, start in zip(cut, ends, starts, strict=True):
                weights[at] += end - start if end > -torch.inf else end
        return weights

    return PotentialRun(after, weigh)


def _cut(reason: str | None) -> bool:
    """Whether a row ended by something else than an end token, whose weight `next` has."""
    return reason not in {None, "end_token"}
