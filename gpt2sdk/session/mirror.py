"""Mirrors: branches that follow the rows under another prompt, or with another model."""

from typing_extensions import override

from gpt2sdk.components.rows import Rows
from gpt2sdk.components.session import Mirror
from gpt2sdk.session.branch import Branch
from gpt2sdk.shapes import Logits


class FollowingMirror(Mirror):
    """A branch that is fed when it is asked, its parent's standing proposals included."""

    def __init__(self, branch: Branch, parent: Branch) -> None:
        self._branch = branch
        self._parent = parent

    @override
    def next_logits(self, rows: Rows) -> Logits:
        behind = [place for place in rows.index if self._branch.is_behind(place)]
        if behind:
            self._branch.feed(behind, [self._parent.proposals(place) for place in behind])
        return self._branch.logits(rows.index)
