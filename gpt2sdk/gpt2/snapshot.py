"""Which objects a model consists of: where they are others, what was packed is out of date."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from itertools import chain
from operator import attrgetter, is_, methodcaller
from typing import final

from torch import Tensor, nn

from gpt2sdk.components.quantized import Quantized
from gpt2sdk.gpt2.adjustable import Adjustable
from gpt2sdk.gpt2.packable import PackedParameter

_END = object()
_VALUES: Callable[[Mapping[str, object]], Iterable[object]] = methodcaller("values")
_VERSION: Callable[[Tensor], int] = attrgetter("_version")


@final
class Snapshot:
    """The modules, parameters and quantized buffers of a model, as they are now.

    Attributes:
        mark: What tells it from all others.
    """

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
        tensors = (each for each in self._before if isinstance(each, Tensor))
        # Packed numbers are not written to: whoever wants that, unpacks them first.
        self._tensors = [each for each in tensors if not isinstance(each, PackedParameter)]
        # Of tensors that were made in inference mode, nobody counts how often they are written to.
        self._counted = [each for each in self._tensors if not each.is_inference()]
        self._own = [vars(module) for module in modules]
        self._adjustable = [each for each in modules if isinstance(each, Adjustable)]
        self.mark = object()

    @property
    def hooked(self) -> bool:
        """Whether some module has a hook, so that it has to be called."""
        return any(self._hooks)

    @property
    def overridden(self) -> bool:
        """Whether a module has a `forward` of its own, of which nobody knows what it does."""
        return any("forward" in own for own in self._own)

    @property
    def unchanged(self) -> bool:
        """Whether each module, parameter and quantized buffer is the very object it was."""
        return all(map(is_, self._now(), self._before))

    def written(self, *, at_rest: bool) -> tuple[Hashable, ...]:
        """Return what becomes another thing when a tensor is written to, or a setting changed.

        Args:
            at_rest: Whether tensors keep their memory, so that other memory says something.
        """
        places = map(Tensor.data_ptr, self._tensors) if at_rest else ()
        settings = (each.setting for each in self._adjustable)
        return *map(_VERSION, self._counted), *places, *settings

    def _now(self) -> Iterator[object]:
        # With an end, so that one object more is as different as one less.
        return chain(chain.from_iterable(map(_VALUES, self._parts)), (_END,))
