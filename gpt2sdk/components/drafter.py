"""Drafters: tokens proposed ahead, to be scored together. They change the speed, never the text."""

from typing import Protocol

from jaxtyping import Int
from torch import Tensor

from gpt2sdk.components.component import Component
from gpt2sdk.components.rows import Rows
from gpt2sdk.components.session import Session


class DrafterRun(Protocol):
    """A drafter at work in one session."""

    def propose(self, rows: Rows, k: int) -> Int[Tensor, "rows k"]:
        """Return up to `k` next tokens for each of these rows, padded with -1."""


class Drafter(Component):
    """Proposes tokens that probably come next."""

    def start(self, session: Session) -> DrafterRun:
        """Begin a session: return what proposes there, by default the component itself."""
        return self

    def cost(self, session: Session) -> float:
        """What one proposed token costs in that session, in calls of its model.

        The session weighs it against what a proposal may save: with 0, as for what looks tokens
        up, it drafts wherever there is some hope; with 1 or more, never.
        """
        return 0.0

    def propose(self, rows: Rows, k: int) -> Int[Tensor, "rows k"]:
        """Return up to `k` next tokens for each of these rows, int64, padded with -1."""
        message = f"{type(self).__name__} overrides neither start nor propose"
        raise TypeError(message)
