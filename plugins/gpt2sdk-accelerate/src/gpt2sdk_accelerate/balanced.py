"""Equal shares of a model on all devices."""

from collections.abc import Mapping, Sequence

from typing_extensions import override

from gpt2sdk import Part, PlacementPlan
from gpt2sdk_accelerate.arrangement import Places, arranged, filled
from gpt2sdk_accelerate.planned import Planned


class Balanced(Planned):
    """Makes what the fullest device holds as little as can be, so that all have room left.

    Keys and values count, and each device has a run of consecutive blocks. Where a model does not
    fit on the devices together, it is placed as by `auto`. accelerate's `get_balanced_memory` aims
    at the same, but adds a margin of 1.25 blocks to the first devices' shares.
    """

    @override
    def plan(self, parts: Sequence[Part], memory: Mapping[str, int]) -> PlacementPlan:
        return arranged(parts, memory, self.reserved_tokens(parts), balanced)


def balanced(parts: Sequence[Part], room: Mapping[str, int], tokens: int) -> Places | None:
    """Fill each device up to the smallest share that suffices; `None` if none does.

    Example:
        >>> parts = [Part("wte", 6, 6), Part("h.0", 5, 5), Part("h.1", 5, 5), Part("ln_f", 1, 1)]
        >>> places = balanced(parts, {"cuda:0": 20, "cuda:1": 20}, tokens=0)
        >>> [str(place.device) for place in places.values()]
        ['cuda:0', 'cuda:0', 'cuda:1', 'cuda:1']
    """
    low, high = 0, max(room.values(), default=0)
    best = filled(parts, room, tokens)
    while best is not None and low < high:
        share = (low + high) // 2
        shared = {device: min(nbytes, share) for device, nbytes in room.items()}
        if found := filled(parts, shared, tokens):
            best, high = found, share
        else:
            low = share + 1
    return best
