"""Least memory of all: weights are on disk, and read as they are needed."""

from collections.abc import Mapping, Sequence

import torch
from typing_extensions import override

from gpt2sdk import Part, Place, PlacementPlan
from gpt2sdk_accelerate.arrangement import accelerators
from gpt2sdk_accelerate.ledger import CPU, finished, is_block
from gpt2sdk_accelerate.planned import Planned


class DiskOffload(Planned):
    """Keeps all weights on disk; the first device, or the CPU, computes.

    Norms that stand outside of blocks, as the last one does, are too small for that.

    The CPU computes with the pages of the files themselves, and lets go of each part's as soon as
    it is done with it. Pages that the system still has in its cache are not read again.
    """

    @override
    def plan(self, parts: Sequence[Part], memory: Mapping[str, int]) -> PlacementPlan:
        device = next(map(torch.device, accelerators(memory)), CPU)
        places = {
            part.name: Place(CPU, reason="it is too small to be worth a file")
            if part.vectors and not is_block(part)
            else Place(device if is_block(part) else CPU, "disk", "everything is on disk")
            for part in parts
        }
        return finished(parts, places, memory, self.reserved_tokens(parts))
