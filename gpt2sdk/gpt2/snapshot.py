"""Which objects a model consists of: where they are others, what was packed is out of date."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from operator import is_, methodcaller
from typing import final

from torch import nn

from gpt2sdk.components.quantized import Quantized

_END = object()
_VALUES: Callable[[Mapping[str, object]], Iterable[object]] = methodcaller("values")


@final
class Snapshot:
    """The modules, parameters and quantized buffers of a model, as they are now."""

    def __init__(self, model: nn.Module) -> None:
        modules = list(model.modules())
        self._hooks = [
            hooks
            for module in modules
            for hooks in (module._forward_hooks, module._forward_pre_hooks)  # noqa: SLF001 - no other way to know
        ]
        self._parts: list[Mapping[str, object]] = [
            parts
            for module in modules
            for parts in (module._modules, module._parameters)  # noqa: SLF001 - as above
            if parts
        ]
        self._parts += [
            part._buffers  # noqa: SLF001 - as above
            for module in modules
            if isinstance(module, Quantized)
            for part in module.modules()
        ]
        self._before = list(self._now())

    @property
    def hooked(self) -> bool:
        """Whether some module has a hook, so that it has to be called."""
        return any(self._hooks)

    @property
    def unchanged(self) -> bool:
        """Whether each module, parameter and quantized buffer is the very object it was."""
        return all(map(is_, self._now(), self._before))

    def _now(self) -> Iterator[object]:
        # With an end, so that one object more is as different as one less.
        return chain(chain.from_iterable(map(_VALUES, self._parts)), (_END,))
