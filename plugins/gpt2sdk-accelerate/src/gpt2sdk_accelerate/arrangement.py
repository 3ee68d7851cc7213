"""Ways to place a model, the best first; a planner takes the first one that fits.

The answer is exact: each way is weighed with everything it holds, in the form in which it is held,
keys and values and the buffers for passing parts included. accelerate's `infer_auto_device_map`
knows none of these; it keeps room for the largest layer that is left, on the CPU too.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate

import torch

from gpt2sdk import Part, Place, PlacementError, PlacementPlan
from gpt2sdk_accelerate.ledger import (
    BUFFERS,
    CPU,
    besides,
    finished,
    is_block,
    megabytes,
    remedies,
    shortfall,
    usage,
)

Places = dict[str, Place]
Spread = Callable[[Sequence[Part], Mapping[str, int], int], Places | None]


def arranged(
    parts: Sequence[Part], memory: Mapping[str, int], tokens: int, spread: Spread
) -> PlacementPlan:
    """Place a model: on accelerators, through them, on the CPU, from the disk.

    Args:
        parts: The model's parts.
        memory: Bytes that each device may hold.
        tokens: Room for keys and values.
        spread: What distributes parts over accelerators that hold them all.

    Raises:
        PlacementError: If nothing fits.
    """
    last: Places = {}
    for places in _ways(parts, memory, tokens, spread):
        if not shortfall(parts, places, memory, tokens):
            return finished(parts, places, memory, tokens)
        last = places
    least = usage(parts, last)["cpu"] + besides(parts, last, tokens)["cpu"]
    raise PlacementError(
        f"the model does not fit: with most of it on disk, the CPU would hold {megabytes(least)}, "
        f"and may hold {megabytes(memory.get('cpu', 0))}; {remedies(tokens)}",
        out_of_memory=True,
    )


def accelerators(memory: Mapping[str, int]) -> dict[str, int]:
    """Return the devices other than the CPU."""
    return {name: nbytes for name, nbytes in memory.items() if torch.device(name) != CPU}


def filled(parts: Sequence[Part], room: Mapping[str, int], tokens: int) -> Places | None:
    """Fill devices one after the other, in the model's order; `None` if that is too little.

    A head that is tied to the table of tokens is computed where that is.

    Example:
        >>> parts = [Part("wte", 6, 6), Part("h.0", 5, 5), Part("h.1", 5, 5)]
        >>> places = filled(parts, {"cuda:0": 11, "cuda:1": 8}, tokens=0)
        >>> [str(place.device) for place in places.values()]
        ['cuda:0', 'cuda:0', 'cuda:1']
    """
    places: Places = {}
    devices = iter(room.items())
    device, left = next(devices, ("", 0))
    for part in parts:
        need = part.nbytes + part.cache_nbytes * tokens
        while device and need > left:
            device, left = next(devices, ("", 0))
        if not device:
            return None
        left -= need
        places[part.name] = Place(torch.device(device), reason="it fits")
    return places


def _ways(
    parts: Sequence[Part], memory: Mapping[str, int], tokens: int, spread: Spread
) -> Iterator[Places]:
    gpus = accelerators(memory)
    # Once more with room to load the last part of each device.
    loading = max(part.workspace for part in parts)
    for room in (gpus, {name: nbytes - loading for name, nbytes in gpus.items()}) if gpus else ():
        if places := spread(parts, room, tokens):
            yield places
    if gpus:
        yield from _streamed(parts, gpus, tokens, tables=True)
        yield from _streamed(parts, gpus, tokens, tables=False)
    yield from _on_cpu(parts)


def _streamed(
    parts: Sequence[Part], gpus: Mapping[str, int], tokens: int, *, tables: bool
) -> Iterator[Places]:
    """Let the first blocks stay on accelerators and the others pass through the last one.

    Args:
        parts: The model's parts.
        gpus: Bytes that each accelerator may hold.
        tokens: Room for keys and values.
        tables: Whether tables and the head are on an accelerator, too.
    """
    device = torch.device(list(gpus)[-1])
    blocks = [part for part in parts if is_block(part)]
    for staying in range(len(blocks) - tables, -1, -1):
        passing = blocks[staying:]
        room = dict(gpus)
        room[str(device)] -= _buffers(passing) + tokens * sum(each.cache_nbytes for each in passing)
        there = [part for part in parts if part not in passing and (tables or _on_gpu(part))]
        stays = filled(there, room, tokens)
        if stays is None:
            continue
        for on_disk in range(len(passing) + 1):
            kept_on_disk = passing[len(passing) - on_disk :]
            yield {
                part.name: stays.get(part.name)
                or (_passing(device, on_disk=part in kept_on_disk) if part in passing else _BESIDE)
                for part in parts
            }


_BESIDE = Place(CPU, reason="the device is full; of tables, the CPU reads the rows it needs")


def _passing(device: torch.device, *, on_disk: bool) -> Place:
    if on_disk:
        return Place(device, "disk", "the device and the CPU's memory are full")
    return Place(device, "cpu", "the device is full: it passes through")


def _buffers(passing: Sequence[Part]) -> int:
    return BUFFERS * max((part.stored_nbytes for part in passing), default=0)


def _on_gpu(part: Part) -> bool:
    """Whether a part is on the accelerator even if tables are not."""
    return is_block(part) or part.vectors


def _on_cpu(parts: Sequence[Part]) -> Iterator[Places]:
    """Compute on the CPU, with ever more parts on disk: the last blocks first, then the others."""
    blocks = [part.name for part in parts if is_block(part)]
    tables = [part.name for part in parts if not is_block(part) and not part.vectors]
    for gone in accumulate([[], *([name] for name in (*reversed(blocks), *tables))]):
        yield {
            part.name: Place(CPU, "disk", "the CPU's memory is full")
            if part.name in gone
            else Place(CPU, reason="it fits")
            for part in parts
        }
