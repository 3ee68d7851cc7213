"""What tells a model from others: its sizes, its type, and a fingerprint of its weights."""

import hashlib
from array import array
from dataclasses import dataclass
from threading import Lock
from typing import Self

import torch
from torch import Tensor, nn

from gpt2sdk.components.causal_lm import CausalLM
from gpt2sdk.components.quantizer import Quantizer
from gpt2sdk.components.runner import PackedMatrix
from gpt2sdk.gpt2.packable import Packable
from gpt2sdk.options import json_ready

_SAMPLES = 16
"""So many numbers of each tensor are looked at."""


class Identity:
    """What tells a generator's model from others; its fingerprint is made anew when it changes.

    A change is noticed by torch's version counters, which what is written behind torch's back, as
    by `parameter.data.add_()`, does not move: the fingerprint is then that from before.

    Packed matrices are those they were before they were packed: a generator that loads a model
    has the fingerprint from then, and whoever hands in a packed one waits for them once.

    The fingerprint is made of the name, shape and type of each parameter and buffer, and of up to
    16 of its numbers, evenly spread. So it costs milliseconds, is the same on every device, and
    tells other models, types, quantizations and adapters apart; a change to a few of the weights
    may escape it. Quantized matrices that a kernel has laid out for itself count by name alone,
    and where another machine lays them out otherwise, the fingerprint is another one.

    Attributes:
        name: What the model was loaded by; empty where it was handed in.
    """

    def __init__(self, model: CausalLM, name: str = "") -> None:
        self.name = name
        self._model = model
        self._parts: dict[str, tuple[object, bytes]] = {}
        self._lock = Lock()

    def settled(self) -> Self:
        """Read the numbers now, while they are plain, and return itself."""
        _ = self.fingerprint
        return self

    def record(self, dtype: torch.dtype | None, quantizer: Quantizer | None) -> dict[str, object]:
        """Return what a record of a call says of the model, JSON-ready.

        Args:
            dtype: The type in which it computes, where that is known.
            quantizer: What holds its matrices in fewer bits.
        """
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "dtype": str(dtype).removeprefix("torch.") if dtype else None,
            "quantization": json_ready(quantizer),
            "vocab_size": self._model.vocab_size,
            "context_length": self._model.context_length,
        }

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits; empty for what is no torch module."""
        if not isinstance(self._model, nn.Module):
            return ""
        with self._lock:
            holders = _holders(self._model)
            parts = {}
            for name, holder in holders.items():
                known = self._parts.get(name)
                if known is None or known[0] != holder.state:
                    known = holder.state, holder.digest()
                parts[name] = known
            self._parts = parts
        digest = hashlib.blake2b(digest_size=8)
        for name, (_, part) in parts.items():
            digest.update(f"{name};".encode() + part)
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class _Holder:
    """What holds a parameter or a buffer.

    Attributes:
        tensor: It; a packed one without its numbers.
        packed: What holds the numbers of a packed one.
    """

    tensor: Tensor
    packed: PackedMatrix | None = None

    @property
    def state(self) -> tuple[object, ...]:
        """What changes when it is exchanged or changed in place."""
        return id(self.tensor), _version(self.tensor)

    def digest(self) -> bytes:
        """Return what stands for its numbers."""
        tensor = self.packed.dense() if self.packed else self.tensor
        if tensor.layout is not torch.strided or tensor.device.type == "meta":
            return b""
        head = f"{tuple(tensor.shape)} {tensor.dtype};".encode()
        return head + array("d", _some(tensor.detach()).flatten().tolist()).tobytes()


def _holders(model: nn.Module) -> dict[str, _Holder]:
    """Return what holds all that a model is, by name."""
    found = {name: _Holder(each) for name, each in nn.Module.named_buffers(model)}
    for prefix, module in model.named_modules():
        dot = f"{prefix}." if prefix else ""
        for name, each in module.named_parameters(recurse=False):
            found[dot + name] = _Holder(each)
        if isinstance(module, Packable) and (plain := module.plain) is not None:
            found[f"{dot}weight"] = _Holder(plain, module.packed)
    return dict(sorted(found.items()))


def _version(tensor: Tensor) -> int:
    """How often a tensor was changed in place; those made for inference are not counted."""
    return 0 if tensor.is_inference() else tensor._version  # noqa: SLF001 - torch's own counter


def _some(tensor: Tensor) -> Tensor:
    """Return some numbers of a tensor, wherever they lie, without copying the rest; float64."""
    if not (tensor.dim() and tensor.numel()):
        return tensor.double()
    places = torch.linspace(0, tensor.numel() - 1, min(_SAMPLES, tensor.numel())).round().long()
    where = torch.unravel_index(places, tensor.shape)
    return tensor[tuple(each.to(tensor.device) for each in where)].double()
