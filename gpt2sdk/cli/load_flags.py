"""How a model is loaded: flags that every command has which loads one."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from typing import TYPE_CHECKING, get_type_hints

from gpt2sdk.cli.parameters import (
    Adapter,
    Device,
    Dtype,
    Memory,
    Offline,
    PlacementName,
    PluginFiles,
    Quantization,
    Revision,
    RunnerName,
)

if TYPE_CHECKING:
    from gpt2sdk.loading import Hub


@dataclass(frozen=True, slots=True)
class LoadFlags:
    """What the flags said; each field is one flag, with its default.

    Attributes:
        dtype: In which type the model computes.
        device: Where.
        quantization: What holds its weights in fewer bits.
        placement: What distributes it over devices.
        memory: What may be used.
        runner: What computes scores.
        adapter: The folder of an adapter that is put into the model.
        plugin: Files with further plugins.
        revision: The hub's version of the model.
        offline: Whether never to go online.
    """

    dtype: Dtype = "auto"
    device: Device = "auto"
    quantization: Quantization = None
    placement: PlacementName = None
    memory: Memory = None
    runner: RunnerName = "auto"
    adapter: Adapter = None
    plugin: PluginFiles = None
    revision: Revision = None
    offline: Offline = False

    def hub(self) -> "Hub":
        """Return how to reach the hub."""
        from gpt2sdk.loading import Hub

        return Hub(revision=self.revision, local_files_only=self.offline)


def with_load_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the flags of `LoadFlags` in place of its parameter `flags`."""
    names = [field.name for field in fields(LoadFlags)]
    hints = get_type_hints(LoadFlags, include_extras=True)
    signature = inspect.signature(command, eval_str=True)
    own = [each for name, each in signature.parameters.items() if name != "flags"]
    kind = inspect.Parameter.KEYWORD_ONLY
    shared = [
        inspect.Parameter(each.name, kind, default=each.default, annotation=hints[each.name])
        for each in fields(LoadFlags)
    ]

    @wraps(command)
    def run(**given: object) -> None:
        flags = LoadFlags(**{name: given.pop(name) for name in names})  # type: ignore[arg-type]
        command(**given, flags=flags)

    # The parser reads these instead of what the function really takes.
    parameters = [*own, *shared]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run
