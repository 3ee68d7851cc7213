"""The engine: sessions advance by turns, and the model reads for all of them at once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count

import torch

from gpt2sdk.components.causal_lm import CausalLM
from gpt2sdk.components.records import Failure, FinishReason
from gpt2sdk.components.session import Session, Step, Vocabulary
from gpt2sdk.errors import OptionError, PluginContractError
from gpt2sdk.session.course import Course
from gpt2sdk.session.decoding import Cancelled, DecodingSession
from gpt2sdk.session.driver import Driver, Passenger
from gpt2sdk.session.fair_lock import FairLock
from gpt2sdk.session.member import Member, grouped
from gpt2sdk.session.prefix_cache import PrefixCache
from gpt2sdk.session.reader import Reader, Reading, by_model
from gpt2sdk.session.request import Request, lanes_of
from gpt2sdk.streaming import TextDecoder

_END = object()


class Engine:
    """Runs requests of any calls and strategies, with one model.

    Requests with equal strategy, sampler and drafter are rows of one session where the strategy
    lets rows come and go, and batches of prompts where it does not. Once every session has
    yielded, what all of them appended is fed to the model in one pass.

    Several threads may use it: they take turns, first come, first served. Where rows of several
    calls wait for room, they begin in turn, one of each.

    Attributes:
        model: What scores tokens.
        batch_size: Rows at a time, over all sessions; prompts, where a strategy compares rows.
        lock: Held while it works: outboxes do not change for whoever holds it.
    """

    def __init__(
        self,
        model: CausalLM,
        vocabulary: Vocabulary,
        decoder: TextDecoder,
        *,
        batch_size: int = 32,
        prefixes: PrefixCache | None = None,
        started: Callable[[Session], None] = lambda session: None,
    ) -> None:
        """Start with nothing to do.

        Args:
            model: What scores tokens.
            vocabulary: Text to tokens and back.
            decoder: Tokens to text as they come.
            batch_size: Rows at a time.
            prefixes: What was read in other calls; it outlives the engine.
            started: Told of each session before its strategy runs.

        Raises:
            OptionError: `batch_size` is no whole number, or less than 1.
        """
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            message = f"batch_size is a whole number of rows, 1 or more; got {batch_size!r}"
            raise OptionError(message, name="batch_size", value=batch_size)
        self.model = model
        self.batch_size = batch_size
        self._reader = Reader(model, prefixes)
        self._vocabulary = vocabulary
        self._decoder = decoder
        self._told_of = started
        self.lock = FairLock()
        self._driver = Driver()
        self._members: list[Member] = []
        self._unbegun: list[Member] = []
        self._at_work = False
        self._numbers = count()

    @property
    def rows(self) -> int:
        """How many rows are running, of all calls."""
        return sum(member.course.size for member in tuple(self._members))

    @property
    def waiting(self) -> int:
        """How many requests wait for room."""
        members = (*self._members, *self._unbegun)
        return sum(member.course.requests.waiting for member in members)

    def submit(self, requests: Sequence[Request]) -> None:
        """Take requests in: all of them, or none.

        Raises:
            OptionError: A component refuses its options.
            ContextOverflowError: A prompt and what it may grow by exceed the window.
        """
        opened: list[Member] = []
        joined: list[tuple[Course, Request]] = []
        with self._alone(), torch.inference_mode():
            self._give_turns(requests)
            try:
                for group in grouped(requests, self.batch_size):
                    member = self._joinable(group[0])
                    if member is None:
                        session = self._open(group)
                        session.course.room = partial(self._room, session.course)
                        opened.append(Member(session, session.course))
                        continue
                    for request in group:
                        member.course.enqueue(request)
                        joined.append((member.course, request))
            except Exception:
                for course, request in joined:
                    course.end(request, "error")
                raise
            self._unbegun += opened
            self._unbegun.sort(key=lambda member: member.course.requests.oldest)

    def step(self) -> bool:
        """Let each session that can make its next step; return whether anything is left to do."""
        with self._alone(), torch.inference_mode():
            waiting = bool(self._unbegun)
            for member in self._members:
                member.course.end_cancelled()
                waiting = waiting or member.course.requests.waiting > 0
            if waiting:
                self._begin()
            for member in self._ready():
                self._advance(member)
            for member in list(self._members):
                if not member.course.requests:
                    self._advance(member)  # for the last time: it sees that nothing is running
            self._reader.forget()
            if self._members or self._unbegun:
                return True
            self._reader.trim()
            return False

    def run_for(self, passenger: Passenger) -> None:
        """Make steps in a thread of its own while somebody waits for them; returns at once."""
        self._driver.take(passenger, self.step)

    def cancel(self, requests: Sequence[Request]) -> None:
        """End these requests, those that wait for room too."""
        with self._alone(), torch.inference_mode():
            for member in (*self._members, *self._unbegun):
                for request in requests:
                    if member.course.requests.of(request.prompt) is request:
                        member.course.end(request, "cancelled")

    def close(self) -> None:
        """Let go of the caches; what is unfinished is cancelled."""
        with self._alone(), torch.inference_mode():
            for member in (*self._members, *self._unbegun):
                self._end(member, "cancelled")
            self._reader.close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait for other threads; refuse a strategy or component that the engine is running.

        Raises:
            PluginContractError: It is called from within one of its own steps.
        """
        with self.lock:
            if self._at_work:
                message = "the engine runs whoever asks for it now: give the inner call its own one"
                raise PluginContractError(message)
            self._at_work = True
            try:
                yield
            finally:
                self._at_work = False

    def _give_turns(self, requests: Sequence[Request]) -> None:
        """Let the first row of a call come behind the next of each that waits, and so on."""
        member = self._next()
        turn = 0 if member is None else member.course.requests.oldest[0]
        for request in requests:
            request.number, request.turn = next(self._numbers), turn
            turn += lanes_of(request)

    def _joinable(self, request: Request) -> Member | None:
        """The session that a request's rows can join."""
        if not request.lead.strategy.rows_independent:
            return None
        lead = request.lead.identity
        known = (*self._members, *self._unbegun)
        mine = (each for each in known if each.independent and each.course.lead.identity == lead)
        return next(mine, None)

    def _open(self, requests: Sequence[Request]) -> DecodingSession:
        return DecodingSession(self._reader, self._vocabulary, self._decoder, requests)

    def _room(self, course: Course) -> int:
        """How many more rows a session may begin by itself, between two steps of the engine."""
        first = course.requests.first()
        longest = self._next()
        if first is None or longest is None or longest.course is not course:
            return 0
        return self.batch_size - self.rows

    def _begin(self) -> None:
        """Let waiting requests begin, each call in its turn, while there is room."""
        for member in self._members:
            if member.independent:
                member.course.refill(0)
        room = self.batch_size - self.rows
        begun: list[Member] = []
        while (waiting := self._next()) is not None:
            member, course = waiting, waiting.course
            # A batch of prompts begins at once, and nobody overtakes it.
            wanted = 1 if member.independent else course.size
            if room < wanted:
                break
            room -= wanted
            course.refill(wanted)
            if self._unbegun[:1] == [member]:
                self._members.append(self._unbegun.pop(0))
                begun.append(member)
        for member in begun:
            if member.course.requests:
                self._start(member)
            else:
                self._end(member, "cancelled")

    def _next(self) -> Member | None:
        """The session whose request is the next."""
        # Sessions that have not begun stand in the order of their turns.
        while self._unbegun and self._unbegun[0].course.requests.first() is None:
            self._end(self._unbegun[0], "cancelled")
        waiting = [
            ((first.turn, first.number), member)
            for member in (*self._members, *self._unbegun[:1])
            if (first := member.course.requests.first()) is not None
        ]
        return min(waiting, key=lambda each: each[0])[1] if waiting else None

    def _start(self, member: Member) -> None:
        strategy = member.course.lead.strategy
        self._told_of(member.session)
        try:
            steps: object = strategy.decode(member.session)
        except Exception as error:  # noqa: BLE001 - whatever it is, the requests carry it
            self._end(member, "error", error)
            return
        if isinstance(steps, Iterator):
            member.steps = steps
            return
        kind = type(steps).__name__
        message = f"{strategy.name} returned {kind}, expected a generator: it has to yield steps"
        self._end(member, "error", PluginContractError(message, plugin=strategy.name))

    def _ready(self) -> list[Member]:
        """The sessions whose turn it is: all, what they have to read being read in one pass.

        While some have positions that were scored ahead, only those with nothing to read.
        """
        dues = [(member, member.course.due()) for member in self._members]
        ready = [member for member, due in dues if not due]
        if any(member.course.followers.ahead for member in ready):
            return ready
        readings: list[Reading] = []
        readers: dict[int, Member] = {}
        for member, due in dues:
            if not due:
                continue
            try:
                wanted = member.course.readings(due)
            except Exception as error:  # noqa: BLE001 - as above
                self._end(member, "error", error)
                continue
            readings += wanted
            readers.update((id(each), member) for each in wanted)
            member.course.read = True
        for mine in by_model(readings):
            try:
                self._reader.read(mine)
            except Exception as error:  # noqa: BLE001 - as above
                self._read_apart(mine, readers, error)
        return [member for member, _ in dues if member in self._members]

    def _read_apart(
        self, readings: Sequence[Reading], readers: Mapping[int, Member], error: Exception
    ) -> None:
        """A model raised: read for each session by itself, so that it raises for those at fault."""
        by_member: dict[int, list[Reading]] = {}
        for reading in readings:
            by_member.setdefault(id(readers[id(reading)]), []).append(reading)
        if len(by_member) == 1:
            self._fail(readings, readers, error)
            return
        for mine in by_member.values():
            try:
                self._reader.read(mine)
            except Exception as its_own:  # noqa: BLE001 - as above
                self._fail(mine, readers, its_own)

    def _fail(
        self, readings: Sequence[Reading], readers: Mapping[int, Member], error: Exception
    ) -> None:
        """A model raised: who follows it fails with it, and who has it for its own, ends."""
        for reading in readings:
            member = readers[id(reading)]
            if reading.branch is member.course.main:
                self._end(member, "error", error)
            else:
                what = f"a mirror's model raised {type(error).__name__}: {error}"
                failure = Failure("", what, error)
                member.course.lose(dict.fromkeys(reading.seats, failure))

    def _advance(self, member: Member) -> None:
        """Let a strategy make its next step."""
        try:
            step = _END if member.steps is None else next(member.steps, _END)
            if step is _END:
                member.course.finish()
                self._end(member, "strategy")
                return
            member.course.deliver()
        except Cancelled:
            self._end(member, "cancelled")
        except Exception as error:  # noqa: BLE001 - as above
            self._end(member, "error", error)
        except BaseException:
            self._end(member, "cancelled")
            raise
        else:
            if not isinstance(step, Step):
                message = f"the strategy yielded {step!r:.60}, expected what session.append returns"
                self._end(member, "error", PluginContractError(message))

    def _end(self, member: Member, otherwise: FinishReason, error: Exception | None = None) -> None:
        """Be done with a session, whatever else goes wrong."""
        for members in (self._members, self._unbegun):
            if member in members:
                members.remove(member)
                break
        else:
            return
        try:
            for request in member.course.requests:
                member.course.end(request, otherwise, error)
        finally:
            member.course.close()
