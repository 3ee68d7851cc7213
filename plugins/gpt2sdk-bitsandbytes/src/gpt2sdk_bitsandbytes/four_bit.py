"""NF4 and FP4 weights: 4 bits a number, one statistic for each block of neighbours."""

from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal, Self, final, get_args

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from gpt2sdk import CheckpointError, Matrix, QuantizedLinear, QuantizedMatrix, Target, TensorInfo
from gpt2sdk_bitsandbytes import library, making, storing
from gpt2sdk_bitsandbytes.canary import check
from gpt2sdk_bitsandbytes.four_bit_linear import FourBitLinear, packs
from gpt2sdk_bitsandbytes.four_bit_products import piece_rows
from gpt2sdk_bitsandbytes.quantizer import SLAB_NUMBERS, Bitsandbytes
from gpt2sdk_bitsandbytes.scheme import Kind, Numbers, Scheme, block_sizes

# Bytes for each number of a piece that is expanded to float32, or packed.
_PIECE_BYTES = 8
BlockSize = Literal[32, 64, 128, 256, 512, 1024]
_BLOCK_SIZE: Literal[64] = 64
# Keys of `config.json` for what transformers has none for: it takes the size from each matrix's
# state, and cannot tell float32 from nothing.
_BLOCK_SIZE_KEY, _COMPUTE_KEY = "block_size", "compute_dtype"


class FourBit(Bitsandbytes):
    """Quantizes layers to one of 16 values times the largest magnitude of a block."""

    kind: ClassVar[Kind]

    double_quant: bool = Field(
        default=True,
        description="Whether the blocks' statistics are quantized, too: saves 0.37 bits a number",
    )
    block_size: BlockSize = Field(
        default=_BLOCK_SIZE, description="Neighbouring numbers that share a statistic"
    )
    compute_dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto",
        description="Type of products: auto is the model's on a GPU, on a CPU bfloat16 where the "
        "kernel for AVX512-BF16 can be used, and float32 elsewhere",
    )

    @property
    def scheme(self) -> Scheme:
        """How numbers become 4 bits."""
        return Scheme(self.kind, self.block_size, self.double_quant)

    @override
    def probe(self, device: torch.device) -> str:
        library.require(device, (6, 0), self.name)
        layer = check(self, device, 0.2 if self.kind == "fp4" else 0.15)
        return f"{layer.kernel}; table: int8" if self.embeddings == "int8" else layer.kernel

    @override
    def plan_layer(self, matrix: Matrix, device: torch.device) -> QuantizedMatrix:
        count = matrix.shape[0] * matrix.shape[1]
        tensors = self.scheme.tensors(matrix).values()
        nbytes = sum(_ITEM_SIZES[info.dtype] * torch.Size(info.shape).numel() for info in tensors)
        packed = packs(matrix.shape, self.scheme, self._compute_dtype, device)
        blocks, note, packing_workspace = self.scheme.blocks(matrix), "", 0
        rows = min(matrix.shape[0], piece_rows(matrix.shape[1], self.block_size))
        passing_workspace = _PIECE_BYTES * rows * matrix.shape[1] + 8 * blocks
        if packed:
            nbytes += 2 * blocks
            packing_workspace = self.scheme.bytes_of_numbers(matrix) + passing_workspace
        elif device.type == "cpu":
            note = "slow: no kernel of this CPU reads it, so it is expanded for each product"
        else:
            # For many rows, bitsandbytes expands all of it, to float32 at most.
            passing_workspace = 4 * count + 8 * blocks
        return QuantizedMatrix(
            f"{self.kind}, double" if self.double_quant else self.kind,
            nbytes + (4 if self.double_quant else 0),
            self.scheme.stored(matrix),
            workspace=24 * min(count, SLAB_NUMBERS) + 4 * blocks,
            note=note,
            packing_workspace=packing_workspace,
            passing_workspace=passing_workspace,
            portable=packed,
        )

    @override
    def layer(
        self,
        matrix: Matrix,
        slabs: Iterator[Tensor],
        bias: Tensor | None,
        target: Target,
    ) -> FourBitLinear:
        numbers = making.quantize(matrix, self.scheme, slabs, target)
        return self._hold(matrix, numbers, bias)

    @override
    def restore_layer(
        self,
        matrix: Matrix,
        tensors: Mapping[str, Tensor],
        bias: Tensor | None,
        target: Target,
    ) -> QuantizedLinear:
        numbers = storing.restore(matrix, self.scheme, tensors)
        return self._hold(matrix, numbers.to(target.device), bias)

    @override
    def own_settings(self) -> Mapping[str, object]:
        asked = {} if self.compute_dtype == "auto" else {_COMPUTE_KEY: self.compute_dtype}
        size = {} if self.block_size == _BLOCK_SIZE else {_BLOCK_SIZE_KEY: self.block_size}
        return {
            "load_in_4bit": True,
            "bnb_4bit_quant_type": self.kind,
            "bnb_4bit_use_double_quant": self.double_quant,
            "bnb_4bit_quant_storage": "uint8",
            "bnb_4bit_compute_dtype": "float32" if not asked else self.compute_dtype,
            **asked,
            **size,
        }

    @classmethod
    @override
    def read_settings(cls, config: Mapping[str, object], bits: int) -> dict[str, object] | None:
        if bits != 4 or config.get("bnb_4bit_quant_type", "fp4") != cls.kind:
            return None
        # transformers writes float32 where nobody chose a type.
        computed = config.get("bnb_4bit_compute_dtype")
        computed = "auto" if computed in (None, "float32") else computed
        return {
            "double_quant": config.get("bnb_4bit_use_double_quant", False),
            "block_size": config.get(_BLOCK_SIZE_KEY, _BLOCK_SIZE),
            "compute_dtype": config.get(_COMPUTE_KEY, computed),
        }

    @override
    def fitted(self, infos: Mapping[str, TensorInfo]) -> Self:
        # transformers' config does not say it.
        found = block_sizes(infos, get_args(BlockSize))
        if self.block_size in found:
            return self
        if not found:
            raise CheckpointError(
                f"{self.name}: expected matrices with one statistic for each block of "
                f"{', '.join(map(str, get_args(BlockSize)))} numbers, the same in all "
                "of them: quantize the model again with one of these block sizes"
            )
        return self.model_copy(update={"block_size": min(found)})

    @property
    def _compute_dtype(self) -> torch.dtype | None:
        return None if self.compute_dtype == "auto" else getattr(torch, self.compute_dtype)

    def _hold(self, matrix: Matrix, numbers: Numbers, bias: Tensor | None) -> FourBitLinear:
        return FourBitLinear(
            numbers,
            self.scheme,
            matrix.shape,
            bias,
            compute_dtype=self._compute_dtype,
        )


_ITEM_SIZES = {"uint8": 1, "float32": 4}


@final
class BnbNf4(FourBit):
    """NF4: the 16 values are quantiles of a normal distribution (Dettmers et al., 2023).

    A number takes 4.13 bits with `double_quant`, 4.5 without; of normal weights, the error is 9 %
    of their norm. See arXiv:2305.14314. On the ladder it stands below whole numbers with a scale
    and a zero for each group, whose error is 8.4 % in 4.5 bits.
    """

    kind: ClassVar[Kind] = "nf4"
    ladder: ClassVar[int | None] = 30


@final
class BnbFp4(FourBit):
    """FP4: the 16 values are floating point numbers with two bits of exponent and one of fraction.

    It takes what NF4 takes, and its error is larger, 12 % of normal weights' norm: it is for
    checkpoints that were saved with it.
    """

    kind: ClassVar[Kind] = "fp4"
