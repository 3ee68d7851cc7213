"""What stands in a checkpoint: the settings, and tensors that fit them."""

from collections.abc import Mapping
from typing import TypeVar

from torch import Tensor

from gpt2sdk import CheckpointError, Matrix, OptionError, Quantizer, TensorInfo

QuantizerT = TypeVar("QuantizerT", bound=Quantizer)

METHOD, VERSION = "gpt2sdk", 1


def written(quantizer: Quantizer) -> dict[str, object]:
    """Return the `quantization_config` of a quantizer: who reads it, and its fields."""
    fields = quantizer.model_dump(mode="json")
    return {"quant_method": METHOD, "scheme": quantizer.name, "version": VERSION, **fields}


def claimed(kind: type[QuantizerT], config: Mapping[str, object]) -> QuantizerT | None:
    """Return the quantizer of a `quantization_config`, if it is of this kind.

    Raises:
        CheckpointError: If it is of another version, or its settings are not known.
    """
    fields = dict(config)
    if (fields.pop("quant_method", None), fields.pop("scheme", None)) != (METHOD, kind.name):
        return None
    version = fields.pop("version", None)
    if version != VERSION:
        raise CheckpointError(
            f"{kind.name} weights of version {version!r}: this gpt2sdk-quantization reads "
            f"version {VERSION}. Install the one that wrote them, or quantize again"
        )
    try:
        return kind(**fields)
    except OptionError as error:
        raise CheckpointError(f"the quantization_config of {kind.name} weights: {error}") from error


def check_stored(
    matrix: Matrix, tensors: Mapping[str, Tensor], expected: Mapping[str, TensorInfo]
) -> None:
    """Compare stored tensors with what a plan expects.

    Raises:
        CheckpointError: If one is missing, left over, or of another shape or type.
    """
    missing = [matrix.name + name for name in expected if name not in tensors]
    unexpected = [matrix.name + name for name in tensors if name not in expected]
    mismatched = [
        f"{matrix.name}{name}: {_said(found)} instead of {_said(expected[name])}"
        for name, tensor in tensors.items()
        if name in expected and (found := info(tensor)) != expected[name]
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


def info(tensor: Tensor) -> TensorInfo:
    """Return a tensor's shape and type."""
    return TensorInfo(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))


def _said(found: TensorInfo) -> str:
    return f"{found.dtype} {'×'.join(map(str, found.shape))}"
