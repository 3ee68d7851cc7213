"""Placement of models on several devices, in the CPU's memory and on disk, for gpt2sdk."""

from typing import TYPE_CHECKING

from gpt2sdk import hookimpl

if TYPE_CHECKING:
    from gpt2sdk import Component


@hookimpl
def gpt2sdk_components() -> "tuple[type[Component], ...]":
    """Return the components of this distribution."""
    from gpt2sdk_accelerate.auto import Auto
    from gpt2sdk_accelerate.balanced import Balanced
    from gpt2sdk_accelerate.cpu_offload import CpuOffload
    from gpt2sdk_accelerate.device_map import DeviceMap
    from gpt2sdk_accelerate.disk_offload import DiskOffload
    from gpt2sdk_accelerate.inferred import Inferred
    from gpt2sdk_accelerate.sequential import Sequential

    return Auto, Balanced, Sequential, CpuOffload, DiskOffload, DeviceMap, Inferred
