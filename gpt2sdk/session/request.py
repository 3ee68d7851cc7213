"""A request: one prompt on its way through a session, with all that acts on it and comes of it."""

import time
from bisect import insort
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Generic, Literal, TypeVar

from gpt2sdk.components.causal_lm import CausalLM
from gpt2sdk.components.component import Component, identity
from gpt2sdk.components.drafter import Drafter
from gpt2sdk.components.processor import LogitsProcessor
from gpt2sdk.components.records import Completion, Delta, Failure, Prompt, Row, Usage
from gpt2sdk.components.sampler import Sampler
from gpt2sdk.components.stopping import StoppingCriterion, TextCriterion
from gpt2sdk.components.strategy import Strategy
from gpt2sdk.errors import PluginContractError
from gpt2sdk.session.checks import layer_number

C_co = TypeVar("C_co", bound=Component, covariant=True)


TopLogprobs = tuple[tuple[tuple[int, float], ...], ...]
"""The likeliest tokens of each step, as `Completion.top_logprobs` has them."""


@dataclass(frozen=True, slots=True)
class Link(Generic[C_co]):
    """A component in the chain of a request.

    Attributes:
        purpose: Its name, `name#1` for its second occurrence, and so on; it keys the component's
            random numbers and names it in errors.
        component: What acts.
    """

    purpose: str
    component: C_co


@dataclass(slots=True)
class Meter:
    """Counts what requests cost; those of one call share one."""

    prompt_tokens: int = 0
    new_tokens: int = 0
    model_calls: int = 0
    tokens_fed: int = 0
    drafted: int = 0
    accepted: int = 0
    began: float = 0.0
    ended: float = 0.0

    def usage(self) -> Usage:
        """What it has counted, from the first model call to the last completion."""
        seconds = max(self.ended - self.began, 0.0) if self.began else 0.0
        return Usage(
            self.prompt_tokens,
            self.new_tokens,
            self.model_calls,
            self.tokens_fed,
            self.drafted,
            self.accepted,
            seconds,
        )


@dataclass(frozen=True, slots=True)
class Lead:
    """What requests must have in common to be rows of one session."""

    strategy: Strategy
    sampler: Sampler
    drafter: Drafter | None = None
    num_return_sequences: int = 1
    overflow: Literal["error", "slide"] = "error"

    @property
    def identity(self) -> object:
        """What equal leads share."""
        components = self.strategy, self.sampler, self.drafter
        return *map(identity, components), self.num_return_sequences, self.overflow


@dataclass(frozen=True, slots=True)
class Loss:
    """That something was wrong with a completion.

    Attributes:
        failure: What it was.
        step: How many tokens the row had, or how many steps the session had made.
        alone: Whether it was wrong with this request alone, not with its whole session.
    """

    failure: Failure
    step: int
    alone: bool = True


