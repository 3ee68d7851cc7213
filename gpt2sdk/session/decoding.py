"""The session itself: the verbs, carried out on the rows and everything that follows them."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor
from typing_extensions import override

from gpt2sdk.components.causal_lm import CausalLM
from gpt2sdk.components.records import Delta, FinishReason, Prompt, Usage
from gpt2sdk.components.rows import Board, Rows
from gpt2sdk.components.session import Mirror, PerRow, PerRowTensor, Session, Step, Vocabulary
from gpt2sdk.errors import OptionError, PluginContractError
from gpt2sdk.race import NO_TOKEN
from gpt2sdk.session.branch import Branch, Meter
from gpt2sdk.session.cancelled import Cancelled
from gpt2sdk.session.delivery import Delivery
from gpt2sdk.session.drafting import Drafting
from gpt2sdk.session.given import check_logits, check_rows, number_each, whole_numbers
from gpt2sdk.session.logprobs import Logprobs
from gpt2sdk.session.loss import Loss, lose
from gpt2sdk.session.memory import Column, TensorColumn
from gpt2sdk.session.mirror import FollowingMirror
from gpt2sdk.session.plan import Plan
from gpt2sdk.session.queue import Queue
from gpt2sdk.session.roster import Roster
from gpt2sdk.session.team import Team
from gpt2sdk.shapes import Counts, Logits, Tokens
from gpt2sdk.streaming import TextDecoder, Transcript

Value = TypeVar("Value")


class DecodingSession(Session):
    """Rows of some prompts, driven by one strategy.

    Attributes:
        steps: How many times tokens were appended.
    """

    def __init__(  # noqa: PLR0913 - made in one place, by a call
        self,
        model: CausalLM,
        vocabulary: Vocabulary,
        decoder: TextDecoder,
        prompts: Sequence[Prompt],
        plan: Plan,
        *,
        all_prompts: Sequence[Prompt] | None = None,
        streaming: bool = False,
        started: float | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        """Start every component of the plan and admit the first prompts.

        Args:
            model: What scores tokens.
            vocabulary: Text to tokens and back.
            decoder: Tokens to text as they come.
            prompts: All prompts; those that find no place wait for one.
            plan: What to do.
            all_prompts: Those of the whole call: mirrors are checked for all before any work.
            streaming: Whether text is wanted as it becomes certain.
            started: When the call began, by `time.monotonic()`; now by default.
            cancelled: Asked before each model call whether to stop.

        Raises:
            ContextOverflowError: A prompt and what it may grow by exceed the window.
        """
        self.model = model
        self.vocabulary = vocabulary
        self.num_return_sequences = plan.num_return_sequences
        self.steps = 0
        self.started = time.monotonic() if started is None else started
        self._plan = plan
        self._decoder = decoder
        self._prompts = tuple(prompts)
        self._all_prompts = self._prompts if all_prompts is None else all_prompts
        self._streaming = streaming
        self._cancelled = cancelled
        self._independent = plan.strategy.rows_independent
        self._hold = plan.strategy.hold()
        self._waiting: set[int] = set()
        self._processed: Logits | None = None
        self._board = Board(model.device, sorted(plan.eos_token_ids))
        self.rows = Rows(self._board)
        self._lose = partial(lose, self._board, independent=self._independent)
        self._meter = Meter()
        self._delivery = Delivery(self._board, decoder, plan.num_return_sequences)
        self._roster = Roster(self._board, self._delivery)
        self._main = self._open(model, lambda prompt: prompt.tokens)
        self._team = Team(plan, self, self._roster.memory)
        self._prepare()
        lanes = plan.num_return_sequences if self._independent else 1
        self._queue = Queue(self._prompts, lanes, self._roster)
        self._queue.fill(plan.batch_size if self._independent else len(self._prompts))

    def _prepare(self) -> None:
        """Make what only some calls need."""
        if self._team.wants_hidden_states:
            self._main.layers = range(self.model.layers + 1)
            self._board.show_states(self._main)
        self._drafting = None
        if self._team.drafter is not None:
            self._drafting = Drafting(self._team.drafter, self.rows, self._main)
        if self._plan.logprobs:
            self._delivery.logprobs = Logprobs(
                None if self._plan.logprobs == "processed" else self._main.judge
            )
        if self._streaming or self._plan.text_criteria:
            self._write_text()
        self._roster.line_up()

    @property
    @override
    def running(self) -> bool:
        return bool(self._queue) or any(row.finish_reason is None for row in self._board.rows)

    @override
    def next_logits(self) -> Logits:
        if not self._roster.branches:
            raise PluginContractError("the session is over: its rows grow no more")
        if self._cancelled():
            raise Cancelled
        if self._independent and (self._queue or self._hold):
            self._queue.refill()
        rows = self._board.rows
        live = [place for place, row in enumerate(rows) if row.finish_reason is None]
        known = [place for place in live if self._main.rows[place].known is not None]
        self._waiting.clear()
        if len(known) < len(live):
            if known and self._independent:
                self._waiting.update(set(live).difference(known))
                self._feed([])
            else:
                self._feed(live)
                known = live
        else:
            self._feed([])
        return self._spread(known)

    @override
    def process(self, logits: Logits) -> Logits:
        check_rows(self._board, len(logits), "process")
        out = self._processed = self._process(logits)
        if self._delivery.logprobs is not None:
            self._delivery.logprobs.note(out, range(len(logits)))
        return out

    def _process(self, logits: Logits) -> Logits:
        active = self._active()
        if not active:
            return logits
        if len(active) == len(logits):
            out, failures = self._team.chain.process(logits, self.rows)
        else:
            index = torch.tensor(active, device=logits.device)
            rows = Rows(self._board, active)
            part, failures = self._team.chain.process(logits[index], rows)
            out = logits.index_copy(0, index, part)
        if failures:
            lost = self._lose({active[at]: each for at, each in failures.items()})
            out = out.index_fill(0, torch.tensor(lost, device=out.device), -torch.inf)
        return out

    @override
    def choose(self, logits: Logits) -> Tokens:
        check_rows(self._board, len(logits), "choose")
        active = self._active()
        if logits is not self._processed:
            check_logits(self._board, logits, active, self._plan.strategy.name)
        if len(active) == len(logits):
            tokens, failures = self._team.choose(logits, self.rows)
        else:
            tokens = torch.full((len(logits),), -1, dtype=torch.int64, device=logits.device)
            if not active:
                return tokens
            index = torch.tensor(active, device=logits.device)
            some = Rows(self._board, active)
            tokens[index], failures = self._team.choose(logits[index], some)
        if failures:
            self._lose({active[at]: each for at, each in failures.items()})
        return tokens

    @override
    def append(self, tokens: Tokens | Sequence[int]) -> Step:
        taken = number_each(self._board, tokens, "append")
        for place, row in enumerate(self._board.rows):
            if row.finish_reason is not None or place in self._waiting:
                taken[place] = -1
        if NO_TOKEN in taken:
            message = f"row {taken.index(NO_TOKEN)} had no token to draw: its logits were all -inf"
            raise PluginContractError(f"{message}, or some were NaN or infinite")
        if max(taken, default=-1) >= self.model.vocab_size or min(taken, default=0) < -1:
            message = f"append was given {taken}, expected -1 to {self.model.vocab_size - 1}"
            raise PluginContractError(message)
        self._processed = None
        self._roster.append(taken)
        failures = self._team.ending.settle(self.rows, taken)
        if failures:
            self._lose(failures)
        self.steps += 1
        return Step(self.steps - 1, tuple(taken), self.rows)

    @override
    def fork(self, parents: Sequence[int] | Counts) -> None:
        places = whole_numbers(parents, "fork")
        count = len(self._board.rows)
        if any(not 0 <= place < count for place in places):
            message = f"fork was given {places}, expected places of rows, 0 to {count - 1}"
            raise PluginContractError(message)
        before = {row.prompt.index: row.prompt for row in self._board.rows}
        kept = {self._board.rows[place].prompt.index for place in places}
        for index, prompt in before.items():
            if index not in kept:
                self._delivery.drop(prompt, self._plan.strategy.name)
        self._roster.fork(places)
        waiting = [child for child, parent in enumerate(places) if parent in self._waiting]
        self._waiting = set(waiting)

    @override
    def rewind(self, counts: Sequence[int] | Counts) -> None:
        backs = number_each(self._board, counts, "rewind")
        self._roster.rewind(backs, self._hold)

    @override
    def submit(self, rows: Sequence[int], scores: Sequence[float]) -> None:
        if self._hold is not None:
            name = self._plan.strategy.name
            message = f"{name} submits rows whose text was certain: declare @strategy(hold=None)"
            raise PluginContractError(message, plugin=name)
        if len(rows) != len(scores):
            message = f"submit was given {len(rows)} rows and {len(scores)} scores"
            raise PluginContractError(message, plugin=self._plan.strategy.name)
        for place, score in zip(rows, scores, strict=True):
            self._delivery.submit(place, float(score))

    @override
    def mirror(
        self, prompt: Callable[[Prompt], Sequence[int]], model: CausalLM | None = None
    ) -> Mirror:
        other = self.model if model is None else model
        sizes = other.vocab_size, self.model.vocab_size
        if sizes[0] != sizes[1]:
            message = "the mirror's model has {} tokens, expected {}, as many as the session's"
            raise OptionError(message.format(*sizes), name="model")
        branch = self._open(other, prompt)
        return FollowingMirror(branch, self._main)

    @override
    def per_row(
        self,
        initial: Callable[[Prompt], Value],
        accept: Callable[[Value, int, Tensor | None], Value],
        copy: Callable[[Value], Value] | None = None,
    ) -> PerRow[Value]:
        column = Column(initial, accept, copy, self._roster.memory.scope)
        self._roster.memory.keep(column)
        self._roster.join(column)
        return column

    @override
    def per_row_tensor(
        self,
        initial: Callable[[Prompt], Tensor],
        accept: Callable[[Tensor, Tokens, Logits | None], Tensor],
    ) -> PerRowTensor:
        column = TensorColumn(initial, accept, self._roster.memory.scope)
        self._roster.memory.keep(column)
        self._roster.join(column)
        return column

    @override
    def texts(self) -> list[str]:
        return [row.text for row in self._write_text().rows]

    def take_deltas(self) -> list[Delta]:
        """What became certain since the last call; to be called between steps."""
        if self._streaming and self._hold is not None:
            for place, row in enumerate(self._board.rows):
                if row.finish_reason is None or self._hold or not self._independent:
                    self._delivery.show(place, self._hold)
                else:
                    self._delivery.hand_over(place, "strategy")
        return self._delivery.take()

    def finish(self, otherwise: FinishReason = "strategy") -> list[Delta]:
        """Hand over what is left, unfinished rows with the given reason."""
        if self._independent:
            for place in range(len(self._board.rows)):
                self._delivery.hand_over(place, otherwise)
        else:
            prompts = {row.prompt.index: row.prompt for row in self._board.rows}
            for prompt in prompts.values():
                self._delivery.close(prompt, otherwise)
        self._queue.pass_over()
        return self._delivery.take()

    def close(self) -> None:
        """Free the caches and the runs, whatever still refers to the session."""
        if self._roster.branches:
            self._drafting = None
            self._team.close()
            self._roster.close()

    def check_enough(self) -> None:
        """Make sure that the strategy made all that was wanted.

        Raises:
            PluginContractError: It returned while prompts waited for a place, or grew too few rows.
        """
        name = self._plan.strategy.name
        if self._queue:
            message = f"{name} returned while {len(self._queue)} rows had not begun: check running"
            raise PluginContractError(message, plugin=name)
        if not self._independent:
            self._delivery.check_enough(name)

    @property
    def acting(self) -> str:
        """The component that is at work, or was when something raised; empty for none."""
        return self._team.acting

    @property
    def lost(self) -> Sequence[Loss]:
        """The completions handed over that something was wrong with."""
        return self._delivery.lost

    def usage(self, seconds: float) -> Usage:
        """What the session cost so far."""
        prompt_tokens = sum(len(prompt.tokens) for prompt in self._prompts)
        made, meter, main = self._delivery.new_tokens, self._meter, self._main
        fed = meter.model_calls, meter.tokens_fed
        return Usage(prompt_tokens, made, *fed, main.drafted, main.accepted, seconds)

    def _open(self, model: CausalLM, prefix: Callable[[Prompt], Sequence[int]]) -> Branch:
        """Make a branch, sure that every prompt fits its model's window."""
        slide = self._plan.overflow == "slide"
        scope = self._roster.memory.scope
        branch = Branch(model, self._board, prefix, self._meter, scope, slide=slide)
        for prompt in self._all_prompts:
            branch.check_room(prompt)
        self._roster.branches.append(branch)
        self._roster.join(branch)
        return branch

    def _feed(self, live: list[int]) -> None:
        """Run the model on the rows that need it, with what the drafter proposes."""
        if self._main.layers:
            live = live + [
                place
                for place, row in enumerate(self._board.rows)
                if row.finish_reason is not None and self._main.is_behind(place)
            ]
        if not live:
            return
        proposals: list[list[int]] = [[] for _ in live]
        if self._drafting is not None:
            name = self._plan.drafter.name if self._plan.drafter is not None else ""
            with self._team.at_work(name):
                proposals = self._drafting.propose(live)
        self._main.feed(live, proposals)

    def _spread(self, places: Sequence[int]) -> Logits:
        """Logits of these rows' next positions among zeros for the others."""
        count = len(self._board.rows)
        if len(places) == count:
            return self._main.logits(places)
        out = torch.zeros(count, self.model.vocab_size, dtype=torch.float32, device=self.device)
        if places:
            out[torch.tensor(places, device=self.device)] = self._main.logits(places)
        return out

    def _active(self) -> list[int]:
        """The rows that are neither finished nor waiting."""
        rows = self._board.rows
        return [
            place
            for place, row in enumerate(rows)
            if row.finish_reason is None and place not in self._waiting
        ]

    def _write_text(self) -> Transcript:
        """Keep the rows' text from now on, what they have written included."""
        if self._delivery.transcript is None:
            transcript = Transcript(
                self._decoder, self._plan.eos_token_ids, self._team.text_criteria
            )
            self._delivery.transcript = self._team.ending.transcript = transcript
            for place, row in enumerate(self._board.rows):
                transcript.admit(place, row.prompt)
                transcript.catch_up(place, row.new_tokens)
            self._roster.line_up()
        return self._delivery.transcript
