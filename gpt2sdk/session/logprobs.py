"""Log-probabilities of the tokens that were appended, where a request asks for them."""

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch

from gpt2sdk.components.records import Prompt
from gpt2sdk.components.rows import Row
from gpt2sdk.session.slots import gather_rows
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

    def of(self, place: int) -> tuple[float, ...] | None:
        """The numbers of a row's tokens, if they are wanted."""
        return tuple(self.rows[place]) if self._wanted[place] else None

    def note(self, logits: Logits) -> None:
        """Take the processed logits of all rows."""
        for place, wanted in enumerate(self._wanted):
            if wanted == "processed":
                self._noted[place] = (logits, place)

    def admit(self, place: int, row: Row) -> None:
        """A fresh row has none."""
        self.rows[place : place + 1] = [[]]
        self._wanted[place : place + 1] = [self._asks(row.prompt)]
        self._noted[place : place + 1] = [None]

    def append(self, tokens: Sequence[int]) -> None:
        """Judge each row's token; one that nothing had scored gets NaN."""
        judged = {
            place: math.nan
            for place, (token, wanted) in enumerate(zip(tokens, self._wanted, strict=True))
            if token >= 0 and wanted
        }
        scored = [(place, found) for place in judged if (found := self._judge(place)) is not None]
        if scored:
            logits = gather_rows([found for _, found in scored])
            taken = torch.tensor([tokens[place] for place, _ in scored], device=logits.device)
            numbers = logits.gather(-1, taken[:, None])[:, 0] - logits.logsumexp(-1)
            places = [place for place, _ in scored]
            judged.update(zip(places, numbers.tolist(), strict=True))
        for place, value in judged.items():
            self.rows[place].append(value)
            self._noted[place] = None

    def fork(self, parents: Sequence[int]) -> None:
        """Copies have the same past."""
        self.rows = [list(self.rows[parent]) for parent in parents]
        self._wanted = [self._wanted[parent] for parent in parents]
        self._noted = [self._noted[parent] for parent in parents]

    def rewind(self, counts: Sequence[int]) -> None:
        """Forget each row's last ones."""
        for place, count in enumerate(counts):
            if count and self._wanted[place]:
                del self.rows[place][-count:]
                self._noted[place] = None

    def _judge(self, place: int) -> Line | None:
        return self._noted[place] if self._wanted[place] == "processed" else self._raw(place)
