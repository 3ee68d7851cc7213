"""What all quantizers of bitsandbytes have in common: the table of tokens, and what is skipped."""

import re
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Literal, Self

import torch
from jaxtyping import Float
from pydantic import Field, field_validator
from torch import Tensor
from typing_extensions import override

from gpt2sdk import (
    CheckpointError,
    Matrix,
    OptionError,
    QuantizedLinear,
    QuantizedMatrix,
    QuantizedTable,
    Quantizer,
    Target,
)
from gpt2sdk_bitsandbytes import rows, settings
from gpt2sdk_bitsandbytes import table as tables

SLAB_NUMBERS = 2**21
"""How many numbers a slab has, at most."""

_NETWORK = "network."


class Bitsandbytes(Quantizer):
    """Quantizes layers as its subclass says, and the table of tokens to 8 bits."""

    embeddings: Literal["int8", "none", "head"] = Field(
        default="int8",
        description="The table of tokens, and a head of its own: one 8-bit row a token; or none "
        "of it, as transformers has it and as checkpoints for transformers need it; or only the "
        "head, as layers are, which is transformers' for a list of modules without lm_head",
    )
    skip_modules: tuple[str, ...] = Field(
        default=(),
        description="Modules that stay as they are: how their names in transformers begin or end, "
        "as in its llm_int8_skip_modules; h.0 is short for transformer.h.0",
    )

    @field_validator("skip_modules")
    @classmethod
    def _are_patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"should be a name or regular expression: {error}") from error
        return tuple(map(settings.full, patterns))

    @override
    def plan(self, matrix: Matrix, device: torch.device) -> QuantizedMatrix | None:
        module = matrix.name.removesuffix(".weight")
        if module.startswith(_NETWORK):
            # Another library's network, whose modules have its names.
            name = module.removeprefix(_NETWORK)
        else:
            name = module if matrix.use == "head" else f"transformer.{module}"
        if any(settings.skips(pattern, name) for pattern in self.skip_modules):
            return None
        if self._is_layer(matrix):
            return self.plan_layer(matrix, device)
        if self.embeddings != "int8":
            return None
        outputs, inputs = matrix.shape
        return QuantizedMatrix(
            "int8 per row",
            outputs * inputs + 4 * outputs,
            tables.stored(matrix),
            workspace=12 * min(outputs * inputs, SLAB_NUMBERS),
            passing_workspace=4 * min(outputs * inputs, max(rows.PIECE, inputs)),
        )

    @override
    def linear(
        self,
        matrix: Matrix,
        slabs: Iterator[Float[Tensor, "rows in"]],
        bias: Tensor | None,
        target: Target,
    ) -> QuantizedLinear:
        if self._is_layer(matrix):
            return self.layer(matrix, slabs, bias, target)
        return tables.Int8Head(*rows.quantize(matrix, slabs, target.device), target.dtype, bias)

    @override
    def table(
        self,
        matrix: Matrix,
        slabs: Iterator[Float[Tensor, "rows embed"]],
        target: Target,
    ) -> QuantizedTable:
        return tables.BnbInt8Table(*rows.quantize(matrix, slabs, target.device), target.dtype)

    @override
    def restore(
        self,
        matrix: Matrix,
        tensors: Mapping[str, Tensor],
        bias: Tensor | None,
        target: Target,
    ) -> QuantizedLinear | QuantizedTable:
        if self._is_layer(matrix):
            return self.restore_layer(matrix, tensors, bias, target)
        numbers, largest = (part.to(target.device) for part in tables.restore(matrix, tensors))
        if matrix.use == "table":
            return tables.BnbInt8Table(numbers, largest, target.dtype)
        return tables.Int8Head(numbers, largest, target.dtype, bias)

    @override
    def config(self) -> Mapping[str, object]:
        return settings.written(
            self.own_settings(), embeddings=self.embeddings, skipped=self.skip_modules
        )

    @classmethod
    @override
    def claim(cls, config: Mapping[str, object]) -> Self | None:
        read = settings.read(config)
        fields = read and cls.read_settings(read.layers, read.bits)
        if not (read and fields):
            return None
        fields["embeddings"] = read.embeddings
        fields["skip_modules"] = read.skipped
        make: Callable[..., Self] = cls
        try:
            return make(**fields)
        except OptionError as error:
            raise CheckpointError(f"quantization_config of bitsandbytes: {error}") from error

    def _is_layer(self, matrix: Matrix) -> bool:
        """Whether it is quantized as layers are."""
        return matrix.use == "linear" or (matrix.use == "head" and self.embeddings == "head")

    @classmethod
    @override
    def from_config(cls, config: Mapping[str, object]) -> Self | None:
        config = settings.plain(config)
        settings.check_asked(config)
        return super().from_config(config)

    @abstractmethod
    def plan_layer(self, matrix: Matrix, device: torch.device) -> QuantizedMatrix:
        """Say what becomes of a layer."""

    @abstractmethod
    def layer(
        self,
        matrix: Matrix,
        slabs: Iterator[Tensor],
        bias: Tensor | None,
        target: Target,
    ) -> QuantizedLinear:
        """Make a layer of slabs."""

    @abstractmethod
    def restore_layer(
        self,
        matrix: Matrix,
        tensors: Mapping[str, Tensor],
        bias: Tensor | None,
        target: Target,
    ) -> QuantizedLinear:
        """Make a layer of what a checkpoint holds."""

    @abstractmethod
    def own_settings(self) -> Mapping[str, object]:
        """Return what the fields are called in `config.json`."""

    @classmethod
    @abstractmethod
    def read_settings(cls, config: Mapping[str, object], bits: int) -> dict[str, object] | None:
        """Return the fields that transformers' keys say; `None` if they are another quantizer's."""
