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
        """Submit the requests; nothing has run yet.

        Args:
            engine: What runs them, and maybe those of other calls.
            requests: One for each prompt, in order.
            options: What is in force, for the result.
            record: The same, with all else that repeats the call.
            finished: Told of the result, partial ones of failed and cancelled calls included.
            owns_engine: Whether the engine has no other calls, and is closed at the end.
            notes: What whoever called should know, for the result.

        Raises:
            OptionError: A component refuses its options.
            ContextOverflowError: A prompt and what it may grow by exceed the window.
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
        engine.submit(requests)

    def deltas(self) -> Iterator[Delta]:
        """Run the engine until all requests are over, yielding what becomes certain of them.

        Ends early, with `finish_reason="cancelled"` for unfinished rows, when the call is
        cancelled or the user interrupts it.

        Raises:
            GenerationError: Something raised; it carries the result, the others' completions too.
        """
        try:
            while True:
                over = self.over
                while self._outbox:
                    yield self._take()
                if over:
                    break
                if self._requests[self._first].cancelled():
                    self._engine.cancel(self._requests)
                elif not self._engine.step() and not self.over:
                    message = "the engine has nothing left to do, and the call is not over"
                    raise PluginContractError(message)
        except KeyboardInterrupt:
            # The session whose step it met has ended; other calls' sessions go on.
            self._engine.cancel(self._requests)
            while self._outbox:
                yield self._take()
        finally:
            if self._owns_engine:
                self._engine.close()
            self.drop()
            with self._engine.lock:
                self._completions += [each.completion for each in self._outbox if each.completion]
                self._outbox.clear()
            self._finished(self.result())
        self._raise_loss()

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
        with self._engine.lock:
            unread = [each.completion for each in self._outbox if each.completion is not None]
            made = [*self._completions, *unread]
        ordered = sorted(made, key=lambda each: (each.prompt_index, each.sample_index))
        return Result(tuple(ordered), self._meter.usage(), self._options, self._record, self._notes)

    def _take(self) -> Delta:
        delta = self._outbox.popleft()
        if delta.completion is not None:
            self._completions.append(delta.completion)
        return delta

    def _raise_loss(self) -> None:
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
