"""Whether the numbers of a quantized matrix, from a checkpoint or just made, can be used."""

from collections.abc import Mapping

from torch import Tensor

from gpt2sdk.components.quantizer import Matrix
from gpt2sdk.components.tensor_source import TensorInfo
from gpt2sdk.errors import CheckpointError


def check_stored(
    matrix: Matrix, tensors: Mapping[str, Tensor], expected: Mapping[str, TensorInfo]
) -> None:
    """Compare a matrix's stored tensors with what was planned, as `QuantizedMatrix.stored`.

    Args:
        matrix: Whose they are.
        tensors: What a checkpoint holds, by what is appended to the parameter's name.
        expected: What should be there; a length of −1 stands for any.

    Raises:
        CheckpointError: If one is missing, left over, or of another shape or type; its lists name
            them all.
    """
    missing = [matrix.name + name for name in expected if name not in tensors]
    unexpected = [matrix.name + name for name in tensors if name not in expected]
    mismatched = [
        f"{matrix.name}{name}: {_said(found)} instead of {_said(expected[name])}"
        for name, tensor in tensors.items()
        if name in expected and not expected[name].admits(found := TensorInfo.of(tensor))
    ]
    if missing or unexpected or mismatched:
        problems = [
            *(f"{name} is missing" for name in missing),
            *(f"{name} is not expected" for name in unexpected),
            *mismatched,
        ]
        raise CheckpointError(
            f"{matrix.name} cannot be restored: {'; '.join(problems)}. "
            "Quantize the model again, or mend its quantization_config",
            missing=missing,
            unexpected=unexpected,
            mismatched=mismatched,
        )


def check_finite(matrix: Matrix, what: str, *tensors: Tensor) -> None:
    """Make sure that there is no NaN and no infinity in what belongs to a matrix.

    Args:
        matrix: Whose they are.
        what: What they are, or were made of: weights, scales.
        tensors: What is looked at.

    Raises:
        CheckpointError: If there is.
    """
    if not all(bool(tensor.isfinite().all()) for tensor in tensors):
        raise CheckpointError(
            f"{matrix.name}: expected finite {what}, found infinity or NaN, which cannot be "
            "multiplied with. Take another checkpoint, or save this one again"
        )


def _said(info: TensorInfo) -> str:
    """Say a type and a shape.

    >>> _said(TensorInfo((-1, 2), "uint8"))
    'uint8 any×2'
    """
    lengths = ("any" if length < 0 else str(length) for length in info.shape)
    return f"{info.dtype} {'×'.join(lengths)}"
