"""What tells a model from others: its sizes, its type, and a fingerprint of its weights."""

import hashlib
from collections.abc import Mapping
from threading import Lock

import torch
from torch import Tensor, nn

from gpt2sdk.components.causal_lm import CausalLM

_SAMPLES = 16
"""So many numbers of each tensor are looked at."""


class Identity:
    """What tells a generator's model from others; its fingerprint is made anew when it changes.

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
        self._tensors: Mapping[str, Tensor] | None = None
        self._versions: list[int] = []
        self._text = ""
        self._lock = Lock()

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits; empty for what is no torch module."""
        if not isinstance(self._model, nn.Module):
            return ""
        with self._lock:
            if self._tensors is None:
                self._tensors = _tensors(self._model)
            versions = [_version(each) for each in self._tensors.values()]
            if versions != self._versions:
                self._text, self._versions = _digest(self._tensors), versions
            return self._text


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return all that a model holds, by name."""
    # A model that holds packed copies gives them up when it is asked itself.
    found = {**dict(nn.Module.named_parameters(model)), **dict(nn.Module.named_buffers(model))}
    return dict(sorted(found.items()))


def _version(tensor: Tensor) -> int:
    """How often a tensor was changed in place; those made for inference are not counted."""
    return 0 if tensor.is_inference() else tensor._version  # noqa: SLF001 - torch's own counter


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for name, tensor in tensors.items():
        digest.update(f"{name};".encode())
        if tensor.layout is torch.strided and tensor.device.type != "meta":
            digest.update(f"{tuple(tensor.shape)} {tensor.dtype};".encode())
            digest.update(_some(tensor.detach()).cpu().numpy().tobytes())
    return digest.hexdigest()


def _some(tensor: Tensor) -> Tensor:
    """Return some numbers of a tensor, wherever they lie, without copying the rest; float64."""
    if not (tensor.dim() and tensor.numel()):
        return tensor.double()
    places = torch.linspace(0, tensor.numel() - 1, min(_SAMPLES, tensor.numel())).round().long()
    return tensor[torch.unravel_index(places.to(tensor.device), tensor.shape)].double()
