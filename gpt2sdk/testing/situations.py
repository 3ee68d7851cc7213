"""Situations: rows of different lengths with logits of every awkward kind, to try components in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gpt2sdk.components.records import Row
from gpt2sdk.testing.written_rows import make_rows

VOCAB_SIZE = 29
"""The letters, a blank, a full stop, and a token that ends rows."""

END = VOCAB_SIZE - 1

# Prompt and output: alike, without output, long, with repeats at the end and across the border.
_HISTORIES: tuple[tuple[list[int], list[int]], ...] = (
    ([1], []),
    ([2, 3, 2], [3, 2, 3, 2]),
    ([4, 5, 6, 7], [5, 6]),
    ([8], [8, 8, 8, 8, 8, 8, 8, 8, 8]),
    ([0, 27, 13, 0, 27], [13]),
)


@dataclass(frozen=True)
class Situation:
    """Rows and the logits of their next tokens.

    Attributes:
        name: What is special about it.
        logits: One line per row.
        rows: Each with its prompt, its seed and what it appended.
    """

    name: str
    logits: Tensor
    rows: tuple[Row, ...]

    def select(self, index: Sequence[int]) -> "Situation":
        """The same with some of the rows, in this order."""
        rows = tuple(self.rows[at] for at in index)
        return Situation(self.name, self.logits[list(index)], rows)


def situations() -> Iterator[Situation]:
    """Yield every situation, always the same ones."""
    rows = tuple(
        make_rows(
            [prompt + output for prompt, output in _HISTORIES],
            prompt_lengths=[len(prompt) for prompt, _ in _HISTORIES],
            seed=7,
        ).records
    )
    for name, logits in _logits(len(rows)).items():
        yield Situation(name, logits, rows)


def ordinary() -> Situation:
    """The situation with random logits."""
    return next(situations())


def _logits(count: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(11)
    shape = count, VOCAB_SIZE
    random = 3.0 * torch.randn(shape, generator=generator)
    coarse = torch.randint(-2, 3, shape, generator=generator).float()
    masked = torch.rand(shape, generator=generator) < 0.5
    masked[:, 3] = False
    alone = torch.full(shape, -torch.inf).scatter(1, random.argmax(-1, keepdim=True), 1.5)
    return {
        "random logits": random,
        "many ties": coarse,
        "equal logits": torch.zeros(shape),
        "half the tokens out": random.masked_fill(masked, -torch.inf),
        "a single token left": alone,
        "huge logits": 1e4 * random,
    }


def step_logits(step: int, count: int) -> Tensor:
    """Random logits for so many rows, others at each step; no row is likely to end."""
    generator = torch.Generator().manual_seed(100 + step)
    logits = 3.0 * torch.randn(count, VOCAB_SIZE, generator=generator)
    logits[:, END] -= 10.0
    return logits
