"""One device after the other, each as full as it gets."""

from collections.abc import Mapping, Sequence

from typing_extensions import override

from gpt2sdk import Part, PlacementPlan
from gpt2sdk_accelerate.arrangement import arranged, filled
from gpt2sdk_accelerate.planned import Planned


class Sequential(Planned):
    """Fills the devices in their order, so that the last ones stay free for something else.

    Where a model does not fit on the devices together, it is placed as by `auto`.
    """

    @override
    def plan(self, parts: Sequence[Part], memory: Mapping[str, int]) -> PlacementPlan:
        return arranged(parts, memory, self.reserved_tokens(parts), filled)
