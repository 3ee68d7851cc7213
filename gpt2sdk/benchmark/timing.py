"""Generators timed in turns: tokens per second, the first token, and where a step's time goes."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from gpt2sdk.benchmark.case import GREEDY, TimedCase
from gpt2sdk.benchmark.limits import memory_of, product_rate, read_seconds
from gpt2sdk.benchmark.turns import Spread, take_turns
from gpt2sdk.benchmark.work import work_of
from gpt2sdk.generator.generator import Generator


@dataclass(frozen=True, slots=True)
class TimedTurn:
    """What one turn of one engine at one case took, in seconds.

    Attributes:
        read: A plain read of the bytes that a pass reads which adds a token to each row.
        read_rate: How many bytes a second that was.
        product: The multiplications with weights of the first pass, at the rate of torch's own
            matrix product in the type in which the model computes.
        first_pass: The model alone, reading the prompts.
        later_pass: The model alone, adding a token to each row; 0 where there is one new token.
        greedy: A whole greedy call.
        options: A whole call with the options that were given; `None` where none were.
    """

    read: float
    read_rate: float
    product: float
    first_pass: float
    later_pass: float
    greedy: float
    options: float | None


@dataclass(frozen=True, slots=True)
class Timing:
    """One engine at one case, over all rounds.

    Attributes:
        engine: Its name.
        case: What it did.
        turns: What each round took.
        reference: What the first engine took, round by round.
    """

    engine: str
    case: TimedCase
    turns: Sequence[TimedTurn]
    reference: Sequence[TimedTurn]

    @property
    def tokens_per_second(self) -> Spread:
        """New tokens of all rows over the time of a whole greedy call."""
        return Spread.of([self.case.rows * self.case.new / turn.greedy for turn in self.turns])

    @property
    def read_rate(self) -> float:
        """Bytes per second of the plain read, the median; what fits a cache is read faster."""
        return Spread.of([turn.read_rate for turn in self.turns]).median

    @property
    def prefill(self) -> Spread:
        """Prompt tokens per second of the first pass."""
        return Spread.of([self.case.rows * self.case.prompt / t.first_pass for t in self.turns])

    @property
    def times(self) -> Spread:
        """How many times as fast as the first engine's a greedy call is, pair by pair."""
        reference, mine = ([t.greedy for t in turns] for turns in (self.reference, self.turns))
        return Spread.of_ratios(reference, mine)

    @property
    def share_of_read(self) -> Spread | None:
        """A plain read over a later pass; 1 is the limit while memory is what bounds it."""
        if self.case.new == 1:
            return None
        return Spread.of_ratios([t.read for t in self.turns], [t.later_pass for t in self.turns])

    @property
    def share_of_product(self) -> Spread:
        """The matrix product of torch over the first pass, pair by pair."""
        return Spread.of_ratios([t.product for t in self.turns], [t.first_pass for t in self.turns])

    def budget(self) -> dict[str, float]:
        """Return where the time of a later step goes, in seconds; medians, which add up.

        `read` is the plain read, `pass` what the model takes beyond it, `loop` what a greedy call
        takes beyond the model's passes, and `options` what the options take beyond that. Noise may
        make a small part negative.
        """
        steps = self.case.new - 1
        if not steps:
            return {}
        parts = {
            "read": [turn.read for turn in self.turns],
            "pass": [turn.later_pass - turn.read for turn in self.turns],
            "loop": [
                (turn.greedy - turn.first_pass) / steps - turn.later_pass for turn in self.turns
            ],
        }
        options = [(t.options - t.greedy) / steps for t in self.turns if t.options is not None]
        if options:
            parts["options"] = options
        return {part: Spread.of(seconds).median for part, seconds in parts.items()}

    def as_dict(self) -> dict[str, object]:
        """Return it as JSON has it: spreads as `median`, `low` and `high`, times in seconds."""
        found: dict[str, object] = {
            "engine": self.engine,
            "rows": self.case.rows,
            "prompt": self.case.prompt,
            "new": self.case.new,
            "rounds": len(self.turns),
            "tokens_per_second": self.tokens_per_second.as_dict(),
            "times_first": self.times.as_dict(),
            "prefill_tokens_per_second": self.prefill.as_dict(),
            "share_of_product": self.share_of_product.as_dict(),
            "call_seconds": Spread.of([turn.greedy for turn in self.turns]).as_dict(),
        }
        if (share := self.share_of_read) is not None:
            found["share_of_read"] = share.as_dict()
            found["read_bytes_per_second"] = self.read_rate
            found["step_seconds"] = Spread.of([turn.later_pass for turn in self.turns]).as_dict()
            found["budget_seconds"] = self.budget()
        return found


def compare(
    engines: Mapping[str, Generator],
    cases: Sequence[TimedCase],
    *,
    options: Mapping[str, object] | None = None,
    rounds: int,
    seconds: float,
) -> list[Timing]:
    """Let generators take turns at cases; each is warmed up before at each.

    Args:
        engines: Generators by name; the first one is what the others are compared with.
        cases: What they do.
        options: Of a further call in each turn; `None` for none.
        rounds: How many turns each has, at most.
        seconds: After this long no further round begins.

    Raises:
        OptionError: A row does not fit the window, or a model's matrices are not known.
    """
    for generator in engines.values():
        for case in cases:
            case.check(generator.model.context_length)
    contestants = {
        (name, case): partial(_turn, generator, case, options, _limits(generator, case))
        for case in cases
        for name, generator in engines.items()
    }
    for warm_up in contestants.values():
        warm_up()
    until = time.monotonic() + seconds
    found = take_turns(contestants, rounds, enough=lambda: time.monotonic() > until)
    first = next(iter(engines))
    return [Timing(name, case, turns, found[first, case]) for (name, case), turns in found.items()]


@dataclass(frozen=True, slots=True, eq=False)
class _Limits:
    """What bounds a case of one engine.

    Attributes:
        memory: As many bytes as a later pass reads.
        products: Multiplications of the first pass.
        tokens: How many tokens that pass has.
        dtype: The type in which the model computes.
    """

    memory: torch.Tensor
    products: int
    tokens: int
    dtype: torch.dtype


def _limits(generator: Generator, case: TimedCase) -> _Limits:
    work, tokens = work_of(generator), case.rows * case.prompt
    memory = memory_of(work.read(case.rows, case.prompt + case.new // 2))
    dtype = generator.dtype or torch.float32
    return _Limits(memory, work.operations(tokens, case.rows), tokens, dtype)


def _turn(
    generator: Generator, case: TimedCase, options: Mapping[str, object] | None, limits: _Limits
) -> TimedTurn:
    """Run one turn: the limits right beside what they bound."""
    read = read_seconds(limits.memory)
    product = limits.products / product_rate(limits.tokens, limits.dtype)
    first, later = case.passes(generator)
    return TimedTurn(
        read=read,
        read_rate=limits.memory.nbytes / read,
        product=product,
        first_pass=first,
        later_pass=later,
        greedy=case.call(generator, GREEDY),
        options=None if options is None else case.call(generator, options),
    )
