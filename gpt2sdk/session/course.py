"""A course: how the requests of one session begin, are read for, delivered and end."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from gpt2sdk.components.causal_lm import CausalLM
from gpt2sdk.components.records import Failure, FinishReason, Prompt
from gpt2sdk.components.rows import Rows, RowStore
from gpt2sdk.components.session import Session
from gpt2sdk.errors import PluginContractError
from gpt2sdk.session.branch import Branch
from gpt2sdk.session.chain import Chain
from gpt2sdk.session.checks import check_completions, raising
from gpt2sdk.session.delivery import Delivery
from gpt2sdk.session.drafting import Drafting
from gpt2sdk.session.followers import Followers, Turn
from gpt2sdk.session.forcing import forced, merged
from gpt2sdk.session.logprobs import Logprobs
from gpt2sdk.session.reader import Reader, Reading, by_model
from gpt2sdk.session.request import Lead, Loss, Meter, Request, Requests, wanted_layers
from gpt2sdk.shapes import Logits
from gpt2sdk.streaming import TextDecoder, Transcript


class Course:
    """Requests that one strategy serves, and the organs of the session in which it does.

    Attributes:
        lead: What all its requests have in common.
        requests: Those that are not over.
        store: The rows.
        followers: All that follows them.
        main: What the session's own model knows of them.
        chain: What acts on them.
        delivery: What of them is on its way to the requests.
        steps: How many times tokens were appended.
        processed: What the chain made last, until tokens are appended.
        room: How many rows the engine lets begin between two of its steps; any number by default.
        read: Whether the rows were read since the last step, and are as they were then.
        over: Whether nothing more will come of it.
    """

    def __init__(self, reader: Reader, decoder: TextDecoder, lead: Lead) -> None:
        """Start without rows.

        Args:
            reader: What runs the models.
            decoder: Tokens to text as they come.
            lead: What all requests have in common.
        """
        self.lead = lead
        self.requests = Requests()
        self.room: Callable[[], int] | None = None
        self.read = False
        self.over = False
        self.processed: Logits | None = None
        self.steps = 0
        self.store = RowStore(reader.model.device)
        self.followers = Followers(self.store, lead.strategy.hold() if lead.strategy.rewinds else 0)
        self.delivery = Delivery(self.store, decoder)
        self._reader = reader
        self._decoder = decoder
        self._independent = lead.strategy.rows_independent
        self._hold = lead.strategy.hold()
        self.main = self.open_branch(reader.model, lambda prompt: prompt.tokens)
        self.main.meter = self.meter
        self.store.show_states(self.main)
        self._drafting: Drafting | None = None
        self._layers = wanted_layers(lead.strategy, reader.model)
        self._keep_hidden_states()
        # What keeps hidden states of prompts is opened before these are read.
        self.main.wanted = not self._layers

    def start(self, session: Session, requests: Sequence[Request]) -> None:
        """Start the components of the session and of its first requests.

        Raises:
            ContextOverflowError: A prompt and what it may grow by exceed the window.
        """
        self.chain = Chain(self.lead, session, self.followers)
        if self.chain.drafter is not None and self.lead.drafter is not None:
            run, cost = self.chain.drafter.run, self.lead.drafter.cost(session)
            self._drafting = Drafting(run, Rows(self.store), self.main, cost)
        for request in requests:
            self.enqueue(request)

    @property
    def live(self) -> int:
        """How many rows are unfinished."""
        return sum(row.finish_reason is None for row in self.store.rows)

    @property
    def size(self) -> int:
        """Room it takes: rows, or prompts where rows are compared; ends that may return count."""
        if not self._independent:
            return len(self.requests)
        return sum(not row.handed for row in self.store.rows) if self._hold else self.live

    @property
    def acting(self) -> str:
        """What is at work, or was when something raised; the strategy for none."""
        return self.chain.acting or self.lead.strategy.name

    def enqueue(self, request: Request) -> None:
        """Let a request wait for room, its components started and its prompts checked.

        Raises:
            ContextOverflowError: Its prompt, or a mirror's, and what it may grow by exceed the
                window.
        """
        prompt = request.prompt
        self.requests.add(request)
        try:
            self.chain.admit(request)
            self.followers.check_room(prompt, self.chain.entourages(prompt))
            if request.wanted_layers(self.main.model):
                self._keep_hidden_states()
        except Exception:
            self.forget(request)
            raise
        if request.logprobs is not None and self.delivery.logprobs is None:
            self.delivery.logprobs = Logprobs(self.requests.judging, self.main.line)
            self.followers.join(self.delivery.logprobs, Turn.LOGPROBS, self.followers.own)
        if request.streaming or request.text_criteria:
            self.write_text()
        request.meter.prompt_tokens += len(prompt.tokens)
        self.requests.wait(request)

    def refill(self, room: int | None = None) -> None:
        """Let waiting rows begin, in the seats of rows that are over, or behind the last.

        A row is over as soon as it has finished; where its strategy may take its end back, when
        that next asks for logits (docs/decisions/0005-when-a-row-is-over.md).

        Args:
            room: How many may begin; by default, where logits are asked for, as many as are over.
        """
        free = []
        for seat, row in enumerate(self.store.rows):
            over = row.finish_reason is not None
            over = over and (room is None or not self._hold or row.handed)
            if over and self._independent:
                self._hand_over(seat)
                free.append(seat)
        count = len(self.store.rows)
        if room is None:
            room = len(free) if self.room is None else min(len(free), self.room())
        for seat in [*free, *range(count, count + room)][:room]:
            while (first := self.requests.first()) is not None and first.cancelled():
                self.end(first, "cancelled")
            if first is None:
                return
            self.followers.wake(self.chain.entourages(first.prompt))
            self.followers.admit(seat, self.requests.begin(first))
            self.lose(self.followers.take_failures())

    def end_cancelled(self) -> None:
        """End the requests that were cancelled; those that wait, when their turn comes."""
        last = None
        for row in self.store.rows:
            if row.handed or row.prompt is last:
                continue
            last = row.prompt
            request = self.requests.of(last)
            if request is not None and request.cancelled():
                self.end(request, "cancelled")

    def due(self) -> list[int]:
        """The rows to be read before the strategy's next step.

        There are none while some were scored ahead, and none for a strategy that asked for no
        logits in its last step.
        """
        return self.followers.unread(together=not self._independent) if self.main.wanted else []

    def ask(self) -> None:
        """Make sure that every row that goes on has been read, or waits for those that have."""
        if self.over:
            raise PluginContractError("the session is over: its rows grow no more")
        self.main.asked = True
        if self.read and not self._hold:
            return
        if self._hold or not self.live:
            self.refill()
        if self.followers.unread(together=not self._independent):
            # The strategy has not yielded: whoever cancels it is heard here alone.
            self.end_cancelled()
            due = self.followers.unread(together=not self._independent)
            for readings in by_model(self.readings(due) if due else ()):
                self._reader.read(readings)

    def readings(self, seats: Sequence[int]) -> list[Reading]:
        """What is to be read for these rows: their own sequences, and those of mirrors in use."""
        proposals: list[list[int]] | None = None
        some, together = Rows(self.store, seats), not self._independent
        certain = forced(self.chain, some, self.main, together=together)
        if self._drafting is not None and self.lead.drafter is not None:
            self.chain.acting = self.lead.drafter.name
            proposals = self._drafting.propose(seats)
            self.chain.acting = ""
        proposals = merged(len(seats), proposals, certain) if certain else proposals
        return self.followers.readings(seats, proposals, self.meter)

    def deliver(self) -> None:
        """Send what became certain; to be called after each step."""
        self.read = False
        for branch in self.followers.branches:
            branch.wanted, branch.asked = branch.asked, False
        if self._hold is None:
            return
        writing = self.delivery.transcript is not None
        for seat, row in enumerate(self.store.rows):
            if row.finish_reason is not None and self._independent and not self._hold:
                self._hand_over(seat)
            elif writing and (request := self.requests.of(row.prompt)) is not None:
                self.delivery.show(seat, request, self._hold)

    def finish(self) -> None:
        """Send what is left once the strategy is done.

        Raises:
            PluginContractError: It returned while requests waited for a seat, or grew too few
                rows.
        """
        name, wanted = self.lead.strategy.name, self.lead.num_return_sequences
        if self.requests.waiting:
            message = f"{name} returned while {self.requests.waiting} rows had not begun: "
            raise PluginContractError(message + "check running", plugin=name)
        counts = Counter(row.prompt for row in self.store.rows)
        lost = {row.prompt for row in self.store.rows if row.failure is not None}
        for request in self.requests:
            if not (self._independent or request.submitted or request.prompt in lost):
                check_completions(name, counts[request.prompt], wanted, request.prompt.index)
        for request in self.requests:
            self.end(request, "strategy")

    def end(
        self, request: Request, otherwise: FinishReason, error: Exception | None = None
    ) -> None:
        """Send what there is of a request, and be done with it.

        Args:
            request: Its rows stay, finished.
            otherwise: The reason of rows that had none yet.
            error: What it failed of.
        """
        if error is not None and request.loss is None:
            request.loss = Loss(raising(self.acting, error), self.steps, alone=False)
        unborn = self.requests.drop(request)
        try:
            self.delivery.close(request, otherwise, unborn)
        except Exception as failure:  # noqa: BLE001 - the request carries it
            request.loss = request.loss or Loss(raising(self.acting, failure), self.steps)
            request.over = True
        finally:
            self.forget(request)

    def lose(self, failures: Mapping[int, Failure]) -> list[int]:
        """End rows that cannot go on, and those they take along.

        Of rows that depend on one another all of a prompt are lost with one, but not with a
        hypothesis that merely has no token to go on with.

        Args:
            failures: What is wrong with some rows, by seat.

        Returns:
            The seats of all rows that are lost.
        """
        lost, rows = dict(failures), self.store.rows
        if not self._independent:
            wrong = {
                rows[seat].prompt: failure for seat, failure in failures.items() if not failure.dead
            }
            for seat, row in enumerate(rows):
                if row.prompt in wrong:
                    lost[seat] = wrong[row.prompt]
        for seat, failure in lost.items():
            rows[seat].fail(failure)
        return list(lost)

    def drop(self, prompt: Prompt) -> None:
        """Send the completions of a prompt whose rows are about to be dropped.

        Raises:
            PluginContractError: None was handed in, and nothing was wrong with the rows.
        """
        request = self.requests.of(prompt)
        if request is None:
            return
        lost = any(row.failure is not None for row in self.store.rows if row.prompt is prompt)
        if not request.submitted and not lost:
            name = self.lead.strategy.name
            message = f"{name} dropped prompt {prompt.index} without submitting a completion of it"
            raise PluginContractError(message, plugin=name)
        self.end(request, "strategy")

    def close(self) -> None:
        """Let go of everything that takes memory, whoever still holds the session."""
        self.over, self.processed, self.room = True, None, None
        self.followers.close()
        # Runs hold the session: no cycle stays.
        self.main.meter, self._drafting = None, None
        self.delivery.transcript, self.delivery.logprobs = None, None
        del self.chain

    def _hand_over(self, seat: int) -> None:
        """Send a finished row's completion."""
        request = self.requests.of(self.store.rows[seat].prompt)
        if request is not None:
            self.delivery.hand_over(seat, request, "strategy")
            if request.over:
                self.forget(request)

    def forget(self, request: Request) -> None:
        """Let go of a request that is over, what its rows hold, and what acted on it alone."""
        self.requests.drop(request)
        if self._independent:
            for branch in self.followers.branches:
                branch.leave(request.prompt)
        self.chain.release(request.prompt)
        if self.main.layers:
            self._keep_hidden_states()

    def open_branch(self, model: CausalLM, prefix: Callable[[Prompt], Sequence[int]]) -> Branch:
        """Let a model follow the rows, for whoever is being started."""
        slots, acts_on = self._reader.slots(model), self.followers.entourage.acts_on
        slide = self.lead.overflow == "slide"
        branch = Branch(slots, self.store, prefix, acts_on, slide=slide)
        self.followers.join(branch, Turn.BRANCH)
        return branch

    def _keep_hidden_states(self) -> None:
        """Keep the layers that the strategy, and the requests that are there, name."""
        named = (request.wanted_layers(self.main.model) for request in self.requests)
        self.main.keep_layers(sorted(self._layers.union(*named)))

    def meter(self, prompt: Prompt) -> Meter:
        """Who counts the cost for a prompt."""
        request = self.requests.of(prompt)
        return Meter() if request is None else request.meter

    def write_text(self) -> Transcript:
        """Keep the rows' text from now on, what they have written included."""
        if self.delivery.transcript is None:
            self.delivery.transcript = Transcript(
                self._decoder, self.chain.text_criteria, self.followers.failures
            )
            self.followers.join(self.delivery.transcript, Turn.TEXT, self.followers.own)
        return self.delivery.transcript
