"""Delivery: what became certain of the rows, on its way to the caller."""

from collections import Counter
from collections.abc import Sequence

from gpt2sdk.components.records import Completion, Delta, FinishReason, Prompt
from gpt2sdk.components.rows import Board
from gpt2sdk.errors import PluginContractError
from gpt2sdk.session.completions import Completions, number
from gpt2sdk.session.logprobs import Logprobs
from gpt2sdk.streaming import TextDecoder, Transcript, spell


class Delivery:
    """Turns rows into deltas and completions; follows them to know what was handed over.

    Attributes:
        transcript: The rows' text where it is kept as they grow.
        logprobs: The tokens' log-probabilities where they are kept.
        handed: Whether each row's completion was sent.
        new_tokens: Tokens of all completions sent so far.
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
        self._outbox: list[Delta] = []

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
        """Take a row's present sequence in as a completion with a score."""
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
        shown = self.transcript.rows[place]
        tokens = row.new_tokens[shown.shown_tokens : max(row.grown - held_tokens, 0)]
        if text or tokens:
            shown.shown_tokens += len(tokens)
            self._outbox.append(Delta(text, tuple(tokens), row.prompt.index, row.lane))

    def hand_over(self, place: int, otherwise: FinishReason) -> None:
        """Send a row's completion and what its deltas still lack."""
        if not self.handed[place]:
            self.handed[place] = True
            self._send(self._completion(place, otherwise), place)

    def check_enough(self, strategy: str) -> None:
        """Make sure that each prompt has its completions, handed in or as rows.

        Args:
            strategy: Who made them.

        Raises:
            PluginContractError: There are fewer rows than completions wanted, and none handed in.
        """
        counts = Counter(row.prompt for row in self._board.rows)
        for prompt, count in counts.items():
            if count < self._wanted and not self._best.of(prompt.index):
                message = (
                    f"{strategy} grew {count} of {self._wanted} completions of prompt "
                    f"{prompt.index}: it has to fork the row itself, or to be rows_independent"
                )
                raise PluginContractError(message, plugin=strategy)

    def drop(self, prompt: Prompt, strategy: str) -> None:
        """Send the completions of a prompt whose rows are all dropped.

        Args:
            prompt: The prompt.
            strategy: Who dropped them.

        Raises:
            PluginContractError: None was handed in.
        """
        if not self.close_submitted(prompt):
            message = (
                f"{strategy} dropped prompt {prompt.index} without submitting a completion of it"
            )
            raise PluginContractError(message, plugin=strategy)

    def close_submitted(self, prompt: Prompt) -> bool:
        """Send what was submitted for a prompt, if anything was."""
        submitted = self._best.of(prompt.index)
        for completion in submitted:
            self._send(completion)
        return bool(submitted)

    def close(self, prompt: Prompt, otherwise: FinishReason) -> None:
        """Send a prompt's completions: what was submitted, or else its rows in lane order."""
        if self.close_submitted(prompt):
            return
        rows = self._board.rows
        places = [place for place, row in enumerate(rows) if row.prompt.index == prompt.index]
        for place, completion in zip(
            places, number(self._completion(place, otherwise) for place in places), strict=True
        ):
            self._send(completion, place)

    def _send(self, completion: Completion, place: int | None = None) -> None:
        text, tokens = completion.text, completion.tokens
        if place is not None and self.transcript is not None:
            text = self.transcript.rest(place)
            tokens = tokens[self.transcript.rows[place].shown_tokens :]
        self.new_tokens += len(completion.tokens)
        where = completion.prompt_index, completion.sample_index
        self._outbox.append(Delta(text, tokens, *where, completion.finish_reason, completion))

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
