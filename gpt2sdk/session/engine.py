"""The engine: sessions advance by turns, and the model reads for all of them at once."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock

import torch

from gpt2sdk.components.causal_lm import CausalLM
from gpt2sdk.components.records import FinishReason
from gpt2sdk.components.session import Session, Step, Vocabulary
from gpt2sdk.errors import PluginContractError
from gpt2sdk.session.course import Course
from gpt2sdk.session.decoding import Cancelled, DecodingSession
from gpt2sdk.session.reader import Reader, Reading
from gpt2sdk.session.request import Request
from gpt2sdk.streaming import TextDecoder

_END = object()


@dataclass(eq=False, slots=True)
class _Entry:
    """A session, and its strategy where it stands; `None` before it has begun."""

    session: DecodingSession
    steps: Iterator[Step] | None = None

    @property
    def course(self) -> Course:
        return self.session.course

    @property
    def independent(self) -> bool:
        return self.course.lead.strategy.rows_independent


class Engine:
    """Runs requests of any calls and strategies, with one model.

    Requests with equal strategy, sampler and drafter are rows of one session where the strategy
    lets rows come and go, and batches of prompts where it does not. Once every session has
    yielded, what all of them appended is fed to the model in one pass.

    Several threads may use it: they take turns.

    Attributes:
        batch_size: Rows at a time, over all sessions; prompts, where a strategy compares rows.
    """

    def __init__(
        self,
        model: CausalLM,
        vocabulary: Vocabulary,
        decoder: TextDecoder,
        *,
        batch_size: int = 32,
        started: Callable[[Session], None] = lambda session: None,
    ) -> None:
        """Start with nothing to do.

        Args:
            model: What scores tokens.
            vocabulary: Text to tokens and back.
            decoder: Tokens to text as they come.
            batch_size: Rows at a time.
            started: Told of each session before its strategy runs.
        """
        self.batch_size = batch_size
        self._reader = Reader(model)
        self._vocabulary = vocabulary
        self._decoder = decoder
        self._told_of = started
        self._entries: list[_Entry] = []
        self._lock = RLock()
        self._at_work = False

    def submit(self, requests: Sequence[Request]) -> None:
        """Take requests in: all of them, or none.

        Raises:
            OptionError: A component refuses its options.
            ContextOverflowError: A prompt and what it may grow by exceed the window.
        """
        opened: list[_Entry] = []
        joined: list[tuple[Course, Request]] = []
        with self._alone(), torch.inference_mode():
            try:
                for group in self._groups(requests):
                    entry = self._joinable(group[0])
                    if entry is None:
                        opened.append(_Entry(self._open(group)))
                        continue
                    for request in group:
                        entry.course.enqueue(request)
                        joined.append((entry.course, request))
            except Exception:
                for course, request in joined:
                    course.end(request, "error")
                raise
            self._entries += opened

    def step(self) -> bool:
        """Let each session that can make its next step; return whether anything is left to do."""
        with self._alone(), torch.inference_mode():
            for entry in self._entries:
                entry.course.end_cancelled()
            self._begin()
            ready = [entry for entry in self._running if not entry.course.due()]
            for entry in ready or self._read(self._running):
                self._advance(entry)
            return bool(self._entries)

    def close(self) -> None:
        """Let go of the caches; what is unfinished is cancelled."""
        with self._alone(), torch.inference_mode():
            for entry in list(self._entries):
                self._end(entry, "cancelled")
            self._reader.close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait for other threads; refuse a strategy or component that the engine is running.

        Raises:
            PluginContractError: It is called from within one of its own steps.
        """
        with self._lock:
            if self._at_work:
                message = "the engine runs whoever asks for it now: give the inner call its own one"
                raise PluginContractError(message)
            self._at_work = True
            try:
                yield
            finally:
                self._at_work = False

    @property
    def _running(self) -> list[_Entry]:
        return [entry for entry in self._entries if entry.steps is not None]

    def _groups(self, requests: Sequence[Request]) -> list[Sequence[Request]]:
        """Requests that become rows of one session, or of one batch."""
        by_lead: dict[object, list[Request]] = {}
        for request in requests:
            by_lead.setdefault(request.lead.identity, []).append(request)
        groups: list[Sequence[Request]] = []
        for group in by_lead.values():
            size = len(group) if group[0].lead.strategy.rows_independent else self.batch_size
            groups += [group[at : at + size] for at in range(0, len(group), size)]
        return groups

    def _joinable(self, request: Request) -> _Entry | None:
        """The session that a request's rows can join."""
        if not request.lead.strategy.rows_independent:
            return None
        lead = request.lead.identity
        return next((each for each in self._entries if each.course.lead.identity == lead), None)

    def _open(self, requests: Sequence[Request]) -> DecodingSession:
        return DecodingSession(self._reader, self._vocabulary, self._decoder, requests)

    def _begin(self) -> None:
        """Let waiting requests begin, in their order, as far as there is room."""
        room = self.batch_size - sum(entry.course.size for entry in self._running)
        for entry in list(self._entries):
            course = entry.course
            if entry.steps is None:
                # A whole batch begins at once, and nobody overtakes it.
                if room < (1 if entry.independent else course.size):
                    return
                course.refill(room if entry.independent else course.size)
                room -= course.size
                if course.requests:
                    self._start(entry)
                else:
                    self._end(entry, "cancelled")
            elif entry.independent:
                before = course.size
                course.refill(max(room, 0))
                room -= course.size - before

    def _start(self, entry: _Entry) -> None:
        strategy = entry.course.lead.strategy
        self._told_of(entry.session)
        try:
            steps: object = strategy.decode(entry.session)
        except Exception as error:  # noqa: BLE001 - whatever it is, the requests carry it
            self._end(entry, "error", error)
            return
        if isinstance(steps, Iterator):
            entry.steps = steps
            return
        kind = type(steps).__name__
        message = f"{strategy.name} returned {kind}, expected a generator: it has to yield steps"
        self._end(entry, "error", PluginContractError(message, plugin=strategy.name))

    def _read(self, entries: Sequence[_Entry]) -> list[_Entry]:
        """Feed the model what all of these sessions have to read; return those that can go on."""
        readings: list[Reading] = []
        for entry in entries:
            try:
                readings += entry.course.readings(entry.course.due())
            except Exception as error:  # noqa: BLE001 - as above
                self._end(entry, "error", error)
        try:
            self._reader.read(readings)
        except Exception as error:  # noqa: BLE001 - as above
            for entry in entries:
                self._end(entry, "error", error)
        return [entry for entry in entries if entry in self._entries]

    def _advance(self, entry: _Entry) -> None:
        """Let a strategy make its next step."""
        try:
            step = _END if entry.steps is None else next(entry.steps, _END)
            if step is _END:
                entry.course.finish()
                self._end(entry, "strategy")
                return
            entry.course.deliver()
        except Cancelled:
            self._end(entry, "cancelled")
        except Exception as error:  # noqa: BLE001 - as above
            self._end(entry, "error", error)
        else:
            if not isinstance(step, Step):
                message = f"the strategy yielded {step!r:.60}, expected what session.append returns"
                self._end(entry, "error", PluginContractError(message))

    def _end(self, entry: _Entry, otherwise: FinishReason, error: Exception | None = None) -> None:
        """Be done with a session."""
        if entry in self._entries:
            self._entries.remove(entry)
            for request in entry.course.requests:
                entry.course.end(request, otherwise, error)
            entry.course.close()
