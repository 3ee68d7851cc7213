"""What a checkpoint holds of a matrix, once it is what it should be."""

from collections.abc import Mapping

from torch import Tensor

from gpt2sdk import Matrix, TensorInfo, check_stored


def take(
    matrix: Matrix, expected: Mapping[str, TensorInfo], tensors: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the expected tensors, copied, so that a file they are mapped from can be closed.

    Raises:
        CheckpointError: If one is missing, there are others, or one has another shape or type.
    """
    check_stored(matrix, tensors, expected)
    return {name: tensors[name].detach().clone() for name in expected}
