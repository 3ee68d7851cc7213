"""Numbers in 4 bits that can be checked by hand."""

import pytest
import torch

from gpt2sdk import CheckpointError, Matrix, Target
from gpt2sdk_quantization import int4_kernels
from gpt2sdk_quantization.int4 import Int4
from gpt2sdk_quantization.int4_kernels import pack, pack_nibbles, unpack, unpack_nibbles
from gpt2sdk_quantization.int4_numbers import dequantize, quantize, to_nibbles

CPU = torch.device("cpu")


def linear(weight, bias=None, **options):
    matrix = Matrix("h.0.mlp.c_fc.weight", tuple(weight.shape), torch.float32, "linear")
    module = Int4(**options).linear(matrix, iter([weight]), bias, Target(CPU, torch.float32))
    return module.eval()


def normal(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_sixteen_even_steps_are_kept_exactly():
    weight = (torch.arange(32) % 16).float()[None] - 4.0

    assert torch.equal(weight, dequantize(*quantize(weight, 32)))


@pytest.mark.parametrize(("group_size", "error"), [(32, 0.075), (64, 0.087), (128, 0.097)])
def test_the_search_is_better_than_least_and_greatest(group_size, error):
    weight = normal(64, 768)
    groups = weight.view(64, -1, group_size)
    low, high = groups.aminmax(dim=-1, keepdim=True)
    step = (high - low) / 15
    plain = (((groups - low) / step).round() * step + low).view_as(weight)

    def off(found):
        return ((found - weight).norm() / weight.norm()).item()

    found = off(dequantize(*quantize(weight, group_size)))
    assert found < error
    assert found < 0.97 * off(plain)


def test_a_constant_group_is_kept():
    assert torch.equal(
        torch.full((1, 32), 0.5), dequantize(*quantize(torch.full((1, 32), 0.5), 32))
    )


@pytest.mark.parametrize("shape", [(768, 768), (100, 128), (16, 3072)])
def test_what_was_packed_is_read_back_by_the_identity(shape):
    numbers = torch.randint(16, shape, generator=torch.Generator().manual_seed(0)).to(torch.uint8)

    assert torch.equal(numbers, unpack(pack(numbers), *shape, 64))


@pytest.mark.parametrize("shape", [(1000, 768), (90, 3072), (16, 64)])
def test_pieces_are_packed_as_the_whole(shape):
    numbers = torch.randint(16, shape, generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    nibbles = to_nibbles(numbers)
    packed = pack_nibbles(nibbles)

    assert torch.equal(pack(numbers), packed)
    assert torch.equal(nibbles, unpack_nibbles(packed, *shape, 32))


def test_products_are_the_same_unpacked_bit_for_bit():
    module, x = linear(normal(1000, 768), normal(1000)), normal(5, 768)
    expected = module(x)
    module.pack()

    assert module.kernel == "int4 bfloat16"
    assert torch.equal(expected, module(x))


def test_products_without_a_kernel_are_those_of_the_matrix(monkeypatch):
    monkeypatch.setattr(int4_kernels, "has_kernel", lambda device, group_size: False)
    module, x = linear(normal(1000, 100)), normal(5, 100)

    assert torch.allclose(x @ module.dequantize().T, module(x), atol=1e-4)


def test_a_matrix_is_never_expanded_as_a_whole():
    matrix = Matrix("h.0.mlp.c_fc.weight", (16_384, 1024), torch.float32, "linear")

    plan = Int4().plan(matrix, CPU)

    assert plan.passing_workspace < 4 * 2**20
    assert plan.packing_workspace < 1.6 * plan.nbytes


def test_the_last_group_is_filled_up():
    module = linear(normal(16, 100))

    assert module.stored()[""].shape == (16, 64)
    assert module.stored()[".scale"].shape == (16, 2)
    assert module.dequantize().shape == (16, 100)


def test_packed_rows_are_bit_equal_beside_any_others():
    module, x = linear(normal(768, 768)), normal(64, 768)
    module.pack()
    together = module(x)

    assert all(torch.equal(module(x[:rows]), together[:rows]) for rows in range(1, 65))


def test_rows_may_lie_apart_in_memory():
    module, x = linear(normal(64, 64)), normal(64, 5)
    module.pack()

    assert torch.equal(module(x.t()), module(x.t().contiguous()))


def test_gradients_reach_the_input_of_a_packed_layer():
    module, x = linear(normal(64, 64)), torch.ones(2, 64, requires_grad=True)
    module.pack()
    module(x).sum().backward()

    assert torch.allclose(module.dequantize().sum(dim=0).expand(2, 64), x.grad, atol=1e-5)


def test_tables_are_in_8_bits():
    matrix = Matrix("wte.weight", (50257, 768), torch.float32, "table", tied=True)

    plan = Int4().plan(matrix, CPU)

    assert plan.format == "int8 per row"


def test_the_bytes_of_gpt2_124m():
    shapes = [(2304, 768), (768, 768), (3072, 768), (768, 3072)] * 12
    matrices = [Matrix("weight", shape, torch.float32, "linear") for shape in shapes]

    bits = 8 * sum(Int4().plan(matrix, CPU).nbytes for matrix in matrices) / (12 * 12 * 768**2)

    assert bits == 4.5


def test_settings_it_cannot_read_are_refused():
    with pytest.raises(CheckpointError, match="group_size"):
        Int4.claim({**Int4().config(), "group_size": 48})
    with pytest.raises(CheckpointError, match="version 9"):
        Int4.claim({**Int4().config(), "version": 9})


def test_tensors_of_another_group_size_are_refused():
    module = linear(normal(64, 128), group_size=64)
    matrix = Matrix("weight", (64, 128), torch.float32, "linear")

    with pytest.raises(CheckpointError, match=r"64×2 instead of bfloat16 64×4"):
        Int4(group_size=32).restore(matrix, module.stored(), None, Target(CPU, torch.float32))
