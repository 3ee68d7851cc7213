"""The device map that accelerate infers."""

from collections.abc import Mapping, Sequence

import torch
from pydantic import Field
from torch import nn
from typing_extensions import override

from gpt2sdk import Part, PlacementError, PlacementPlan
from gpt2sdk_accelerate.arrangement import accelerators
from gpt2sdk_accelerate.device_map import DeviceMap
from gpt2sdk_accelerate.ledger import BUFFERS, is_block
from gpt2sdk_accelerate.planned import Planned


class Inferred(Planned):
    """Places parts where accelerate's `infer_auto_device_map` puts them, as transformers does.

    Take it to get the map that `device_map="auto"` gives elsewhere, with sizes that are right for
    quantized parts; `auto` makes better use of memory. accelerate keeps room for the largest layer
    that is left, and knows nothing of keys and values; where its map does not fit with them, it is
    asked again with less memory.

    Attributes:
        balanced: Whether devices get like shares, as `device_map="auto"` means, or are filled one
            after the other.
    """

    balanced: bool = Field(default=True, description="like shares on all devices")

    @override
    def plan(self, parts: Sequence[Part], memory: Mapping[str, int]) -> PlacementPlan:
        try:
            return self._planned(parts, memory, memory)
        except PlacementError:
            # Blocks kept elsewhere pass through buffers, which accelerate leaves no room for.
            passing = BUFFERS * max(
                (part.stored_nbytes for part in parts if is_block(part)), default=0
            )
            passing += self.reserved_tokens(parts) * sum(part.cache_nbytes for part in parts)
            room = {name: max(memory[name] - passing, 0) for name in accelerators(memory)}
            return self._planned(parts, memory, {**memory, **room})

    def _planned(
        self, parts: Sequence[Part], memory: Mapping[str, int], room: Mapping[str, int]
    ) -> PlacementPlan:
        return DeviceMap(
            device_map=infer(parts, room, balanced=self.balanced),
            cache_tokens=self.cache_tokens,
            offload_folder=self.offload_folder,
        ).plan(parts, memory)


def infer(
    parts: Sequence[Part], memory: Mapping[str, int], *, balanced: bool
) -> tuple[tuple[str, int | str], ...]:
    """Ask accelerate for a device map.

    Args:
        parts: The model's parts.
        memory: Bytes that each device may hold.
        balanced: Whether to even out shares first.

    Raises:
        PlacementError: If a device is of a kind that accelerate does not number.
    """
    # It takes a second to import: whoever does not ask it need not wait.
    from accelerate import (  # type: ignore[import-untyped]  # noqa: PLC0415
        infer_auto_device_map,
    )
    from accelerate.utils import (  # type: ignore[import-untyped]  # noqa: PLC0415
        get_balanced_memory,
    )

    skeleton = Skeleton(parts)
    room: dict[int | str, int | str] = {}
    for name in accelerators(memory):
        device = torch.device(name)
        if device.index is None:
            raise PlacementError(f"accelerate plans for numbered devices, {name} has no number")
        room[device.index] = memory[name]
    room["cpu"] = memory.get("cpu", 0)
    if balanced and len(room) > 2:
        room = get_balanced_memory(skeleton, room, no_split_module_classes=["Sized"])
    found = infer_auto_device_map(skeleton, room, no_split_module_classes=["Sized"])
    return tuple(found.items())


class Sized(nn.Module):
    """A part that has nothing but a size."""

    def __init__(self, nbytes: int) -> None:
        super().__init__()
        weight = torch.empty(nbytes, dtype=torch.uint8, device="meta")
        self.weight = nn.Parameter(weight, requires_grad=False)


class Skeleton(nn.Module):
    """A model's parts by their names, without numbers in them: what accelerate measures."""

    def __init__(self, parts: Sequence[Part]) -> None:
        super().__init__()
        for part in parts:
            above, _, own = part.name.rpartition(".")
            holder: nn.Module = self
            for name in filter(None, above.split(".")):
                if name not in dict(holder.named_children()):
                    holder.add_module(name, nn.Module())
                holder = holder.get_submodule(name)
            holder.add_module(own, Sized(part.nbytes))
