"""Who keeps a part's weights between uses."""

from abc import ABC, abstractmethod
from typing import final

from torch import nn
from typing_extensions import override


class Keeper(ABC):
    """Keeps one part's weights, and brings them when it computes; see `gpt2sdk.Residency`."""

    @abstractmethod
    def stow(self, module: nn.Module) -> None:
        """Take the part over."""

    @abstractmethod
    def prefetch(self) -> None:
        """Start to bring its weights."""

    @abstractmethod
    def acquire(self) -> None:
        """Make sure that its weights are there."""

    @abstractmethod
    def release(self) -> None:
        """Let its weights go."""

    @abstractmethod
    def close(self) -> None:
        """Give back what it holds."""


@final
class Stays(Keeper):
    """A part that stays where it computes."""

    @override
    def stow(self, module: nn.Module) -> None:
        """Leave it where it is."""

    @override
    def prefetch(self) -> None:
        """It is there."""

    @override
    def acquire(self) -> None:
        """It is there."""

    @override
    def release(self) -> None:
        """It stays."""

    @override
    def close(self) -> None:
        """It goes with the model."""
