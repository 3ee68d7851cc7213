"""Numbers in 8 bits that can be checked by hand."""

import pytest
import torch

from gpt2sdk import CheckpointError, Matrix, OptionError, PlacementError, Target
from gpt2sdk_quantization.digits import digits, joined, top
from gpt2sdk_quantization.int8 import Int8
from gpt2sdk_quantization.int8_kernels import product, product_base

CPU = torch.device("cpu")


def linear(weight, bias=None, **options):
    matrix = Matrix("h.0.mlp.c_fc.weight", tuple(weight.shape), torch.float32, "linear")
    module = Int8(**options).linear(matrix, iter([weight]), bias, Target(CPU, torch.float32))
    return module.eval()


def test_a_row_is_whole_numbers_in_parts_of_its_largest():
    module = linear(torch.tensor([[1.27, -0.64, 0.01], [0.0, 0.0, 0.0]]))
    stored = module.stored()

    assert stored[""].tolist() == [[127, -64, 1], [0, 0, 0]]
    assert pytest.approx(0.01) == stored[".scale"][0].item()


def test_a_product_by_hand():
    module = linear(torch.tensor([[1.27, -0.64]]), torch.tensor([0.5]))

    found = module(torch.tensor([[1.0, 2.0]]))

    assert pytest.approx(1.27 - 1.28 + 0.5, abs=1e-4) == found.item()


@pytest.mark.parametrize("base", [128, 256])
@pytest.mark.parametrize("bits", [8, 16])
def test_digits_put_together_are_the_activations(bits, base):
    x = torch.randn(5, 40, generator=torch.Generator().manual_seed(0))
    found, largest = digits(x, bits, base)

    again = joined(found.float() - base // 2, bits, base) * largest / top(bits, base)

    assert ((again - x).abs() <= 0.51 * largest / top(bits, base)).all()


def test_16_bits_leave_what_stands_beside_an_outlier():
    weight = torch.randn(64, 768, generator=torch.Generator().manual_seed(0))
    x = torch.randn(1, 768, generator=torch.Generator().manual_seed(1))
    x[0, 5] = 200.0

    def error(bits):
        module = linear(weight, activation_bits=bits)
        exact = x @ module.dequantize().T
        return ((module(x) - exact).norm() / exact.norm()).item()

    assert error(16) < 3e-4
    assert error(8) > 0.03


def test_sums_are_exact_at_the_extremes():
    found = torch.tensor([0, 255], dtype=torch.uint8)[:, None].expand(2, 3072).contiguous()
    weight = torch.full((3, 3072), -127, dtype=torch.int8)

    if product_base(CPU) != 256:
        pytest.skip("this CPU multiplies digits of base 128")
    assert product(found, weight, 256).tolist() == [[128 * 127 * 3072] * 3, [-127 * 127 * 3072] * 3]


def test_digits_of_base_128_give_the_same_sums():
    numbers = torch.arange(3 * 192) % 128
    found = numbers.to(torch.uint8).view(3, 192)
    weight = torch.full((4, 192), -127, dtype=torch.int8)

    assert torch.equal((found.float() - 64) @ weight.float().T, product(found, weight, 128))


def test_a_table_has_its_mean_taken_out():
    rows = torch.tensor([[10.0, 1.0], [10.0, -1.0]])
    matrix = Matrix("wte.weight", (2, 2), torch.float32, "table", tied=True)
    table = Int8().table(matrix, iter(rows.split(1)), Target(CPU, torch.bfloat16))

    assert table.stored()[".mean"].tolist() == [10.0, 0.0]
    assert table.stored()[""].tolist() == [[0, 127], [0, -127]]
    assert torch.equal(rows.bfloat16(), table(torch.tensor([0, 1])))
    expected = torch.tensor([[20.0, 22.0]])
    assert torch.allclose(expected, table.attend(torch.tensor([[2.1, -1.0]])), atol=1e-3)


def test_gradients_reach_the_input_of_a_packed_layer():
    module = linear(torch.randn(64, 64, generator=torch.Generator().manual_seed(0)))
    module.pack()
    x = torch.ones(2, 64, requires_grad=True)

    module(x).sum().backward()

    assert torch.allclose(module.dequantize().sum(dim=0).expand(2, 64), x.grad, atol=1e-5)


def test_a_packed_layer_holds_one_form():
    module = linear(torch.randn(128, 64, generator=torch.Generator().manual_seed(0)))
    assert module.weight is not None
    module.pack()

    assert module.kernel == "int8 onednn"
    assert module.weight is None


def test_a_device_that_is_not_there_is_named():
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(PlacementError, match="cuda is not there"):
        Int8().probe(torch.device("cuda"))


def test_a_plan_needs_no_device():
    matrix = Matrix("h.0.mlp.c_fc.weight", (3072, 768), torch.float32, "linear")

    plan = Int8().plan(matrix, torch.device("cuda", 3))

    assert plan.nbytes == 3072 * 768 + 4 * 3072


@pytest.mark.parametrize("change", [{"version": 2}, {"version": None}, {"bits": 3}])
def test_settings_it_cannot_read_are_refused(change):
    with pytest.raises(CheckpointError, match="int8"):
        Int8.claim({**Int8().config(), **change})


def test_settings_of_others_are_left_to_them():
    assert Int8.claim({"quant_method": "gpt2sdk", "scheme": "int4", "version": 1}) is None
    assert Int8.claim({"quant_method": "bitsandbytes"}) is None


def test_bits_are_8_or_16():
    with pytest.raises(OptionError, match="activation_bits"):
        Int8(activation_bits=4)
