"""Chains: rows that are regrown from a cut, and are replaced by what they became, or not."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from gpt2sdk import Session, Step
from gpt2sdk_steering.outcome import gone, hand_in
from gpt2sdk_steering.potential import PotentialRun
from gpt2sdk_steering.steps import DEAD, LOST, AtLimit, targets, weigh


def rows_of_chains(num_return_sequences: int) -> int:
    """How many rows a prompt has at a time: each chain, and what it may move to.

    >>> rows_of_chains(3)
    6
    """
    return 2 * num_return_sequences


@dataclass(frozen=True, slots=True)
class State:
    """What is known of a row, as the state of a chain.

    Attributes:
        values: What each of its tokens adds to the logarithm of the target.
        gains: How much less likely each was to be proposed: the logarithm of the total weight of
            the tokens it was drawn from.
        told: The log weight of the text besides.
    """

    values: tuple[float, ...] = ()
    gains: tuple[float, ...] = ()
    told: float = 0.0

    @property
    def log_target(self) -> float:
        """The logarithm of the target, up to a constant."""
        return math.fsum(self.values) + self.told if self.told > -math.inf else -math.inf

    def ratio(self, other: "State", kept: int) -> float:
        """The logarithm of how readily the other one is accepted, regrown behind `kept` tokens.

        The target's ratio, times that of the proposals: each token was drawn with its weight over
        the total, and a text of `n` tokens can be cut in `n` places.
        """
        if self.told == -math.inf:
            return math.inf
        if other.told == -math.inf:
            return -math.inf
        gained = math.fsum(other.gains[kept:]) - math.fsum(self.gains[kept:])
        cuts = math.log(len(self.gains)) - math.log(len(other.gains))
        return gained + other.told - self.told + cuts


class Chains:
    """Chains of the Metropolis-Hastings algorithm, `num_return_sequences` for each prompt.

    The target is `p(text) ** alpha * weight(text)`, over texts of up to so many tokens.
    """

    def __init__(
        self, session: Session, run: PotentialRun, alpha: float, at_limit: AtLimit
    ) -> None:
        """Fork the chains; they have written nothing.

        Args:
            session: With one row for each prompt.
            run: What weighs texts.
            alpha: The power of the model's probabilities.
            at_limit: What becomes of rows at `max_new_tokens`.
        """
        self._session = session
        self._run = run
        self._alpha = alpha
        self._at_limit = at_limit
        count = session.num_return_sequences
        session.fork([seat for seat in range(len(session.rows)) for _ in range(count)])
        self._states = [State()] * len(session.rows)

    def extend(self, length: int) -> Iterator[Step]:
        """Grow every chain to so many tokens, or to its end."""
        yield from self._grow(range(len(self._states)), length)

    def move(self, number: int, length: int) -> Iterator[Step]:
        """Cut each chain anywhere, regrow it, and accept or refuse what comes of it.

        Args:
            number: Which move it is: random numbers are its own.
            length: How far to grow.
        """
        session, count = self._session, len(self._states)
        session.fork([seat for seat in range(count) for _ in range(2)])
        self._states = [state for state in self._states for _ in range(2)]
        proposals = range(1, 2 * count, 2)
        rows = session.rows.select(proposals)
        lengths = [row.grown for row in rows.records]
        cuts = rows.uniform(f"cut/{number}").tolist()
        kept = [int(number * length) for number, length in zip(cuts, lengths, strict=True)]
        back = [0] * (2 * count)
        for seat, keep, many in zip(proposals, kept, lengths, strict=True):
            back[seat] = many - keep
            old = self._states[seat]
            self._states[seat] = State(old.values[:keep], old.gains[:keep])
        session.rewind(back)
        yield from self._grow(proposals, length)
        chances = rows.uniform(f"accept/{number}").tolist()
        children = []
        for seat, keep, chance in zip(proposals, kept, chances, strict=True):
            ratio = self._states[seat - 1].ratio(self._states[seat], keep)
            children.append(seat if chance < math.exp(min(ratio, 0.0)) else seat - 1)
        self._fork(children)

    def release(self, length: int) -> None:
        """Hand in the chains of prompts that may not grow beyond so many tokens."""
        kept: list[int] = []
        for prompt, rows in self._session.rows.by_prompt():
            if gone(rows):
                continue
            if prompt.max_new_tokens > length or any(
                reason is None for reason in rows.finish_reason
            ):
                kept += rows.index
            else:
                scores = [self._states[seat].log_target for seat in rows.index]
                kept += hand_in(self._session, rows, scores)
        self._fork(kept)

    def _fork(self, parents: Sequence[int]) -> None:
        self._session.fork(parents)
        self._states = [self._states[parent] for parent in parents]

    def _grow(self, seats: Sequence[int], length: int) -> Iterator[Step]:
        """Grow some rows, and weigh them; those that cannot go on have no weight."""
        session = self._session
        rows = session.rows
        while any(self._short(seat, length) for seat in seats):
            logits = session.process(session.next_logits())
            growing = [seat for seat in seats if self._short(seat, length)]
            joint, gains = targets(
                session, self._run.next, logits, growing, self._at_limit, alpha=self._alpha
            )
            dead = [seat for seat, gain in zip(growing, gains, strict=True) if gain == -math.inf]
            session.finish(dead, DEAD)
            drawn = session.race(joint, "metropolis_hastings").tolist()
            moving = set(growing)
            tokens = [each if at in moving else -1 for at, each in enumerate(drawn)]
            step = session.append(tokens)
            for seat, gain in zip(growing, gains, strict=True):
                token, state = step.tokens[seat], self._states[seat]
                if token >= 0:
                    values = (*state.values, float(joint[seat, token]))
                    self._states[seat] = State(values, (*state.gains, gain))
            yield step
        told = weigh(self._run, rows.select(list(seats)))
        for seat, weight in zip(seats, told, strict=True):
            row = rows.records[seat]
            lost = row.failure is not None or row.finish_reason in LOST
            told_now = -math.inf if lost else weight
            self._states[seat] = replace(self._states[seat], told=told_now)

    def _short(self, seat: int, length: int) -> bool:
        """Whether a row is unfinished, and has fewer tokens."""
        row = self._session.rows.records[seat]
        return row.finish_reason is None and row.grown < length
