"""What places cost: bytes on each device, and whether they are there."""

from collections.abc import Iterable, Mapping, Sequence

import torch

from gpt2sdk import Part, Place, PlacementError, PlacementPlan, argument

CPU = torch.device("cpu")
# Buffers on a device through which parts pass: one computes while the next one arrives.
BUFFERS = 2


def is_block(part: Part) -> bool:
    """Whether a part is one of the blocks."""
    return part.is_block


def usage(parts: Sequence[Part], places: Mapping[str, Place]) -> dict[str, int]:
    """Return the most bytes of weights that each device holds at once.

    On an accelerator, parts that pass through share buffers of the largest one's size. On the CPU,
    parts that are kept there for it count as the pinned memory they take, which torch allocates in
    powers of two, and parts on disk as what is in memory of them: two pinned buffers on their way
    to an accelerator, or the largest two neighbours that the CPU computes with and reads ahead.

    Example:
        >>> parts = [Part("h.0", 10, 10), Part("h.1", 10, 10), Part("h.2", 10, 10)]
        >>> gpu = torch.device("cuda:0")
        >>> stays, passing = Place(gpu), Place(gpu, "cpu")
        >>> usage(parts, {"h.0": stays, "h.1": passing, "h.2": passing})
        {'cuda:0': 30, 'cpu': 32}
    """
    held: dict[str, int] = {}
    for part in parts:
        place = places[part.name]
        if not place.passes:
            _add(held, str(place.device), part.nbytes)
        elif place.kept == "cpu":
            _add(held, "cpu", _pinned(part.stored_nbytes))
        else:
            _add(held, "disk", part.stored_nbytes)
    for device in {place.device for place in places.values()}:
        passing = [part for part in parts if _passes_through(places[part.name], device)]
        stored = [part.stored_nbytes for part in passing]
        on_disk = [part.stored_nbytes for part in passing if places[part.name].kept == "disk"]
        if device == CPU:
            _add(held, "cpu", _largest_neighbours(stored))
        else:
            _add(held, str(device), BUFFERS * max(stored, default=0))
            _add(held, "cpu", BUFFERS * _pinned(max(stored)) if on_disk else 0)
    return held


def shortfall(
    parts: Sequence[Part], places: Mapping[str, Place], memory: Mapping[str, int], tokens: int
) -> str:
    """Say what does not fit, with what `besides` takes; empty if all does.

    A device that `memory` does not name may hold nothing, the disk anything.
    """
    need = usage(parts, places)
    for device, nbytes in besides(parts, places, tokens).items():
        _add(need, device, nbytes)
    may = {"disk": need.get("disk", 0), **memory}
    return "; ".join(
        f"{device} would hold {megabytes(nbytes)}, and may hold {megabytes(may.get(device, 0))}"
        for device, nbytes in need.items()
        if nbytes > may.get(device, 0)
    )


def besides(parts: Sequence[Part], places: Mapping[str, Place], tokens: int) -> dict[str, int]:
    """Return the most bytes that each device needs besides weights, while loading or running.

    While loading, a part is made where it computes if it stays there, else on the CPU: there with
    its copy, if that is kept there. While running, there are keys and values of so many tokens, and
    what the largest product of a part that passes needs.

    Example:
        >>> part = Part("h.0", 10, 10, cache_nbytes=2, workspace=7, passing_workspace=5)
        >>> besides([part], {"h.0": Place(CPU)}, tokens=3)
        {'cpu': 7}
        >>> besides([part], {"h.0": Place(torch.device("cuda:0"), "cpu")}, tokens=3)
        {'cpu': 17, 'cuda:0': 11}
    """
    loading: dict[str, int] = {}
    cache: dict[str, int] = {}
    passing: dict[str, int] = {}
    for part in parts:
        place = places[part.name]
        device = str(place.device)
        made = "cpu" if place.passes else device
        copied = part.stored_nbytes * (place.passes and place.kept == "cpu")
        loading[made] = max(loading.get(made, 0), part.workspace + copied)
        cache[device] = cache.get(device, 0) + part.cache_nbytes * tokens
        if place.passes:
            passing[device] = max(passing.get(device, 0), part.passing_workspace)
    return {
        device: max(loading.get(device, 0), cache.get(device, 0) + passing.get(device, 0))
        for device in dict.fromkeys([*loading, *cache])
    }


def finished(
    parts: Sequence[Part],
    places: Mapping[str, Place],
    memory: Mapping[str, int],
    tokens: int,
    notes: Iterable[str] = (),
) -> PlacementPlan:
    """Return the plan that consists of these places.

    Raises:
        PlacementError: If it does not fit.
    """
    if problem := shortfall(parts, places, memory, tokens):
        message = f"the model does not fit: {problem}; {remedies(tokens)}"
        raise PlacementError(message, out_of_memory=True)
    return PlacementPlan(dict(places), usage(parts, places), (*notes,), tokens)


def remedies(tokens: int) -> str:
    """What someone can do whose model does not fit."""
    return (
        f"quantize it, raise {argument('max_memory')}, or lower cache_tokens ({tokens}), the room "
        "for keys and values"
    )


def megabytes(nbytes: int) -> str:
    """Write a size.

    >>> megabytes(154_400_000), megabytes(620_100)
    ('154.4 MB', '620.1 kB')
    """
    return f"{nbytes / 1e6:,.1f} MB" if nbytes >= 1e6 else f"{nbytes / 1e3:,.1f} kB"


def _pinned(nbytes: int) -> int:
    """Return what pinned memory takes.

    >>> _pinned(16), _pinned(17)
    (16, 32)
    """
    return 1 << (nbytes - 1).bit_length()


def _passes_through(place: Place, device: torch.device) -> bool:
    return place.device == device and place.passes


def _largest_neighbours(sizes: Sequence[int]) -> int:
    """Return the largest sum of two that follow one another, round the end too."""
    if len(sizes) == 1:
        return sizes[0]
    return max((sizes[place - 1] + size for place, size in enumerate(sizes)), default=0)


def _add(held: dict[str, int], device: str, nbytes: int) -> None:
    if nbytes:
        held[device] = held.get(device, 0) + nbytes
