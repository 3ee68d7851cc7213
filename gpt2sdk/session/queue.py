"""The queue: rows that wait for a place among those that run."""

from collections import deque
from collections.abc import Sequence

from gpt2sdk.components.records import Prompt
from gpt2sdk.session.roster import Roster


class Queue:
    """Prompts with the lanes they are to have, in order."""

    def __init__(self, prompts: Sequence[Prompt], lanes: int, roster: Roster) -> None:
        self._waiting = deque((prompt, lane) for prompt in prompts for lane in range(lanes))
        self._roster = roster

    def __len__(self) -> int:
        return len(self._waiting)

    def fill(self, places: int) -> None:
        """Admit rows until so many are there, or none waits."""
        rows = self._roster.board.rows
        while self._waiting and len(rows) < places:
            self._admit(len(rows))

    def refill(self) -> None:
        """Hand finished rows over, and give their places to those that wait."""
        for place, row in enumerate(self._roster.board.rows):
            if row.finish_reason is not None:
                self._roster.delivery.hand_over(place, "strategy")
                if self._waiting:
                    self._admit(place)

    def pass_over(self) -> None:
        """Send empty completions for those that wait, since the call ends."""
        for prompt, lane in self._waiting:
            self._roster.delivery.pass_over(prompt, lane)

    def _admit(self, place: int) -> None:
        self._roster.admit(place, *self._waiting.popleft())
