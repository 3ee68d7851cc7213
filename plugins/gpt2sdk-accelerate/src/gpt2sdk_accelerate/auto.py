"""One device while it holds the model, then all of them, then the CPU's memory and the disk."""

from collections.abc import Mapping, Sequence

from typing_extensions import override

from gpt2sdk import Part, PlacementPlan
from gpt2sdk_accelerate.arrangement import Places, arranged, filled
from gpt2sdk_accelerate.balanced import balanced
from gpt2sdk_accelerate.planned import Planned


class Auto(Planned):
    """Takes the first of these that fits, keys and values included.

    1. Everything on the first device.
    2. Everything, in equal shares, on all devices.
    3. Tables and as many blocks as possible stay on the devices; the other blocks are kept in the
       CPU's memory, or where that is full on disk, and pass through the last device.
    4. The same with the tables, and so the head, on the CPU.
    5. Everything computed by the CPU; what does not fit is read from the disk as it is needed.

    Blocks are never computed by the CPU beside a device: a prompt of hundreds of tokens would take
    tens of times as long there.
    """

    @override
    def plan(self, parts: Sequence[Part], memory: Mapping[str, int]) -> PlacementPlan:
        return arranged(parts, memory, self.reserved_tokens(parts), _alone_or_balanced)


def _alone_or_balanced(
    parts: Sequence[Part], room: Mapping[str, int], tokens: int
) -> Places | None:
    first = dict(list(room.items())[:1])
    return filled(parts, first, tokens) or balanced(parts, room, tokens)
