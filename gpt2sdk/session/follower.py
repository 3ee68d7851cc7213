"""What follows the rows: everything kept per row obeys the same four verbs."""

from collections.abc import Sequence
from typing import Protocol

from gpt2sdk.components.records import Prompt


class Follower(Protocol):
    """Per-row state that keeps in step with the rows."""

    def admit(self, place: int, prompt: Prompt) -> None:
        """A fresh row takes `place`; the place behind the last one is a new one."""

    def append(self, tokens: Sequence[int]) -> None:
        """Each row took a token; -1 where it took none."""

    def fork(self, parents: Sequence[int]) -> None:
        """Rows became copies of `rows[parents]`."""

    def rewind(self, counts: Sequence[int]) -> None:
        """Each row's last tokens were taken back."""
