"""Delivery: what became certain of the rows, on its way to the caller."""

import math
from collections import Counter
from collections.abc import Sequence

from gpt2sdk.components.records import Completion, Delta, FinishReason, Prompt
from gpt2sdk.components.rows import Board, Row
from gpt2sdk.errors import PluginContractError
from gpt2sdk.session.completions import Completions, number, untouched
from gpt2sdk.session.logprobs import Logprobs
from gpt2sdk.session.loss import Loss
from gpt2sdk.streaming import TextDecoder, Transcript, spell


class Delivery:
    """Turns rows into deltas and completions; follows them to know what was handed over.

    Attributes:
        transcript: The rows' text where it is kept as they grow.
        logprobs: The tokens' log-probabilities where they are kept.
        handed: Whether each row's completion was sent.
        new_tokens: Tokens of all completions sent so far.
        lost: Those of the completions sent that something was wrong with.
    """

    def __init__(self, board: Board, decoder: TextDecoder, wanted: int) -> None:
        self.transcript: Transcript | None = None
        self.logprobs: Logprobs | None = None
        self.new_tokens = 0
        self._board = board
        self._decoder = decoder
        self._wanted = wanted
        self._best = Completions(wanted)
        self.handed: list[bool] = []
        self.lost: list[Loss] = []
        self._outbox: list[Delta] = []
        # What was sent ahead of each completion: its text, and how many tokens.
        self._told: dict[tuple[int, int], tuple[str, int]] = {}

    def admit(self, place: int, prompt: Prompt) -> None:
        """A fresh row has handed over nothing."""
        self.handed[place : place + 1] = [False]

    def append(self, tokens: Sequence[int]) -> None:
        """Nothing is certain yet."""

    def fork(self, parents: Sequence[int]) -> None:
        """Copies have handed over what their parents had."""
        self.handed = [self.handed[parent] for parent in parents]

    def rewind(self, counts: Sequence[int]) -> None:
        """What was handed over cannot be taken back; the session sees to that."""

    def submit(self, place: int, score: float) -> None:
        """Take a row's present sequence in as a completion with a score.

        Raises:
            PluginContractError: There is no such row, or the score is no finite number.
        """
        if not 0 <= place < len(self._board.rows) or not math.isfinite(score):
            message = (
                f"submit was given row {place} with score {score}, expected rows 0 to "
                f"{len(self._board.rows) - 1} and finite scores"
            )
            raise PluginContractError(message)
        if self._board.rows[place].failure is not None:
            return
        self._best.submit(self._completion(place, "strategy"), score)

    def take(self) -> list[Delta]:
        """Empty the outbox."""
        out, self._outbox = self._outbox, []
        return out

    def show(self, place: int, held_tokens: int) -> None:
        """Send what became certain of a row that goes on."""
        row = self._board.rows[place]
        if self.transcript is None or self.handed[place]:
            return
        text = self.transcript.certain(place, held_tokens)
        tokens = row.new_tokens[: max(row.grown - held_tokens, 0)]
        self._send_rest(text, tuple(tokens), row.prompt.index, row.lane)

    def hand_over(self, place: int, otherwise: FinishReason) -> None:
        """Send a row's completion and what its deltas still lack."""
        if not self.handed[place]:
            self.handed[place] = True
            self._send(self._completion(place, otherwise))
            self._note_loss(self._board.rows[place])

    def pass_over(self, prompt: Prompt, lane: int) -> None:
        """Send an empty completion of a prompt whose row never began."""
        self._send(untouched(prompt, lane, logprobs=self.logprobs is not None))

    def check_enough(self, strategy: str) -> None:
        """Make sure that each prompt has its completions, handed in or as rows.

        Args:
            strategy: Who made them.

        Raises:
            PluginContractError: There are fewer or more rows than completions wanted, and none
                handed in.
        """
        failed = {row.prompt for row in self._board.rows if row.failure is not None}
        counts = Counter(row.prompt for row in self._board.rows)
        for prompt, count in counts.items():
            if count == self._wanted or prompt in failed or self._best.of(prompt.index):
                continue
            message = (
                f"{strategy} grew {count} of {self._wanted} completions of prompt "
                f"{prompt.index}: it has to fork the row itself, or to be rows_independent"
            )
            if count > self._wanted:
                message = (
                    f"{strategy} ends with {count} rows of prompt {prompt.index}, of which "
                    f"{self._wanted} completions are wanted: it has to submit the best, or to "
                    "fork down to them"
                )
            raise PluginContractError(message, plugin=strategy)

    def drop(self, prompt: Prompt, strategy: str) -> None:
        """Send the completions of a prompt whose rows are all dropped.

        Args:
            prompt: The prompt.
            strategy: Who dropped them.

        Raises:
            PluginContractError: None was handed in, and nothing was wrong with the rows.
        """
        rows = [row for row in self._board.rows if row.prompt is prompt]
        if all(row.failure is not None for row in rows):
            self.close(prompt, "error")
        elif not self._close_submitted(prompt):
            message = (
                f"{strategy} dropped prompt {prompt.index} without submitting a completion of it"
            )
            raise PluginContractError(message, plugin=strategy)

    def _close_submitted(self, prompt: Prompt) -> bool:
        """Send what was submitted for a prompt, if anything was."""
        submitted = self._best.of(prompt.index)
        for completion in submitted:
            self._send(completion)
        return bool(submitted)

    def close(self, prompt: Prompt, otherwise: FinishReason) -> None:
        """Send a prompt's completions: what was submitted, or else its first rows in lane order.

        Where something was wrong with the prompt, what was submitted does not count.
        """
        rows = self._board.rows
        places = [place for place, row in enumerate(rows) if row.prompt is prompt]
        failures = [rows[place].failure for place in places]
        wrong = any(failure is not None and not failure.dead for failure in failures)
        if not wrong and self._close_submitted(prompt):
            return
        del places[self._wanted :]
        for completion in number(self._completion(place, otherwise) for place in places):
            self._send(completion)
        for place in places:
            self._note_loss(rows[place])

    def _note_loss(self, row: Row) -> None:
        if row.failure is not None:
            self.lost.append(Loss(row.prompt.index, row.grown, row.failure))

    def _send(self, completion: Completion) -> None:
        self.new_tokens += len(completion.tokens)
        where = completion.prompt_index, completion.sample_index
        self._send_rest(completion.text, completion.tokens, *where, completion)

    def _send_rest(
        self,
        text: str,
        tokens: tuple[int, ...],
        prompt_index: int,
        sample_index: int,
        completion: Completion | None = None,
    ) -> None:
        """Send what a place's whole text and tokens have beyond what was sent of them."""
        told, count = self._told.get((prompt_index, sample_index), ("", 0))
        if completion is None and len(text) < len(told) and told.startswith(text):
            text = told
        if not text.startswith(told):
            self._told.clear()
            message = (
                f"the text {told!r} was certain, and now is {text!r}: a strategy that chooses "
                "among rows after a step has to declare @strategy(hold=None)"
            )
            raise PluginContractError(message)
        rest = text[len(told) :], tokens[count:]
        if self.transcript is not None and completion is None:
            self._told[prompt_index, sample_index] = text, max(count, len(tokens))
        if any(rest) or completion is not None:
            reason = None if completion is None else completion.finish_reason
            self._outbox.append(Delta(*rest, prompt_index, sample_index, reason, completion))

    def _completion(self, place: int, otherwise: FinishReason) -> Completion:
        row = self._board.rows[place]
        tokens = tuple(row.new_tokens)
        logprobs = None
        if self.logprobs is not None:
            logprobs = tuple(self.logprobs.rows[place][: len(tokens)])
        return Completion(
            text=self._text(place, tokens),
            tokens=tokens,
            prompt_index=row.prompt.index,
            sample_index=row.lane,
            finish_reason=row.finish_reason or otherwise,
            logprobs=logprobs,
        )

    def _text(self, place: int, tokens: tuple[int, ...]) -> str:
        if self.transcript is not None:
            return self.transcript.final(place)
        row = self._board.rows[place]
        ended = row.finish_reason == "end_token"
        return spell(self._decoder, row.prompt.tokens, tokens[:-1] if ended else tokens)
