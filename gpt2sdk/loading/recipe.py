"""One way to load a model, and what it comes to."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch

from gpt2sdk.components.placement import Part, Placement, PlacementPlan
from gpt2sdk.components.quantizer import Quantizer
from gpt2sdk.errors import listing
from gpt2sdk.loading.device_memory import memory_budget
from gpt2sdk.loading.failures import failure, naming
from gpt2sdk.loading.load_settings import MaxMemory
from gpt2sdk.loading.notes import kernels_of, notes_of
from gpt2sdk.loading.opening import OpenedModel
from gpt2sdk.loading.plan import DevicePlan, LoadPlan, PartPlan
from gpt2sdk.loading.sizing import Sizing, as_part


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to load a model.

    Attributes:
        dtype: The type of what is not quantized.
        quantizer: What quantizes; `None` for nothing.
        placement: What places; `None` for one device.
        why: Notes that belong to it.
    """

    dtype: torch.dtype
    quantizer: Quantizer | None
    placement: Placement | None
    why: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The recipe in a few words."""
        quantized = f" with {self.quantizer.name}" if self.quantizer else ""
        placed = f" and placement {self.placement.name}" if self.placement else ""
        return f"{str(self.dtype).removeprefix('torch.')}{quantized}{placed}"


def plan_recipe(
    opened: OpenedModel,
    recipe: Recipe,
    device: torch.device,
    max_memory: MaxMemory | int | str | None = None,
) -> LoadPlan:
    """Plan one recipe, whether it fits or not.

    Raises:
        PlacementError: If its quantizer does not work here, or its placement finds no room.
    """
    checkpoint = opened.checkpoint
    sizing = Sizing.of(checkpoint, recipe.quantizer, recipe.dtype)
    budget = memory_budget(max_memory, device, placed=recipe.placement is not None)
    main, tokens = torch.device(next(iter(budget))), opened.architecture.window()
    parts, places = sizing.parts(main), None
    if recipe.placement is not None:
        told = [
            as_part(part, passing, tokens)
            for part, passing in zip(parts, sizing.parts(main, "disk"), strict=True)
        ]
        places = _places(recipe.placement, told, budget)
        parts = sizing.placed(places.places)
        tokens = tokens if places.reserved_tokens is None else places.reserved_tokens
    kernels = kernels_of(recipe.quantizer, parts)
    return LoadPlan(
        name=opened.source.name,
        parameters=sum(prod(shape) for shape in checkpoint.shapes.values()),
        dtype=recipe.dtype,
        quantizer=recipe.quantizer,
        restored=opened.quantizer is not None,
        placement=recipe.placement,
        places=places,
        parts=parts,
        devices=_devices(parts, places, budget, tokens),
        reserved_tokens=tokens,
        kernels=kernels,
        notes=(*opened.notes, *recipe.why, *notes_of(recipe.quantizer, places, parts)),
    )


def _places(placement: Placement, parts: Sequence[Part], budget: dict[str, int]) -> PlacementPlan:
    """Ask a placement; whatever it does wrong carries its name."""
    with naming(placement, "failed to plan"):
        plan = placement.plan(parts, budget)
    names = [part.name for part in parts]
    if list(plan.places) != names:
        found = f"expected a place for each of {listing(names)}, got {listing(list(plan.places))}"
        raise failure(placement, "made an incomplete plan", ValueError(found))
    return plan


def _devices(
    parts: Sequence[PartPlan], places: PlacementPlan | None, budget: dict[str, int], tokens: int
) -> dict[str, DevicePlan]:
    if places is None:
        held = {parts[0].device: sum(part.nbytes for part in parts)}
    else:
        held = dict(places.nbytes)
    # Whatever does not stay where it computes is made on the CPU.
    names = dict.fromkeys([*held, *("cpu" for part in parts if part.passes)])
    devices = {}
    for name in names:
        here = [part for part in parts if part.device == name]
        made = [part for part in parts if name == ("cpu" if part.passes else part.device)]
        devices[name] = DevicePlan(
            weights=held.get(name, 0),
            workspace=max((part.making_nbytes for part in made), default=0),
            cache=sum(tokens * part.cache_nbytes + part.row_nbytes for part in here),
            passing=max((part.passing_workspace for part in here), default=0),
            budget=budget.get(name),
        )
    return devices
