"""What a model's parts take in one format or another: bytes from shapes, nothing else."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import torch

from gpt2sdk.components.architecture import Architecture
from gpt2sdk.components.checkpoint import Checkpoint
from gpt2sdk.components.placement import Kept, Part, Place
from gpt2sdk.components.quantizer import Matrix, QuantizedMatrix, Quantizer
from gpt2sdk.files.shards import stored_nbytes
from gpt2sdk.files.tensors import SLAB_BYTES
from gpt2sdk.loading.device_memory import device_name
from gpt2sdk.loading.lookup import plan_matrix
from gpt2sdk.loading.plan import MatrixPlan, PartPlan

# A slab as it is read, turned over, and converted.
_COPIES = 3


@dataclass(frozen=True, slots=True)
class Sizing:
    """Measures a checkpoint's parts, as they will be held.

    Attributes:
        checkpoint: The weights.
        quantizer: What holds matrices in fewer bits; `None` for nothing.
        dtype: The type of what is not quantized.
        names: The names of each part's parameters.
        matrices: The matrices, by parameter.
    """

    checkpoint: Checkpoint[Architecture]
    quantizer: Quantizer | None
    dtype: torch.dtype
    names: Mapping[str, Sequence[str]]
    matrices: Mapping[str, Matrix]

    @classmethod
    def of(
        cls,
        checkpoint: Checkpoint[Architecture],
        quantizer: Quantizer | None,
        dtype: torch.dtype,
    ) -> Self:
        """Prepare to measure a checkpoint; what parts it has is asked once."""
        names, matrices = checkpoint.architecture.parts(), checkpoint.matrices()
        return cls(checkpoint, quantizer, dtype, names, matrices)

    def parts(self, device: torch.device, kept: Kept = "device") -> tuple[PartPlan, ...]:
        """Measure all parts for one device."""
        place = Place(device, kept)
        return tuple(self.part(name, place) for name in self.names)

    def placed(self, places: Mapping[str, Place]) -> tuple[PartPlan, ...]:
        """Measure each part for its place."""
        return tuple(self.part(name, place) for name, place in places.items())

    def part(self, name: str, place: Place) -> PartPlan:
        """Measure one part for its place."""
        names, matrices = self.names[name], self.matrices
        planned = tuple(self._matrix(matrices[each], place) for each in names if each in matrices)
        others = [each for each in names if each not in matrices]
        rest = sum(map(self._held_nbytes, others))
        in_file = sum(map(self._file_nbytes, others))
        slabs = max(map(self._slabs, others), default=0)
        return PartPlan(
            name=name,
            matrices=planned,
            nbytes=rest + sum(each.nbytes for each in planned),
            stored_nbytes=rest + sum(each.stored_nbytes for each in planned),
            file_nbytes=in_file + sum(each.file_nbytes for each in planned),
            workspace=max(slabs, *(each.workspace for each in planned), 0),
            cache_nbytes=self.checkpoint.architecture.cache_nbytes(name, self.dtype, place.device),
            row_nbytes=self.checkpoint.architecture.row_nbytes(name, self.dtype, place.device),
            device=device_name(place.device),
            kept=place.kept,
            reason=place.reason,
            vectors=all(len(self.checkpoint.shapes[each]) < 2 for each in names),
        )

    def _held_nbytes(self, name: str) -> int:
        """Return what a parameter takes that is no matrix."""
        dtype = self.checkpoint.architecture.parameter_dtype(name, self.dtype)
        return math.prod(self.checkpoint.shapes[name]) * dtype.itemsize

    def _matrix(self, matrix: Matrix, place: Place) -> MatrixPlan:
        planned = self._quantized(matrix, place.device)
        if planned is None:
            return self._plain(matrix, place)
        if matrix.name in self.checkpoint.layout.quantized:
            in_file = sum(map(stored_nbytes, planned.stored.values()))
            workspace = in_file
        else:
            in_file = self._file_nbytes(matrix.name)
            workspace = planned.workspace + self._slabs(matrix.name)
        portable = planned.portable and place.mapped
        packs = portable or not place.passes
        stored = sum(map(stored_nbytes, planned.stored.values()))
        return MatrixPlan(
            matrix=matrix,
            quantized=planned,
            format=planned.format,
            nbytes=planned.nbytes,
            stored_nbytes=planned.nbytes if portable else stored,
            file_nbytes=in_file,
            workspace=max(workspace, planned.packing_workspace if packs else 0),
            passing_workspace=0 if packs else planned.passing_workspace,
            portable=portable,
            note=planned.note,
        )

    def _plain(self, matrix: Matrix, place: Place) -> MatrixPlan:
        numbers = math.prod(matrix.shape)
        size = numbers * self.dtype.itemsize
        architecture = self.checkpoint.architecture
        packs = place.kept == "device" and architecture.packs(matrix, self.dtype, place.device)
        # Of the output head, the packed copy stands beside the matrix; of others, in its place.
        beside = packs and (matrix.use == "head" or matrix.tied)
        # While it is packed: the matrix it will replace, or the head's rows less their mean.
        twice = packs and (not beside or self.dtype == torch.bfloat16)
        return MatrixPlan(
            matrix=matrix,
            quantized=None,
            format=str(self.dtype).removeprefix("torch.") + " and a packed copy" * beside,
            nbytes=size + size * beside,
            stored_nbytes=size,
            file_nbytes=self._file_nbytes(matrix.name),
            workspace=max(self._slabs(matrix.name), size * twice),
        )

    def _quantized(self, matrix: Matrix, device: torch.device) -> QuantizedMatrix | None:
        if self.quantizer is None:
            return None
        layout = self.checkpoint.layout
        if layout.quantized and matrix.name not in layout.quantized:
            return None
        return plan_matrix(self.quantizer, matrix, device)

    def _slabs(self, name: str) -> int:
        """Return what reading a plain parameter takes besides."""
        key = self.checkpoint.layout.entries[name].key
        return _COPIES * min(SLAB_BYTES, stored_nbytes(self.checkpoint.source.infos[key]))

    def _file_nbytes(self, name: str) -> int:
        key = self.checkpoint.layout.entries[name].key
        return self.checkpoint.source.nbytes(key)


def as_part(plan: PartPlan, passing: PartPlan, reserved_tokens: int) -> Part:
    """Return what a placement is told of a part.

    Args:
        plan: The part where it stays.
        passing: The same one where it is read whenever it computes.
        reserved_tokens: For how many tokens keys and values are to have room.
    """
    return Part(
        plan.name,
        plan.nbytes,
        passing.stored_nbytes,
        plan.cache_nbytes,
        workspace=plan.workspace,
        passing_workspace=passing.passing_workspace,
        reserved_tokens=reserved_tokens,
        vectors=plan.vectors,
    )