@dataclass(slots=True, eq=False, weakref_slot=True)
class Request:
    """A prompt, what acts on its rows, and what became of them so far.

    Attributes:
        prompt: What is continued, and how far.
        lead: What makes its rows grow.
        processors: Its chain, in the order it runs.
        criteria: Its token criteria, in the order their reasons count.
        text_criteria: Its text criteria, likewise.
        logprobs: How many of the likeliest tokens to record beside each one with its
            log-probability; `None` to record none.
        streaming: Whether its text is wanted as it becomes certain.
        cancelled: Asked before each model call whether it is to end.
        number: Which of the requests it is that its engine was given, in order.
        turn: When its next row begins, among those that wait: the lower one first.
        outbox: Where its deltas go; those of one call share one.
        meter: What counts its cost; those of one call share one.
        loss: What was wrong with it; `None` for nothing.
        over: Whether all its completions were sent.
    """

    prompt: Prompt
    lead: Lead
    processors: tuple[Link[LogitsProcessor], ...] = ()
    criteria: tuple[Link[StoppingCriterion], ...] = ()
    text_criteria: tuple[Link[TextCriterion], ...] = ()
    logprobs: int | None = None
    streaming: bool = False
    cancelled: Callable[[], bool] = lambda: False
    number: int = 0
    turn: int = 0
    outbox: deque[Delta] = field(default_factory=deque)
    meter: Meter = field(default_factory=Meter)
    loss: Loss | None = None
    over: bool = False
    _submitted: list[Completion] = field(default_factory=list)
    # What was sent ahead of each completion, by lane: its text, and how many tokens.
    _told: dict[int, tuple[str, int]] = field(default_factory=dict)
    _sent: int = 0

    def submit(self, completion: Completion, score: float) -> None:
        """Take a completion in if it is among the best by score; on ties the earlier one stays."""
        self._submitted.append(replace(completion, score=score))
        self._submitted.sort(key=lambda each: -(each.score or 0.0))
        del self._submitted[self.lead.num_return_sequences :]

    def told(self, lane: int) -> int:
        """How many tokens of a row were sent."""
        return self._told.get(lane, ("", 0))[1]

    def tell(
        self,
        lane: int,
        text: str,
        tokens: Sequence[int],
        logprobs: tuple[float, ...] | None = None,
        top_logprobs: TopLogprobs | None = None,
    ) -> None:
        """Send what became certain of a row that goes on.

        Args:
            lane: Which row it is.
            text: Its text so far.
            tokens: Its tokens so far.
            logprobs: The log-probabilities of those that were not sent yet.
            top_logprobs: The likeliest tokens where these stand.
        """
        told = self._told.get(lane, ("", 0))[0]
        if len(text) < len(told) and told.startswith(text):
            text = told
        new, found = self._rest(lane, text, tuple(tokens))
        self._told[lane] = text, max(self.told(lane), len(tokens))
        if new or found:
            delta = Delta(new, found, self.prompt.index, lane)
            self.outbox.append(replace(delta, logprobs=logprobs, top_logprobs=top_logprobs))

    def finish(self, completion: Completion) -> None:
        """Send the completion of one row, and what its deltas still lack."""
        self._finish(completion)
        self.over = self._sent >= self.lead.num_return_sequences

    def close(self, rows: Iterable[Completion]) -> None:
        """Send all completions at once: what was submitted, best first, or else these.

        Where something was wrong, what was submitted does not count.
        """
        chosen = rows if self.loss is not None else self._submitted or rows
        for index, completion in enumerate(islice(chosen, self.lead.num_return_sequences)):
            self._finish(replace(completion, sample_index=index))
        self.over = True

    def wanted_layers(self, model: CausalLM) -> set[int]:
        """The layers whose hidden states its chain reads; as `wanted_layers` of a component."""
        return set().union(*(wanted_layers(each.component, model) for each in self.processors))

    @property
    def submitted(self) -> int:
        """How many completions were submitted and kept."""
        return len(self._submitted)

    def _finish(self, completion: Completion) -> None:
        completion = self._parsed(completion)
        self._sent += 1
        self.meter.ended = time.perf_counter()
        self.meter.new_tokens += len(completion.tokens)
        lane = completion.sample_index
        text, tokens = self._rest(lane, completion.text, completion.tokens)
        first = self.told(lane)
        self._told.pop(lane, None)
        reason, logprobs, top = (
            completion.finish_reason,
            completion.logprobs,
            completion.top_logprobs,
        )
        delta = Delta(text, tokens, self.prompt.index, lane, reason, completion)
        if logprobs is not None and top is not None:
            delta = replace(delta, logprobs=logprobs[first:], top_logprobs=top[first:])
        self.outbox.append(delta)

    def _parsed(self, completion: Completion) -> Completion:
        """A completion with what it says, where a processor gave it a form."""
        for link in self.processors:
            said = link.component.parse(completion)
            if said is not None:
                return replace(completion, parsed=said)
        return completion

    def _rest(self, lane: int, text: str, tokens: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
        """Return what a row's whole text and tokens have beyond what was sent of them."""
        told, count = self._told.get(lane, ("", 0))
        if not text.startswith(told):
            message = (
                f"the text {told!r} was certain, and now is {text!r}: a strategy that chooses "
                "among rows after a step has to declare @strategy(hold=None)"
            )
            raise PluginContractError(message)
        return text[len(told) :], tokens[count:]


class Requests:
    """The requests of a session that are not over, and which of their rows wait to begin."""

    def __init__(self) -> None:
        self._by_prompt: dict[Prompt, Request] = {}
        self._queue: deque[Request] = deque()
        self._unborn: dict[Request, int] = {}
        self._waiting = 0

    def __iter__(self) -> Iterator[Request]:
        return iter(tuple(self._by_prompt.values()))

    def __len__(self) -> int:
        return len(self._by_prompt)

    @property
    def waiting(self) -> int:
        """How many rows have not begun."""
        return self._waiting

    def of(self, prompt: Prompt) -> Request | None:
        """The request of a prompt; `None` once it is over."""
        return self._by_prompt.get(prompt)

    def judging(self, prompt: Prompt) -> int | None:
        """How many of the likeliest tokens are recorded for a prompt; `None` for nothing."""
        request = self._by_prompt.get(prompt)
        return None if request is None else request.logprobs

    def add(self, request: Request) -> None:
        """Take a request in; its rows do not wait yet."""
        self._by_prompt[request.prompt] = request

    def wait(self, request: Request) -> None:
        """Let the rows of a request wait for a seat."""
        lanes = lanes_of(request)
        self._seat(request)
        self._unborn[request] = lanes
        self._waiting += lanes

    def first(self) -> Request | None:
        """Whose row is the next to begin."""
        # Who was dropped meanwhile is passed over here, so that dropping takes no search.
        while self._queue and self._queue[0] not in self._unborn:
            self._queue.popleft()
        return self._queue[0] if self._queue else None

    @property
    def oldest(self) -> tuple[int, int]:
        """The turn and the number of the `first` request; of none, 0."""
        first = self.first()
        return (0, 0) if first is None else (first.turn, first.number)

    def begin(self, request: Request) -> Row:
        """The next row of the `first` request."""
        lane = lanes_of(request) - self._unborn[request]
        self._queue.popleft()
        self._waiting -= 1
        self._unborn[request] -= 1
        if not self._unborn[request]:
            del self._unborn[request]
        else:
            request.turn += 1
            self._seat(request)
        return Row(request.prompt, lane, list(request.prompt.tokens))

    def _seat(self, request: Request) -> None:
        insort(self._queue, request, key=lambda each: (each.turn, each.number))

    def drop(self, request: Request) -> list[int]:
        """Forget a request; returns the lanes of the completions that had not begun."""
        self._by_prompt.pop(request.prompt, None)
        left = self._unborn.pop(request, 0)
        self._waiting -= left
        if not left or not request.lead.strategy.rows_independent:
            return list(range(request.lead.num_return_sequences)) if left else []
        lanes = lanes_of(request)
        return list(range(lanes - left, lanes))


def lanes_of(request: Request) -> int:
    """How many rows of a request wait in the beginning: all its lanes, or the first."""
    lead = request.lead
    return lead.num_return_sequences if lead.strategy.rows_independent else 1


def wanted_layers(component: Strategy | LogitsProcessor, model: CausalLM) -> set[int]:
    """The layers whose hidden states a component reads, counted from the first.

    Raises:
        OptionError: The model has no such layer.
    """
    owner = f"{component.name}: hidden states"
    return {layer_number(each, model.layers, owner) for each in component.wants(model)}
