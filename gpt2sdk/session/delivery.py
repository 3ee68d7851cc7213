"""Delivery: what rows have written, on its way to the requests they belong to."""

from collections.abc import Sequence
from dataclasses import replace

from gpt2sdk.components.records import Completion, FinishReason, Row
from gpt2sdk.components.rows import RowStore
from gpt2sdk.session.logprobs import Logprobs, Recorded, recorded
from gpt2sdk.session.request import Loss, Request
from gpt2sdk.streaming import TextDecoder, Transcript, spell


class Delivery:
    """Makes deltas and completions of rows.

    Attributes:
        transcript: The rows' text, where it is kept as they grow.
        logprobs: The tokens' log-probabilities, where they are kept.
    """

    def __init__(self, store: RowStore, decoder: TextDecoder) -> None:
        self.transcript: Transcript | None = None
        self.logprobs: Logprobs | None = None
        self._store = store
        self._decoder = decoder

    def completion(self, seat: int, otherwise: FinishReason) -> Completion:
        """A row as a completion; `otherwise` is its reason where it has none."""
        row = self._store.rows[seat]
        tokens = tuple(row.new_tokens)
        if self.transcript is not None:
            text = self.transcript.final(seat)
        else:
            ended = row.finish_reason == "end_token"
            text = spell(self._decoder, row.prompt, tokens[:-1] if ended else tokens)
        reason = row.finish_reason or otherwise
        made = Completion(text, tokens, row.prompt.index, row.lane, reason)
        return made if self.logprobs is None else replace(made, **self.logprobs.of(seat))

    def show(self, seat: int, request: Request, hold: int) -> None:
        """Send what became certain of a row that goes on."""
        row = self._store.rows[seat]
        if request.streaming and not row.handed and self.transcript is not None:
            text = self.transcript.certain(seat, hold)
            tokens = row.new_tokens[: max(row.grown - hold, 0)]
            new: Recorded = {}
            if self.logprobs is not None:
                new = self.logprobs.of(seat, request.told(row.lane), len(tokens))
            request.tell(row.lane, text, tokens, new.get("logprobs"), new.get("top_logprobs"))

    def hand_over(self, seat: int, request: Request, otherwise: FinishReason) -> None:
        """Send a row's completion and what its deltas still lack."""
        row = self._store.rows[seat]
        if not row.handed:
            row.handed = True
            self._note_loss(row, request)
            request.finish(self.completion(seat, otherwise))

    def close(self, request: Request, otherwise: FinishReason, unborn: Sequence[int]) -> None:
        """Send all that there is of a request; its rows stay, finished.

        Args:
            request: Whose rows they are.
            otherwise: The reason of those that have none.
            unborn: The lanes of its rows that have not begun.
        """
        rows = self._store.rows
        mine = [seat for seat, row in enumerate(rows) if row.prompt is request.prompt]
        for seat in mine:
            rows[seat].finish_reason = rows[seat].finish_reason or otherwise
        if request.lead.strategy.rows_independent:
            for seat in mine:
                self.hand_over(seat, request, otherwise)
        elif mine or request.submitted:
            # Of hypotheses that had no token left, nothing is told where others were handed in.
            for row in (rows[seat] for seat in mine):
                if row.failure is not None and not (row.failure.dead and request.submitted):
                    self._note_loss(row, request)
            request.close(self.completion(seat, otherwise) for seat in mine)
        reason = "cancelled" if otherwise == "error" else otherwise
        nothing: Recorded = {} if request.logprobs is None else recorded(())
        for lane in unborn:
            unbegun = Completion("", (), request.prompt.index, lane, reason)
            request.finish(replace(unbegun, **nothing))
        for seat in mine:
            rows[seat].handed = True
        request.over = True

    def _note_loss(self, row: Row, request: Request) -> None:
        if row.failure is not None and request.loss is None:
            request.loss = Loss(row.failure, row.grown)
