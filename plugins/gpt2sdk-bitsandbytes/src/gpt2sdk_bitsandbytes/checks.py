"""Whether what a checkpoint holds is what it should."""

from collections.abc import Mapping

from torch import Tensor

from gpt2sdk import CheckpointError, Matrix, TensorInfo


def take(
    matrix: Matrix, expected: Mapping[str, TensorInfo], tensors: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the expected tensors, copied, so that a file they are mapped from can be closed.

    Raises:
        CheckpointError: If one is missing, there are others, or one has another shape or type.
    """
    missing = sorted(expected.keys() - tensors.keys())
    unexpected = sorted(tensors.keys() - expected.keys())
    if missing or unexpected:
        found = ", ".join(repr(name) for name in missing or unexpected)
        what = "without" if missing else "with unexpected"
        raise CheckpointError(
            f"{matrix.name}: is stored {what} {found}: the checkpoint is incomplete or of another "
            "quantization",
            missing=[matrix.name + name for name in missing],
            unexpected=[matrix.name + name for name in unexpected],
        )
    for name, info in expected.items():
        found_info = _info(tensors[name])
        if not info.admits(found_info):
            raise CheckpointError(
                f"{matrix.name}: expected {name!r} in {info.dtype} of shape {list(info.shape)}, "
                f"found {found_info.dtype} of shape {list(found_info.shape)}"
            )
    return {name: tensors[name].detach().clone() for name in expected}


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


def _info(tensor: Tensor) -> TensorInfo:
    return TensorInfo(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
