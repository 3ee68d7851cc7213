"""A plan carried out: every part with who keeps it."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self, final

import torch
from torch import nn
from typing_extensions import override

from gpt2sdk import Place, PlacementError, PlacementPlan, Residency
from gpt2sdk_accelerate.keeper import Keeper, Stays
from gpt2sdk_accelerate.lane import CudaLane, Lane, PlainLane
from gpt2sdk_accelerate.ledger import CPU, megabytes
from gpt2sdk_accelerate.mapped import Mapped
from gpt2sdk_accelerate.part_file import temporary_folder
from gpt2sdk_accelerate.passing import Passing
from gpt2sdk_accelerate.transit import Transit


@final
class PlacedParts(Residency):
    """Parts that stay, pass through devices, or are read from files.

    Close it when the model is not needed any more; what it holds goes with it at the latest.
    """

    def __init__(
        self,
        devices: Mapping[str, torch.device],
        keepers: Mapping[str, Keeper],
        transit: Sequence[Transit] = (),
    ) -> None:
        """Take over what was put together.

        Args:
            devices: Where each part computes.
            keepers: Who keeps it.
            transit: The buffers through which some pass.
        """
        self._devices = devices
        self._keepers = keepers
        self._transit = transit
        self._closed = False

    @classmethod
    def of(cls, plan: PlacementPlan, folder: str | None) -> Self:
        """Carry a plan out.

        Args:
            plan: What was decided.
            folder: Where weights on disk are written; `None` for files without a name.

        Raises:
            PlacementError: If a device or the folder is not there, or the disk is too full.
        """
        devices = {name: place.device for name, place in plan.places.items()}
        for device in set(devices.values()):
            _check_device(device)
        if needed := plan.nbytes.get("disk", 0):
            _check_folder(Path(folder or temporary_folder()), needed)
        through = {place.device for place in plan.places.values() if place.passes} - {CPU}
        transit = {device: Transit(_lane(device)) for device in through}
        keepers = {
            name: _keeper(name, place, transit.get(place.device), folder)
            for name, place in plan.places.items()
        }
        return cls(devices, keepers, list(transit.values()))

    @override
    def device(self, name: str) -> torch.device:
        return self._devices[name]

    @override
    def permanent(self, name: str) -> bool:
        return isinstance(self._keepers[name], Stays)

    @override
    def stow(self, name: str, module: nn.Module) -> None:
        self._keepers[name].stow(module)

    @override
    def prefetch(self, name: str) -> None:
        self._keepers[name].prefetch()

    @override
    def acquire(self, name: str) -> None:
        if self._closed:
            raise PlacementError("the model was closed, with its files and buffers: load it again")
        self._keepers[name].acquire()

    @override
    def release(self, name: str) -> None:
        self._keepers[name].release()

    @override
    def close(self) -> None:
        self._closed = True
        for transit in self._transit:
            transit.close()
        for keeper in self._keepers.values():
            keeper.close()


def _keeper(name: str, place: Place, transit: Transit | None, folder: str | None) -> Keeper:
    if not place.passes:
        return Stays()
    if transit is None:
        return Mapped(name, folder)
    return Passing(name, transit, on_disk=place.kept == "disk", folder=folder)


def _lane(device: torch.device) -> Lane:
    return CudaLane(device) if device.type == "cuda" else PlainLane(device)


def _check_device(device: torch.device) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise PlacementError(
            f"{device} is not there, or not usable: {str(error).splitlines()[0]}"
        ) from error


def _check_folder(folder: Path, needed: int) -> None:
    if not folder.is_dir():
        raise PlacementError(f"offload_folder {folder}: there is no such folder; make it first")
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise PlacementError(
            f"offload_folder {folder}: {megabytes(needed)} are needed, {megabytes(free)} are free; "
            "name a folder on another disk"
        )
