"""How a model is to be loaded."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from gpt2sdk.components.placement import Placement
from gpt2sdk.components.quantizer import Quantizer
from gpt2sdk.components.runner import Runner

MaxMemory = Mapping[str, int | str] | Mapping[int, int | str] | Mapping[int | str, int | str]


@runtime_checkable
class QuantizationConfig(Protocol):
    """Another library's description of a quantization, such as transformers' BitsAndBytesConfig."""

    def to_dict(self) -> Mapping[str, object]:
        """Return it as JSON values: what a checkpoint's config has as `quantization_config`."""


Quantization = str | Quantizer | QuantizationConfig | Mapping[str, object]


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """How a model is to be loaded; by default as it is stored.

    Attributes:
        dtype: The type in which it computes, and in which what is not quantized is held: a torch
            dtype or its name. "auto" is the checkpoint's own, but float32 for float16 weights on a
            CPU.
        device: Where it computes; "auto" is the GPU if there is one, else the CPU.
        quantization: What holds its matrices in fewer bits: a quantizer, or the name of an
            installed one; or another library's config, such as transformers' BitsAndBytesConfig, or
            its mapping, if an installed quantizer takes it. "auto" keeps the best quality that fits
            `max_memory`, or what is free.
        placement: What distributes it over devices: a placement, the name of an installed one, or
            a device map, from parts (`wte`, `h.0`, …) to devices.
        max_memory: Bytes that each device may hold, such as `{"cuda:0": "2GB", "cpu": "8GiB"}`, or
            of the device it runs on. What is free by default.
        runner: What computes scores: a runner, or the name of an installed one; "torch" are torch's
            functions. "auto" is the first installed one that can run the model.
    """

    dtype: torch.dtype | str = "auto"
    device: torch.device | str = "auto"
    quantization: Quantization | None = None
    placement: str | Mapping[str, object] | Placement | None = None
    max_memory: MaxMemory | int | str | None = None
    runner: str | Runner = "auto"
