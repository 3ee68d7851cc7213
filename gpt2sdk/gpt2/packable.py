"""Modules whose matrix a runner may hold, in the form that it reads fastest and nowhere else.

See docs/decisions/0037-packed-modules-say-so.md.
"""

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from threading import RLock
from typing import ClassVar, cast, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from gpt2sdk.components.runner import PackedMatrix
from gpt2sdk.errors import PackedError

# What is known of a matrix without its numbers.
_KNOWN = {"__get__", "__set__", "__hash__", "__repr__", "dim", "element_size", "is_complex"}
_KNOWN |= {"is_contiguous", "is_floating_point", "nelement", "numel", "requires_grad_", "size"}
_DEVICE = Tensor.device.__get__
_UNKNOWN = (Tensor.data.__get__, Tensor.is_leaf.__get__, Tensor.data.__set__)  # type: ignore[attr-defined]


@final
class PackedParameter(nn.Parameter):
    """What stands for a packed matrix among parameters: its shape and type, without numbers.

    Whatever wants numbers is refused, writing to them included, and so are optimizers, which ask
    for `is_leaf`. Its `device` is where the plain matrix will be again; `is_meta` is true.

    Attributes:
        home: That device.
    """

    home: torch.device

    @classmethod
    @override
    def __torch_function__(
        cls,
        func: Callable[..., object],
        types: Iterable[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Let only what needs no numbers through.

        Raises:
            PackedError: For anything else.
        """
        if func == _DEVICE and isinstance(args[0], PackedParameter):
            return args[0].home
        if getattr(func, "__name__", "") not in _KNOWN or func in _UNKNOWN:
            raise PackedError("the numbers of packed weights were asked for")
        with torch._C.DisableTorchFunctionSubclass():  # noqa: SLF001 - torch's own way on
            return func(*args, **(kwargs or {}))


class Packable(nn.Module):
    """A module with a parameter `weight`, plain or packed.

    While it is packed, `weight` is a `PackedParameter`. It computes, without gradients. Saving,
    copying and pickling write the plain matrix and leave the module packed; loading and moving
    unpack it.

    Attributes:
        packed: What holds the matrix; `None` while `weight` does.
    """

    packed: PackedMatrix | None = None
    # Held while the form is exchanged: any thread may look at a matrix.
    _exchange: ClassVar = RLock()

    @property
    def plain(self) -> nn.Parameter | None:
        """The parameter whose numbers are packed, itself without them; `None` if they are not."""
        return self.__dict__.get("_plain")

    def pack(self, packed: PackedMatrix) -> None:
        """Let a packed form stand in for the plain matrix, whose memory is freed."""
        with self._exchange:
            plain = cast("nn.Parameter", self._parameters["weight"])
            with torch.inference_mode(mode=False):
                empty = torch.empty(plain.shape, dtype=plain.dtype, device="meta")
                stand_in = PackedParameter(empty, plain.requires_grad)
                stand_in.home = plain.device
                self._parameters["weight"] = stand_in
                plain.data = torch.empty(0, dtype=plain.dtype, device=plain.device)
            # Past torch, which would make it a parameter: whoever has it gets its numbers back.
            self.__dict__["_plain"] = plain
            self.packed = packed

    def unpack(self) -> None:
        """Take the plain matrix back, bit for bit as it was, into the very parameter it was in."""
        with self._exchange:
            if self.packed is not None:
                plain: nn.Parameter = self.__dict__.pop("_plain")
                plain.data = self.packed.dense()
                plain.requires_grad_(self._parameters["weight"].requires_grad)  # type: ignore[union-attr]
                self._parameters["weight"] = plain
                self.packed = None

    def dense(self) -> Tensor:
        """Return the plain matrix: the parameter's numbers, or a copy of what is packed.

        Raises:
            PackedError: If it is packed and gradients are wanted.
        """
        packed, weight = self._held()
        return weight if packed is None else packed.dense()

    def _held(self, *beside: Tensor | None) -> tuple[PackedMatrix | None, Tensor]:
        """Return the form that is there now, and the plain matrix.

        Args:
            beside: What else gradients may be wanted of.

        Raises:
            PackedError: If it is packed and gradients are wanted.
        """
        with self._exchange:
            packed, weight = self.packed, cast("nn.Parameter", self._parameters["weight"])
            if packed is None and not torch.is_grad_enabled():
                # Not the parameter, whose numbers another thread may take.
                return None, weight.data
        if packed is not None and torch.is_grad_enabled():
            wanted = (weight, *(each for each in beside if each is not None))
            if any(each.requires_grad for each in wanted):
                raise PackedError("gradients were asked for of packed weights")
        return packed, weight

    @override
    def register_parameter(self, name: str, param: nn.Parameter | None) -> None:
        if name == "weight":
            self.packed = None
            self.__dict__.pop("_plain", None)
        super().register_parameter(name, param)

    @override
    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        self.unpack()
        module: nn.Module = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return module

    @override
    def _save_to_state_dict(
        self, destination: MutableMapping[str, Tensor], prefix: str, keep_vars: bool
    ) -> None:
        with self._exchange:
            if self.packed is None:
                super()._save_to_state_dict(destination, prefix, keep_vars)
                return
            for name, parameter in self._parameters.items():
                if parameter is not None:
                    held = self.packed.dense() if name == "weight" else parameter
                    destination[f"{prefix}{name}"] = held if keep_vars else held.detach()

    @override
    def _load_from_state_dict(self, *arguments: object) -> None:
        self.unpack()
        super()._load_from_state_dict(*arguments)

    @override
    def __getstate__(self) -> dict[str, object]:
        with self._exchange:
            state = dict(self.__dict__)
            if self.packed is not None:
                del state["packed"], state["_plain"]
                stand_in = cast("nn.Parameter", self._parameters["weight"])
                plain = nn.Parameter(self.packed.dense(), stand_in.requires_grad)
                state["_parameters"] = {**self._parameters, "weight": plain}
        return state
