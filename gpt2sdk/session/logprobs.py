"""Log-probabilities of the tokens that were appended, where a request asks for them."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypedDict

import torch

from gpt2sdk.components.records import Prompt, Row
from gpt2sdk.normalizer import log_normalizer
from gpt2sdk.session.reader import gather_rows
from gpt2sdk.shapes import Logits

Line = tuple[torch.Tensor, int]
"""Logits of several rows, and which line of them is one row's."""


class Judged(NamedTuple):
    """What is recorded of one token, as it was appended.

    Attributes:
        logprobs: Its log-probability by the model's own logits; NaN where nothing had scored it.
        processed_logprobs: The same behind the processors; NaN where nothing was processed.
        support: How many tokens the processors had left; 0 where nothing was processed.
        top_logprobs: The likeliest tokens by the model's own logits, with log-probabilities.
    """

    logprobs: float = math.nan
    processed_logprobs: float = math.nan
    support: int = 0
    top_logprobs: tuple[tuple[int, float], ...] = ()


class Recorded(TypedDict, total=False):
    """What a completion says of its tokens, by attribute; nothing where it was not asked for."""

    logprobs: tuple[float, ...]
    processed_logprobs: tuple[float, ...]
    support: tuple[int, ...]
    top_logprobs: tuple[tuple[tuple[int, float], ...], ...]


class Logprobs:
    """What is recorded of each appended token and row, following the rows."""

    def __init__(
        self, wanted: Callable[[Prompt], int | None], raw: Callable[[int], Line | None]
    ) -> None:
        """Start empty.

        Args:
            wanted: How many of the likeliest tokens are recorded for a prompt beside those that
                are appended; `None` where nothing is.
            raw: Finds the model's own logits for a row's next token.
        """
        self.rows: list[list[Judged]] = []
        self._wanted: list[int | None] = []
        self._noted: list[Line | None] = []
        self._asks = wanted
        self._raw = raw

    def of(self, seat: int, start: int = 0, stop: int | None = None) -> Recorded:
        """What is recorded of a row's new tokens, or of those from one to another."""
        return {} if self._wanted[seat] is None else recorded(self.rows[seat][start:stop])

    def note(self, logits: Logits) -> None:
        """Take the processed logits of all rows."""
        for seat, wanted in enumerate(self._wanted):
            if wanted is not None:
                self._noted[seat] = (logits, seat)

    def admit(self, seat: int, row: Row) -> None:
        """A fresh row has none."""
        self.rows[seat : seat + 1] = [[]]
        self._wanted[seat : seat + 1] = [self._asks(row.prompt)]
        self._noted[seat : seat + 1] = [None]

    def append(self, tokens: Sequence[int]) -> None:
        """Judge each row's token."""
        seats = [
            seat
            for seat, (token, wanted) in enumerate(zip(tokens, self._wanted, strict=True))
            if token >= 0 and wanted is not None
        ]
        raw = {seat: line for seat in seats if (line := self._raw(seat)) is not None}
        seen = {seat: line for seat in seats if (line := self._noted[seat]) is not None}
        own, processed = _of_tokens(raw, tokens), _of_tokens(seen, tokens)
        support, top = _support(seen), self._likeliest(raw)
        for seat in seats:
            self.rows[seat].append(
                Judged(
                    own.get(seat, math.nan),
                    processed.get(seat, math.nan),
                    support.get(seat, 0),
                    top.get(seat, ()),
                )
            )
            self._noted[seat] = None

    def fork(self, parents: Sequence[int]) -> None:
        """Copies have the same past."""
        self.rows = [list(self.rows[parent]) for parent in parents]
        self._wanted = [self._wanted[parent] for parent in parents]
        self._noted = [self._noted[parent] for parent in parents]

    def rewind(self, counts: Sequence[int]) -> None:
        """Forget each row's last ones."""
        for seat, count in enumerate(counts):
            if count and self._wanted[seat] is not None:
                del self.rows[seat][-count:]
                self._noted[seat] = None

    def _likeliest(self, lines: Mapping[int, Line]) -> dict[int, tuple[tuple[int, float], ...]]:
        """As many of each row's likeliest tokens as are wanted of it."""
        asked = {seat: line for seat, line in lines.items() if self._wanted[seat]}
        if not asked:
            return {}
        logits = gather_rows(list(asked.values()))
        most = max(self._wanted[seat] or 0 for seat in asked)
        values, ids = likeliest(logits, most)
        found = zip(asked, ids.tolist(), values.tolist(), strict=True)
        return {
            seat: possible(row, numbers, self._wanted[seat] or 0) for seat, row, numbers in found
        }


def likeliest(logits: Logits, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return log-probabilities and ids of the likeliest tokens, best first; at most all.

    >>> values, ids = likeliest(torch.tensor([[1.0, 5.0, 2.0]]).log(), 2)
    >>> values.exp(), ids
    (tensor([[0.6250, 0.2500]]), tensor([[1, 2]]))
    """
    best = logits.topk(min(count, logits.shape[-1]), dim=-1)
    return best.values - log_normalizer(logits)[:, None], best.indices


def possible(
    ids: Sequence[int], logprobs: Sequence[float], count: int
) -> tuple[tuple[int, float], ...]:
    """Return the first few tokens, without those that cannot come.

    >>> possible([4, 2, 7], [-0.7, -0.7, -math.inf], 3)
    ((4, -0.7), (2, -0.7))
    """
    pairs = zip(ids[:count], logprobs[:count], strict=True)
    return tuple((token, value) for token, value in pairs if value > -math.inf)


def recorded(judged: Sequence[Judged]) -> Recorded:
    """Return what is recorded of several tokens.

    >>> recorded([Judged(-1.0, -0.5, 2)])["support"]
    (2,)
    """
    return {
        "logprobs": tuple(each.logprobs for each in judged),
        "processed_logprobs": tuple(each.processed_logprobs for each in judged),
        "support": tuple(each.support for each in judged),
        "top_logprobs": tuple(each.top_logprobs for each in judged),
    }


def _of_tokens(lines: Mapping[int, Line], tokens: Sequence[int]) -> dict[int, float]:
    """The log-probability of each row's token."""
    if not lines:
        return {}
    logits = gather_rows(list(lines.values()))
    taken = torch.tensor([tokens[seat] for seat in lines], device=logits.device)
    numbers = logits.gather(-1, taken[:, None])[:, 0] - log_normalizer(logits)
    return dict(zip(lines, numbers.tolist(), strict=True))


def _support(lines: Mapping[int, Line]) -> dict[int, int]:
    """How many tokens each row could have taken."""
    if not lines:
        return {}
    logits = gather_rows(list(lines.values()))
    return dict(zip(lines, (logits > -torch.inf).sum(-1).tolist(), strict=True))
