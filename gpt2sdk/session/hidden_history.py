"""Hidden histories: hidden states at every position of a row, for who opened one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from gpt2sdk.components.records import Prompt
from gpt2sdk.components.rows import Rows
from gpt2sdk.components.session import HiddenHistory

_PIECES = 32


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class FedStates:
    """Hidden states of the tokens that a row's slot was fed, in pieces as they were fed.

    Copies of a row share it: a piece is never changed.
    """

    pieces: tuple[Mapping[int, Float[Tensor, "_ embed"]], ...]

    def of(self, layer: int, count: int) -> Float[Tensor, "_ embed"]:
        """The first `count` lines of a layer."""
        return torch.cat([piece[layer] for piece in self.pieces])[:count]

    def joined(self) -> Self:
        """The same in one piece."""
        if len(self.pieces) < 2:
            return self
        layers = self.pieces[0]
        return type(self)(
            ({layer: torch.cat([piece[layer] for piece in self.pieces]) for layer in layers},)
        )

    def cut(self, count: int) -> Self:
        """The first `count` lines of each layer."""
        kept, left = [], count
        for piece in self.pieces:
            lines = len(next(iter(piece.values())))
            # What is cut off is let go: a view would hold it.
            whole = lines <= left
            cut = {layer: each if whole else each[:left].clone() for layer, each in piece.items()}
            kept.append(cut)
            left -= min(lines, left)
            if not left:
                break
        return type(self)(tuple(kept))

    def followed_by(self, count: int, states: Mapping[int, Float[Tensor, "_ embed"]]) -> Self:
        """The first `count` lines, and behind them those that were read now."""
        longer = type(self)((*self.cut(count).pieces, states))
        return longer if len(longer.pieces) < _PIECES else longer.joined()


NOTHING_FED = FedStates(())


class StatesHolder(Protocol):
    """Who keeps hidden states of rows at all their positions: a branch."""

    def hidden_history(self, layer: int, index: Sequence[int]) -> list[Float[Tensor, "_ embed"]]:
        """A layer's hidden states of each row at `index`, a line for each token that was read."""


class FollowingHistory(HiddenHistory):
    """What a branch keeps of one layer, as long as somebody holds this.

    Attributes:
        layer: Which.
        acts_on: For which prompts.
    """

    def __init__(self, holder: StatesHolder, layer: int, acts_on: Callable[[Prompt], bool]) -> None:
        self.layer = layer
        self.acts_on = acts_on
        self._holder = holder

    @override
    def __getitem__(self, rows: Rows) -> list[Float[Tensor, "_ embed"]]:
        return self._holder.hidden_history(self.layer, rows.index)
