"""A call: its requests run to their ends, and everything they made kept, whatever happens."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from gpt2sdk.components.call_record import CallRecord
from gpt2sdk.components.records import Completion, Delta, Result
from gpt2sdk.errors import GenerationError, PluginContractError, listing
from gpt2sdk.session.checks import BAD_INPUT
from gpt2sdk.session.engine import Engine
from gpt2sdk.session.request import Request


def _at_once() -> bool:
    """Whoever asks is cancelled: a stream that was dropped half-way wants no more."""
    return True


class Observer(Protocol):
    """Whoever is told of results."""

    def __call__(self, result: Result) -> None:
        """Take note of what a call made."""


class Call:
    """One call of `generate` or `stream`: requests that share an outbox and a meter."""

    def __init__(
        self,
        engine: Engine,
        requests: Sequence[Request],
        options: Mapping[str, object],
        record: CallRecord,
        finished: Observer,
        *,
        owns_engine: bool,
        notes: tuple[str, ...] = (),
    ) -> None:
        """Be ready to be submitted.

        Args:
            engine: What runs them, and maybe those of other calls.
            requests: One for each prompt, in order.
            options: What is in force, for the result.
            record: The same, with all else that repeats the call.
            finished: Told of the result, partial ones of failed and cancelled calls included.
            owns_engine: Whether the engine has no other calls, and is closed at the end.
            notes: What whoever called should know, for the result.
        """
        self._engine = engine
        self._requests = requests
        self._options = options
        self._record = record
        self._finished = finished
        self._owns_engine = owns_engine
        self._notes = notes
        self._outbox, self._meter = requests[0].outbox, requests[0].meter
        self._completions: list[Completion] = []
        self._first = 0  # the first request that is not over

    def submit(self) -> "Call":
        """Hand its requests to the engine, all or none; nothing has run yet.

        Raises:
            OptionError: A component refuses its options.
            ContextOverflowError: A prompt and what it may grow by exceed the window.
        """
        self._engine.submit(self._requests)
        return self

    def deltas(self) -> Iterator[Delta]:
        """Run the engine until all requests are over, yielding what becomes certain of them.

        Ends early, with `finish_reason="cancelled"` for unfinished rows, when the call is
        cancelled or the user interrupts it.

        Raises:
            GenerationError: Something raised; it carries the result, the others' completions too.
        """
        try:
            over = False
            while not over:
                over = self.over
                while self._outbox:
                    yield self._take()
                if not over and not self._ends_cancelled():
                    self._check_alive(idle=not self._engine.step())
        except KeyboardInterrupt:
            # The session whose step it met has ended; other calls' sessions go on.
            self._engine.cancel(self._requests)
            while self._outbox:
                yield self._take()
        finally:
            self.settle()
        self.raise_loss()

    def made(self, *, idle: bool) -> tuple[list[Delta], bool]:
        """Take what became certain while somebody else ran the engine, and say if that was all.

        Args:
            idle: Whether the engine has nothing left to do.
        """
        over = self.over
        deltas = [self._take() for _ in range(len(self._outbox))]
        if over:
            self.settle()
        elif not self._ends_cancelled():
            self._check_alive(idle=idle)
        return deltas, over

    def drop(self) -> None:
        """End soon: nobody reads it any more."""
        for request in self._requests:
            request.cancelled = _at_once

    @property
    def over(self) -> bool:
        """Whether everything that the call makes was made."""
        while self._first < len(self._requests) and self._requests[self._first].over:
            self._first += 1
        return self._first == len(self._requests)

    def result(self) -> Result:
        """Everything made so far."""
        # The outbox first, without waiting for the engine: what is taken meanwhile is there twice.
        unread = [each.completion for each in self._outbox.copy() if each.completion is not None]
        made = {id(each): each for each in (*unread, *self._completions)}.values()
        ordered = sorted(made, key=lambda each: (each.prompt_index, each.sample_index))
        return Result(tuple(ordered), self._meter.usage(), self._options, self._record, self._notes)

    def _take(self) -> Delta:
        delta = self._outbox[0]
        if delta.completion is not None:
            self._completions.append(delta.completion)
        return self._outbox.popleft()

    def _ends_cancelled(self) -> bool:
        """Cancel what is unfinished if that was asked for; return whether it was."""
        if not self._requests[self._first].cancelled():
            return False
        self._engine.cancel(self._requests)
        return True

    def _check_alive(self, *, idle: bool) -> None:
        if idle and not self.over:
            message = "the engine has nothing left to do, and the call is not over"
            raise PluginContractError(message)

    def settle(self) -> None:
        """Let go of the engine, keep what nobody has read, and tell of the result."""
        if self._owns_engine:
            self._engine.close()
        self.drop()
        while self._outbox:
            self._take()
        self._finished(self.result())

    def abandon(self) -> None:
        """Cancel what is unfinished, since nobody will run it on, and settle."""
        self._engine.cancel(self._requests)
        self.settle()

    def raise_loss(self) -> None:
        """Raise what was wrong with any of the requests, once they are over.

        Raises:
            GenerationError: Something was; it carries the result, the others' completions too.
        """
        losses = [(each.prompt.index, each.loss) for each in self._requests if each.loss]
        if not losses:
            return
        prompt, first = losses[0]
        made = any(each.tokens for each in self._completions)
        if isinstance(first.failure.cause, BAD_INPUT) and not made and not first.step:
            raise first.failure.cause
        message = f"step {first.step}: {first.failure.what}"
        if first.alone:
            message = f"prompt {prompt}, {message}"
            others = listing([str(index) for index, _ in losses[1:]])
            message += f"; and likewise something is wrong with prompt {others}" if others else ""
        name = first.failure.component or self._requests[0].lead.strategy.name
        raise GenerationError(
            message, step=first.step, component=name, partial=self.result()
        ) from first.failure.cause
