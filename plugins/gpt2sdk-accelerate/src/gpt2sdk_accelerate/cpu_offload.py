"""Least memory on the device: every block passes through it."""

from collections.abc import Mapping, Sequence

import torch
from typing_extensions import override

from gpt2sdk import Part, Place, PlacementPlan
from gpt2sdk_accelerate.arrangement import accelerators
from gpt2sdk_accelerate.ledger import CPU, finished, is_block
from gpt2sdk_accelerate.planned import Planned


class CpuOffload(Planned):
    """Keeps all weights in the CPU's memory; the first device computes the blocks.

    A block is copied to the device while the one before it computes. Tables stay on the CPU, which
    looks tokens up and computes the logits. Without a device, the CPU computes everything.
    """

    @override
    def plan(self, parts: Sequence[Part], memory: Mapping[str, int]) -> PlacementPlan:
        device = next(map(torch.device, accelerators(memory)), CPU)
        places = {part.name: Place(CPU, reason="kept where it computes") for part in parts}
        if device != CPU:
            passing = Place(device, "cpu", "every block passes through")
            places |= {part.name: passing for part in parts if is_block(part)}
        notes = () if device != CPU else ("there is no device: the CPU computes everything",)
        return finished(parts, places, memory, self.reserved_tokens(parts), notes)
