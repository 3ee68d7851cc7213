"""A call: its sessions run to their end, and everything they made kept, whatever happens."""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import fields
from typing import Literal, Protocol

import torch

from gpt2sdk.components.causal_lm import CausalLM
from gpt2sdk.components.records import Completion, Delta, Prompt, Result, Usage
from gpt2sdk.components.session import Step, Vocabulary
from gpt2sdk.errors import GenerationError, GPT2SDKError, PluginContractError, listing
from gpt2sdk.pipeline import BAD_INPUT
from gpt2sdk.session.cancelled import Cancelled
from gpt2sdk.session.completions import untouched
from gpt2sdk.session.decoding import DecodingSession
from gpt2sdk.session.loss import Loss
from gpt2sdk.session.plan import Plan
from gpt2sdk.streaming import TextDecoder

_END = object()


class Observers(Protocol):
    """Whoever is told of sessions and results."""

    def notify(
        self,
        observer: Literal["gpt2sdk_generation_started", "gpt2sdk_generation_finished"],
        subject: object,
    ) -> None:
        """Tell every observer of a session that starts, or of a call's result."""


class Call:
    """One call of `generate` or `stream`.

    Attributes:
        plan: What it is to do.
    """

    def __init__(  # noqa: PLR0913 - made in one place, by the generator
        self,
        model: CausalLM,
        vocabulary: Vocabulary,
        decoder: TextDecoder,
        prompts: Sequence[Prompt],
        plan: Plan,
        observers: Observers,
        *,
        streaming: bool,
        cancelled: Callable[[], bool],
    ) -> None:
        self.plan = plan
        self._model = model
        self._vocabulary = vocabulary
        self._decoder = decoder
        self._prompts = prompts
        self._observers = observers
        self._streaming = streaming
        self._cancelled = cancelled
        self._completions: list[Completion] = []
        self._usage = Usage()
        self._started = time.monotonic()
        self._lost: list[Loss] = []
        self._waiting = deque(self._chunks())
        self._first: DecodingSession | None = self._open(self._waiting[0])

    def deltas(self) -> Iterator[Delta]:
        """Run the sessions one after another, yielding what becomes certain.

        Ends early, with `finish_reason="cancelled"` for unfinished rows and those that still
        wait, when the call is cancelled or the user interrupts it.

        Raises:
            GenerationError: Something was wrong, with some prompts once the others are done, or
                with the call at once. It carries what was made.
        """
        try:
            ended = True
            while self._waiting and ended:
                session, self._first = self._first or self._open(self._waiting[0]), None
                self._waiting.popleft()
                ended = yield from self._drive(session)
            yield from self._keep(self._pass_over())
            if self._lost:
                raise self._loss() from self._lost[0].failure.cause
        finally:
            self._observers.notify("gpt2sdk_generation_finished", self.result())

    def result(self) -> Result:
        """Everything made so far."""
        ordered = sorted(self._completions, key=lambda each: (each.prompt_index, each.sample_index))
        return Result(tuple(ordered), self._usage, self.plan.effective)

    def _chunks(self) -> list[Sequence[Prompt]]:
        """All prompts at once where sessions refill their rows, else `batch_size` at a time."""
        if self.plan.strategy.rows_independent:
            return [self._prompts]
        size = self.plan.batch_size
        return [self._prompts[at : at + size] for at in range(0, len(self._prompts), size)]

    def _open(self, prompts: Sequence[Prompt]) -> DecodingSession:
        with torch.inference_mode():
            return DecodingSession(
                self._model,
                self._vocabulary,
                self._decoder,
                prompts,
                self.plan,
                all_prompts=self._prompts,
                streaming=self._streaming,
                started=self._started,
                cancelled=self._cancelled,
            )

    def _drive(self, session: DecodingSession) -> Generator[Delta, None, bool]:
        """Run one session; returns whether it came to its own end."""
        self._observers.notify("gpt2sdk_generation_started", session)
        started = time.perf_counter()
        steps: Iterator[Step] = iter(())
        try:
            steps = self._steps(session)
            while _advance(steps):
                yield from self._keep(session.take_deltas())
            session.check_enough()
            ended, rest = True, session.finish()
        except (Cancelled, KeyboardInterrupt):
            ended, rest = False, session.finish("cancelled")
        except Exception as error:
            fresh = not session.steps and not self._completions
            if fresh and isinstance(error, BAD_INPUT):
                raise
            self._keep(session.finish("error"))
            self._keep(self._pass_over())
            self._count(session, started)
            raise self._failure(session, error) from error
        finally:
            _close(steps, session)
        kept = self._keep(rest)
        self._count(session, started)
        yield from kept
        return ended

    def _steps(self, session: DecodingSession) -> Iterator[Step]:
        name = self.plan.strategy.name
        with torch.inference_mode():
            steps: object = self.plan.strategy.decode(session)
        if not isinstance(steps, Iterator):
            kind = type(steps).__name__
            message = f"{name} returned {kind}, expected a generator: it has to yield its steps"
            raise PluginContractError(message, plugin=name)
        return steps

    def _pass_over(self) -> list[Delta]:
        """Empty completions of the prompts that no session was opened for."""
        lanes = range(self.plan.num_return_sequences)
        prompts = [prompt for prompts in self._waiting for prompt in prompts]
        self._waiting.clear()
        untold = [
            untouched(prompt, lane, logprobs=bool(self.plan.logprobs))
            for prompt in prompts
            for lane in lanes
        ]
        return [
            Delta("", (), each.prompt_index, each.sample_index, each.finish_reason, each)
            for each in untold
        ]

    def _keep(self, deltas: list[Delta]) -> list[Delta]:
        self._completions += [each.completion for each in deltas if each.completion is not None]
        return deltas

    def _count(self, session: DecodingSession, started: float) -> None:
        more = session.usage(time.perf_counter() - started)
        sums = {
            each.name: getattr(self._usage, each.name) + getattr(more, each.name)
            for each in fields(Usage)
        }
        self._usage = Usage(**sums)
        self._lost += session.lost

    def _loss(self) -> GenerationError:
        """The error for prompts that something was wrong with."""
        first = self._lost[0]
        others = sorted({each.prompt for each in self._lost} - {first.prompt})
        message = f"prompt {first.prompt}, step {first.step}: {first.failure.what}"
        if others:
            listed = listing([str(each) for each in others])
            message += f"; and likewise something is wrong with prompt {listed}"
        name = first.failure.component or self.plan.strategy.name
        return GenerationError(message, step=first.step, component=name, partial=self.result())

    def _failure(self, session: DecodingSession, error: Exception) -> GenerationError:
        who = session.acting or self.plan.strategy.name
        raised = f"{who} raised {type(error).__name__}: {error}"
        message = f"step {session.steps}: {error if isinstance(error, GPT2SDKError) else raised}"
        return GenerationError(message, step=session.steps, component=who, partial=self.result())


def _close(steps: Iterator[Step], session: DecodingSession) -> None:
    """End a strategy where it stands, then free what its session holds."""
    try:
        if isinstance(steps, Generator):
            steps.close()
    finally:
        session.close()


def _advance(steps: Iterator[Step]) -> bool:
    """Let the strategy make its next step; autograd is off only while it does."""
    with torch.inference_mode():
        step = next(steps, _END)
    if step is _END or isinstance(step, Step):
        return step is not _END
    message = f"the strategy yielded {step!r:.60}, expected what session.append returns"
    raise PluginContractError(message)
