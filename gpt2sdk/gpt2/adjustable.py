"""Modules that compute with something else than tensors, and say so."""

from abc import ABC, abstractmethod
from collections.abc import Hashable


class Adjustable(ABC):
    """A module whose results change with a setting of its own, such as the scale of an adapter.

    What earlier calls read is used again as long as tensors and settings are the same.
    """

    @property
    @abstractmethod
    def setting(self) -> Hashable:
        """What it is set to now."""
