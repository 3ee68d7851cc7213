"""What a reader of a plan should know: how products are computed, and what is unusual."""

from collections.abc import Iterator, Sequence
from itertools import groupby

import torch

from gpt2sdk.components.placement import PlacementPlan, is_block
from gpt2sdk.components.quantizer import Quantizer
from gpt2sdk.loading.device_memory import size_text
from gpt2sdk.loading.lookup import probe
from gpt2sdk.loading.plan import PartPlan

_UNPACKED = "with the weights as they are stored, not packed: slower than those that stay"


def kernels_of(quantizer: Quantizer | None, parts: Sequence[PartPlan]) -> dict[str, str]:
    """Ask how products are computed on each device that has quantized matrices."""
    if quantizer is None:
        return {}
    quantized = [part for part in parts if any(each.quantized for each in part.matrices)]
    names = dict.fromkeys(part.device for part in quantized if not part.passes)
    kernels = {name: probe(quantizer, torch.device(name)) for name in names}
    for name in dict.fromkeys(part.device for part in quantized if part.passes):
        how = probe(quantizer, torch.device(name))
        packed = all(map(_packs, (part for part in quantized if part.device == name)))
        kernels[f"{name}, parts that pass"] = how if packed else _UNPACKED
    return kernels


def notes_of(
    quantizer: Quantizer | None, places: PlacementPlan | None, parts: Sequence[PartPlan]
) -> Iterator[str]:
    """Yield what a reader of the plan would not expect."""
    if quantizer is not None and not quantizer.rows_independent:
        yield f"{quantizer.name}: a row's result can depend on the rows beside it"
    yield from dict.fromkeys(each.note for part in parts for each in part.matrices if each.note)
    yield from _passing(parts)
    if places is not None:
        yield from places.notes


def _passing(parts: Sequence[PartPlan]) -> Iterator[str]:
    """Say what is kept elsewhere, and what that means."""
    passing = [part for part in parts if part.passes]
    for device, kept in dict.fromkeys((part.device, part.kept) for part in passing):
        here = [part for part in passing if (part.device, part.kept) == (device, kept)]
        where = "on disk" if kept == "disk" else "in the CPU's memory"
        size = size_text(sum(part.stored_nbytes for part in here))
        what = f"{_ranges(here)} kept {where} ({size})"
        if device == "cpu":
            yield f"{what}: the CPU computes with the files' pages, and keeps none of them"
        else:
            yield f"{what}: brought to {device} whenever they compute"


def _packs(part: PartPlan) -> bool:
    """Whether a part that passes computes with its layers packed; tables have one form."""
    layers = [each for each in part.matrices if each.quantized and each.matrix.use != "table"]
    return not part.passes or all(each.portable for each in layers)


def _ranges(parts: Sequence[PartPlan]) -> str:
    """Name parts, blocks that follow one another together.

    Example: `wte, wpe, h.0 … h.11`.
    """
    found = []
    for blocks, group in groupby(parts, key=lambda part: is_block(part.name)):
        names = [part.name for part in group]
        found += [f"{names[0]} … {names[-1]}"] if blocks and len(names) > 1 else names
    return ", ".join(found)
