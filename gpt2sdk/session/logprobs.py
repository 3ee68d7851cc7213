"""Log-probabilities of the tokens that were appended, where a call asks for them."""

import math
from collections.abc import Callable, Sequence

import torch

from gpt2sdk.components.records import Prompt
from gpt2sdk.session.scored import gather_rows
from gpt2sdk.shapes import Logits

Place = tuple[torch.Tensor, int]
"""Logits of several rows, and one row's place among them."""


class Logprobs:
    """One number per appended token and row, following the rows."""

    def __init__(self, raw: Callable[[int], Place | None] | None = None) -> None:
        """Start empty.

        Args:
            raw: Finds the model's own logits for a row's next token; without it, tokens are judged
                by the processed logits that `note` is given.
        """
        self.rows: list[list[float]] = []
        self._noted: list[Place | None] = []
        self._raw = raw

    def note(self, logits: Logits, index: Sequence[int]) -> None:
        """Take the processed logits of the rows at `index`."""
        for at, place in enumerate(index):
            self._noted[place] = (logits, at)

    def admit(self, place: int, prompt: Prompt) -> None:
        """A fresh row has none."""
        self.rows[place : place + 1] = [[]]
        self._noted[place : place + 1] = [None]

    def append(self, tokens: Sequence[int]) -> None:
        """Judge each row's token; one that nothing had scored gets NaN."""
        judged = {place: math.nan for place, token in enumerate(tokens) if token >= 0}
        find = self._noted.__getitem__ if self._raw is None else self._raw
        scored = [(place, found) for place in judged if (found := find(place)) is not None]
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
        self._noted = [self._noted[parent] for parent in parents]

    def rewind(self, counts: Sequence[int]) -> None:
        """Forget each row's last ones."""
        for place, count in enumerate(counts):
            if count:
                del self.rows[place][-count:]
                self._noted[place] = None
