"""Stored matrices: what does not fit is listed, and what is not finite is refused."""

import pytest
import torch

from gpt2sdk import CheckpointError, Matrix, TensorInfo, check_finite, check_stored

MATRIX = Matrix("h.0.mlp.c_fc.weight", (2, 3), torch.float32, "linear")
EXPECTED = {
    "": TensorInfo((2, 3), "int8"),
    ".scale": TensorInfo((2,), "float32"),
    ".state": TensorInfo((-1,), "uint8"),
}


def stored(**others):
    fitting = {
        "": torch.zeros(2, 3, dtype=torch.int8),
        ".scale": torch.ones(2),
        ".state": torch.zeros(7, dtype=torch.uint8),
    }
    return fitting | {f".{name}": tensor for name, tensor in others.items()}


def refusal(tensors):
    with pytest.raises(CheckpointError) as caught:
        check_stored(MATRIX, tensors, EXPECTED)
    return caught.value


def test_tensors_that_were_planned_pass_whatever_a_length_left_open_is():
    assert check_stored(MATRIX, stored(), EXPECTED) is None


def test_everything_that_does_not_fit_is_listed_at_once():
    tensors = stored(state=torch.zeros(1, 2), zero=torch.zeros(1))
    del tensors[".scale"]

    error = refusal(tensors)

    assert (
        ("h.0.mlp.c_fc.weight.scale",),
        ("h.0.mlp.c_fc.weight.zero",),
        ("h.0.mlp.c_fc.weight.state: float32 1×2 instead of uint8 any",),
    ) == (error.missing, error.unexpected, error.mismatched)
    assert str(error) == (
        "h.0.mlp.c_fc.weight cannot be restored: h.0.mlp.c_fc.weight.scale is missing; "
        "h.0.mlp.c_fc.weight.zero is not expected; h.0.mlp.c_fc.weight.state: float32 1×2 instead "
        "of uint8 any. Quantize the model again, or mend its quantization_config"
    )


def test_another_type_or_shape_does_not_fit():
    shorter, wider = torch.ones(1), torch.ones(2, dtype=torch.float64)

    found = [refusal(stored(scale=scale)).mismatched for scale in (shorter, wider)]

    assert [
        ("h.0.mlp.c_fc.weight.scale: float32 1 instead of float32 2",),
        ("h.0.mlp.c_fc.weight.scale: float64 2 instead of float32 2",),
    ] == found


@pytest.mark.parametrize("value", [torch.inf, -torch.inf, torch.nan])
def test_one_number_that_is_not_finite_is_refused_in_any_of_the_tensors(value):
    with pytest.raises(CheckpointError, match=r"^h\.0\.mlp\.c_fc\.weight: expected finite scales"):
        check_finite(MATRIX, "scales", torch.ones(2), torch.tensor([[1.0, value]]))


def test_finite_numbers_pass():
    assert check_finite(MATRIX, "scales", torch.ones(2), torch.zeros(0)) is None
