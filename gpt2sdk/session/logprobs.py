"""Log-probabilities of the tokens that were appended, where a request asks for them."""

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch

from gpt2sdk.components.records import Prompt, Row
from gpt2sdk.session.reader import gather_rows
from gpt2sdk.shapes import Logits

Line = tuple[torch.Tensor, int]
"""Logits of several rows, and which line of them is one row's."""


class Logprobs:
    """One number per appended token and row, following the rows."""

    def __init__(
        self,
        wanted: Callable[[Prompt], bool | Literal["processed"]],
        raw: Callable[[int], Line | None],
    ) -> None:
        """Start empty.

        Args:
            wanted: What a prompt's tokens are judged by: nothing, the model's own logits, or the
                processed ones that `note` is given.
            raw: Finds the model's own logits for a row's next token.
        """
        self.rows: list[list[float]] = []
        self._wanted: list[bool | Literal["processed"]] = []
        self._noted: list[Line | None] = []
        self._asks = wanted
        self._raw = raw

    def of(self, seat: int) -> tuple[float, ...] | None:
        """The numbers of a row's tokens, if they are wanted."""
        return tuple(self.rows[seat]) if self._wanted[seat] else None

    def note(self, logits: Logits) -> None:
        """Take the processed logits of all rows."""
        for seat, wanted in enumerate(self._wanted):
            if wanted == "processed":
                self._noted[seat] = (logits, seat)

    def admit(self, seat: int, row: Row) -> None:
        """A fresh row has none."""
        self.rows[seat : seat + 1] = [[]]
        self._wanted[seat : seat + 1] = [self._asks(row.prompt)]
        self._noted[seat : seat + 1] = [None]

    def append(self, tokens: Sequence[int]) -> None:
        """Judge each row's token; one that nothing had scored gets NaN."""
        judged = {
            seat: math.nan
            for seat, (token, wanted) in enumerate(zip(tokens, self._wanted, strict=True))
            if token >= 0 and wanted
        }
        scored = [(seat, found) for seat in judged if (found := self._judge(seat)) is not None]
        if scored:
            logits = gather_rows([found for _, found in scored])
            taken = torch.tensor([tokens[seat] for seat, _ in scored], device=logits.device)
            numbers = logits.gather(-1, taken[:, None])[:, 0] - logits.logsumexp(-1)
            seats = [seat for seat, _ in scored]
            judged.update(zip(seats, numbers.tolist(), strict=True))
        for seat, value in judged.items():
            self.rows[seat].append(value)
            self._noted[seat] = None

    def fork(self, parents: Sequence[int]) -> None:
        """Copies have the same past."""
        self.rows = [list(self.rows[parent]) for parent in parents]
        self._wanted = [self._wanted[parent] for parent in parents]
        self._noted = [self._noted[parent] for parent in parents]

    def rewind(self, counts: Sequence[int]) -> None:
        """Forget each row's last ones."""
        for seat, count in enumerate(counts):
            if count and self._wanted[seat]:
                del self.rows[seat][-count:]
                self._noted[seat] = None

    def _judge(self, seat: int) -> Line | None:
        return self._noted[seat] if self._wanted[seat] == "processed" else self._raw(seat)
