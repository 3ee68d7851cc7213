"""The session itself: the verbs, carried out on the rows and on everything that follows them."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor
from typing_extensions import override

from gpt2sdk.components.causal_lm import CausalLM
from gpt2sdk.components.records import Completion, FinishReason, Prompt
from gpt2sdk.components.rows import Rows
from gpt2sdk.components.session import (
    HiddenHistory,
    Mirror,
    PerRow,
    PerRowTensor,
    Rehearsal,
    Session,
    Step,
    Vocabulary,
)
from gpt2sdk.errors import OptionError, PluginContractError
from gpt2sdk.session.branch import Branch
from gpt2sdk.session.checks import (
    check_count,
    check_logits,
    check_reason,
    check_rewind,
    check_score,
    check_scores,
    check_seats,
    check_tokens,
    layer_number,
    whole_numbers,
)
from gpt2sdk.session.columns import Column, TensorColumn
from gpt2sdk.session.course import Course
from gpt2sdk.session.ending import settle
from gpt2sdk.session.followers import Turn
from gpt2sdk.session.reader import Reader, Reading
from gpt2sdk.session.rehearsing import ImaginedRows
from gpt2sdk.session.request import Meter, Request
from gpt2sdk.shapes import Counts, Logits, Tokens
from gpt2sdk.streaming import TextDecoder

Value = TypeVar("Value")


class Cancelled(Exception):  # noqa: N818 - not an error: the caller asked for it
    """Raised through the strategy once all requests of its session are over."""


class FollowingMirror(Mirror):
    """A branch that is read with its parent while it is in use, and else when it is asked."""

    def __init__(
        self, branch: Branch, parent: Branch, reader: Reader, meter: Callable[[Prompt], Meter]
    ) -> None:
        self._branch = branch
        self._parent = parent
        self._reader = reader
        self._meter = meter

    @override
    def next_logits(self, rows: Rows) -> Logits:
        self._branch.asked = True
        behind = [seat for seat in rows.index if self._branch.is_behind(seat)]
        if behind:
            proposals = [self._parent.proposals(seat) for seat in behind]
            self._reader.read([Reading(self._branch, behind, proposals, self._meter)])
        return self._branch.logits(rows.index)


class DecodingSession(Session):
    """Rows of some requests, driven by one strategy.

    Attributes:
        course: What the engine does with it.
    """

    def __init__(
        self,
        reader: Reader,
        vocabulary: Vocabulary,
        decoder: TextDecoder,
        requests: Sequence[Request],
    ) -> None:
        """Start every component of the requests; rows begin when there is room for them.

        Args:
            reader: What runs the models.
            vocabulary: Text to tokens and back.
            decoder: Tokens to text as they come.
            requests: At least one; all have the same lead.

        Raises:
            ContextOverflowError: A prompt and what it may grow by exceed the window.
        """
        lead = requests[0].lead
        self.model = reader.model
        self.vocabulary = vocabulary
        self.num_return_sequences = lead.num_return_sequences
        self._reader = reader
        self._hold = lead.strategy.hold()
        self._waiting: set[int] = set()
        self.course = Course(reader, decoder, lead)
        self.rows = Rows(self.course.store)
        self.course.start(self, requests)

    @property
    @override
    def running(self) -> bool:
        return self.course.requests.waiting > 0 or self.course.live > 0

    @override
    def next_logits(self) -> Logits:
        self.course.ask()
        if not self.course.requests:
            raise Cancelled
        course = self.course
        known, waiting = [], set()
        for seat, (row, state) in enumerate(zip(course.store.rows, course.main.rows, strict=True)):
            if row.finish_reason is None:
                if state.known is None:
                    waiting.add(seat)
                else:
                    known.append(seat)
        self._waiting = waiting
        count = len(course.store.rows)
        if len(known) == count:
            return course.main.logits(known)
        out = torch.zeros(count, self.model.vocab_size, dtype=torch.float32, device=self.device)
        if known:
            out[torch.tensor(known, device=self.device)] = course.main.logits(known)
        return out

    @override
    def process(self, logits: Logits) -> Logits:
        course, active = self.course, self._active()
        check_count(len(logits), len(course.store.rows), "process")
        if len(active) == len(logits):
            out, failures = course.chain.process(logits, self.rows)
        elif active:
            index = torch.tensor(active, device=logits.device)
            part, failures = course.chain.process(logits[index], Rows(course.store, active))
            out = logits.index_copy(0, index, part)
        else:
            out, failures = logits, {}
        if failures:
            lost = course.lose({active[at]: each for at, each in failures.items()})
            out = out.index_fill(0, torch.tensor(lost, device=out.device), -torch.inf)
        course.processed = out
        if course.delivery.logprobs is not None:
            course.delivery.logprobs.note(out)
        return out

    @override
    def choose(self, logits: Logits) -> Tokens:
        course, active = self.course, self._active()
        check_count(len(logits), len(course.store.rows), "choose")
        if logits is not course.processed:
            check_logits(self.rows.records, logits, active, course.lead.strategy.name)
        if len(active) == len(logits):
            tokens, failures = course.chain.choose(logits, self.rows)
        else:
            tokens = torch.full((len(logits),), -1, dtype=torch.int64, device=logits.device)
            if not active:
                return tokens
            index = torch.tensor(active, device=logits.device)
            tokens[index], failures = course.chain.choose(logits[index], Rows(course.store, active))
        if failures:
            course.lose({active[at]: each for at, each in failures.items()})
        return tokens

    @override
    def race(self, logits: Logits, purpose: str) -> Tokens:
        check_count(len(logits), len(self.rows), "race")
        tokens = torch.full((len(logits),), -1, dtype=torch.int64, device=logits.device)
        active = self._active()
        if active:
            index = torch.tensor(active, device=logits.device)
            tokens[index] = Rows(self.course.store, active).race(logits[index], purpose)
        return tokens

    @override
    def append(self, tokens: Tokens | Sequence[int]) -> Step:
        course = self.course
        taken = whole_numbers(tokens, "append")
        check_count(len(taken), len(course.store.rows), "append")
        for seat, row in enumerate(course.store.rows):
            if row.finish_reason is not None or seat in self._waiting:
                taken[seat] = -1
        check_tokens(taken, self.model.vocab_size)
        course.processed, course.read = None, False
        course.followers.append(taken)
        failures = settle(self.rows, taken, course.chain, course.delivery.transcript)
        if failures or course.followers.failures:
            course.lose({**course.followers.take_failures(), **failures})
        course.steps += 1
        return Step(course.steps - 1, tuple(taken), self.rows)

    @override
    def fork(self, parents: Sequence[int] | Counts) -> None:
        seats = whole_numbers(parents, "fork")
        check_seats(seats, len(self.rows), "fork")
        rows = self.course.store.rows
        kept = {rows[seat].prompt for seat in seats}
        for prompt in {row.prompt: None for row in rows if row.prompt not in kept}:
            self.course.drop(prompt)
        self.course.read = False
        self.course.followers.fork(seats)
        self._waiting = {child for child, parent in enumerate(seats) if parent in self._waiting}

    @override
    def rewind(self, counts: Sequence[int] | Counts) -> None:
        backs = whole_numbers(counts, "rewind")
        check_count(len(backs), len(self.rows), "rewind")
        for seat, (row, count) in enumerate(zip(self.course.store.rows, backs, strict=True)):
            check_rewind(seat, row, count, self._hold)
            if count and not self.course.lead.strategy.rewinds:
                name = self.course.lead.strategy.name
                message = f"{name} takes tokens back: declare @strategy(rewinds=True)"
                raise PluginContractError(message, plugin=name)
            if row.failure is not None and not row.failure.dead:
                backs[seat] = 0
        self.course.read = False
        self.course.followers.rewind(backs)

    @override
    def finish(self, rows: Sequence[int] | Counts, reason: FinishReason = "strategy") -> None:
        seats = whole_numbers(rows, "finish")
        check_seats(seats, len(self.rows), "finish")
        check_reason(reason)
        for seat in seats:
            row = self.course.store.rows[seat]
            row.finish_reason = row.finish_reason or reason

    @override
    def submit(self, rows: Sequence[int], scores: Sequence[float]) -> None:
        if self._hold is not None:
            name = self.course.lead.strategy.name
            message = f"{name} submits rows whose text was certain: declare @strategy(hold=None)"
            raise PluginContractError(message, plugin=name)
        check_scores(rows, scores, self.course.lead.strategy.name)
        for seat, score in zip(rows, scores, strict=True):
            check_score(seat, score, len(self.rows))
            row = self.rows.records[seat]
            request = self.course.requests.of(row.prompt)
            if request is not None and row.failure is None:
                request.submit(self.course.delivery.completion(seat, "strategy"), float(score))

    @override
    def mirror(
        self, prompt: Callable[[Prompt], Sequence[int]], model: CausalLM | None = None
    ) -> Mirror:
        other = self.model if model is None else model
        sizes = other.vocab_size, self.model.vocab_size
        if sizes[0] != sizes[1]:
            message = "the mirror's model has {} tokens, expected {}, as many as the session's"
            raise OptionError(message.format(*sizes), name="model")
        branch = self.course.open_branch(other, prompt)
        if self.course.followers.entourage.prompts is None:
            for request in self.course.requests:
                branch.check_room(request.prompt)
        return FollowingMirror(branch, self.course.main, self._reader, self.course.meter)

    @override
    def hidden_history(self, layer: int) -> HiddenHistory:
        number = layer_number(layer, self.model.layers, "hidden_history")
        return self.course.main.open_history(number, self.course.followers.entourage.acts_on)

    @override
    def rehearse(self, rows: Rows) -> Rehearsal:
        return ImaginedRows(self.course.chain, self.model, rows)

    @override
    def per_row(
        self,
        initial: Callable[[Prompt], Value],
        accept: Callable[[Value, int, Tensor | None], Value],
        copy: Callable[[Value], Value] | None = None,
    ) -> PerRow[Value]:
        column = Column(initial, accept, copy, self.course.followers.entourage)
        self.course.followers.join(column, Turn.COLUMN)
        return column

    @override
    def per_row_tensor(
        self,
        initial: Callable[[Prompt], Tensor],
        accept: Callable[[Tensor, Tokens, Logits | None], Tensor],
    ) -> PerRowTensor:
        column = TensorColumn(initial, accept, self.course.followers.entourage)
        self.course.followers.join(column, Turn.COLUMN)
        return column

    @override
    def texts(self) -> list[str]:
        return [row.text for row in self.course.write_text().rows]

    @override
    def completions(self, rows: Sequence[int] | Counts) -> list[Completion]:
        seats = whole_numbers(rows, "completions")
        check_seats(seats, len(self.rows), "completions")
        return [self.course.delivery.completion(seat, "strategy") for seat in seats]

    def _active(self) -> list[int]:
        """The rows that are neither finished nor waiting."""
        waiting = self._waiting
        return [
            seat
            for seat, row in enumerate(self.course.store.rows)
            if row.finish_reason is None and seat not in waiting
        ]
