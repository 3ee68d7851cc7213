"""Layers, tables and heads: what they compute, and what they refuse."""

import json

import pytest
import torch

from gpt2sdk import CheckpointError, Generator, Matrix, Target
from gpt2sdk.testing import save_tiny_model
from gpt2sdk_bitsandbytes import four_bit_products, library, packing, rows
from gpt2sdk_bitsandbytes.four_bit import BnbFp4, BnbNf4
from gpt2sdk_bitsandbytes.int8 import BnbInt8

CPU = torch.device("cpu")
QUANTIZERS = [BnbInt8(), BnbNf4(), BnbNf4(double_quant=False), BnbFp4()]


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def layer_of(quantizer, weight, bias=None, dtype=torch.float32):
    matrix = Matrix("h.0.attn.c_proj.weight", tuple(weight.shape), weight.dtype, "linear")
    return quantizer.linear(matrix, iter([weight]), bias, Target(CPU, dtype))


def table_of(quantizer, weight, dtype=torch.float32):
    matrix = Matrix("wte.weight", tuple(weight.shape), weight.dtype, "table", tied=True)
    return quantizer.table(matrix, iter([weight]), Target(CPU, dtype))


def test_packing_is_what_bitsandbytes_does():
    import bitsandbytes.functional as theirs

    weight = drawn(96, 128)
    halves, state = theirs.quantize_4bit(weight, quant_type="nf4")
    expected, _ = theirs._convert_weight_packed_for_cpu(halves.clone(), state)  # noqa: SLF001
    stored = halves.view(96, 64)

    assert torch.equal(expected, packing.pack(stored))
    assert torch.equal(stored, packing.unpack(packing.pack(stored)))


@pytest.mark.parametrize("double", [True, False])
def test_numbers_and_state_are_those_of_bitsandbytes(double):
    import bitsandbytes.functional as theirs

    weight = drawn(96, 128)
    halves, state = theirs.quantize_4bit(weight, quant_type="nf4", compress_statistics=double)
    expected = {"": halves} | {f".{key}": part for key, part in state.as_dict(packed=True).items()}
    found = layer_of(BnbNf4(double_quant=double), weight).stored()

    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


@pytest.mark.parametrize("double", [True, False])
def test_products_on_other_devices_are_those_of_the_matrix(double):
    weight, bias = drawn(96, 128), drawn(96, seed=2)
    layer = layer_of(BnbNf4(double_quant=double), weight, bias)
    x = drawn(5, 128, seed=1)
    # What GPUs compute with one kernel, bitsandbytes composes of several on a CPU.
    found = layer.fused_products(x, torch.float32)

    assert torch.allclose(x @ layer.dequantize().T + bias, found, atol=1e-4)


def by_hand(layer):
    """Expand a matrix by what its bytes mean: value of each half, times the block's statistic."""
    stored, scheme = layer.stored(), layer.scheme
    halves = stored[""].view(-1).int()
    values = stored[".quant_map"][torch.stack((halves >> 4, halves & 15), dim=1).view(-1)]
    statistics = stored[".absmax"]
    if scheme.double:
        state = json.loads(bytes(stored[scheme.state_name].tolist()))
        parts = stored[".nested_quant_map"][statistics.int()]
        parts = parts * stored[".nested_absmax"].repeat_interleave(256)[: len(parts)]
        statistics = parts + state["nested_offset"]
    count = layer.out_features * layer.in_features
    found = values[:count] * statistics.repeat_interleave(scheme.block_size)[:count]
    return found.view(layer.out_features, layer.in_features)


@pytest.mark.parametrize("quantizer", [BnbNf4, BnbFp4])
@pytest.mark.parametrize("double", [True, False])
@pytest.mark.parametrize(
    ("width", "block_size"),
    # Rows of a multiple of 32 that end within a block are where bitsandbytes' own CPU kernel is
    # wrong without a word; others end within a byte, or a block spans many.
    [(96, 64), (160, 64), (768, 512), (32, 64), (96, 128), (64, 64), (33, 64), (5, 64), (1, 32)],
)
@pytest.mark.parametrize("rows_of_it", [1, 7])
def test_rows_that_end_within_a_block_are_expanded_rightly(
    quantizer, double, width, block_size, rows_of_it
):
    weight, x = drawn(rows_of_it, width), drawn(5, width, seed=1)
    layer = layer_of(quantizer(double_quant=double, block_size=block_size), weight)
    expected = by_hand(layer)
    computed = x @ expected.T
    layer.pack()
    found = layer(x)
    in_float = layer_of(
        quantizer(double_quant=double, block_size=block_size, compute_dtype="float32"), weight
    )

    assert torch.allclose(expected, layer.dequantize(), atol=1e-6)
    assert torch.allclose(computed, in_float(x), atol=1e-4)
    assert (computed - found).norm() <= 0.02 * x.norm() * expected.norm()


def test_int8_numbers_are_those_of_bitsandbytes():
    import bitsandbytes.functional as theirs

    # In float16 already, so that nothing is lost on the way through it.
    weight = drawn(96, 128).half().float()
    numbers, largest, _ = theirs.int8_vectorwise_quant(weight)
    found = layer_of(BnbInt8(), weight).stored()

    assert torch.equal(numbers, found[""])
    assert torch.equal(largest, found["../SCB"])


def test_weights_beyond_the_range_of_float16_stay_themselves():
    weight = 1e6 * drawn(64, 64)
    found = layer_of(BnbInt8(), weight).dequantize()

    assert (found - weight).norm() / weight.norm() < 0.01


@pytest.mark.parametrize("quantizer", QUANTIZERS, ids=str)
@pytest.mark.parametrize("value", [torch.inf, torch.nan])
def test_weights_that_are_not_finite_are_refused(quantizer, value):
    weight = drawn(64, 64)
    weight[3, 5] = value

    with pytest.raises(CheckpointError, match=r"h\.0\.attn\.c_proj\.weight: expected finite"):
        layer_of(quantizer, weight)


def test_large_activations_of_one_row_do_not_touch_another():
    weight = drawn(64, 64)
    layer = layer_of(BnbInt8(), weight)
    x = drawn(5, 64, seed=1)
    alone = layer(x)
    x[2, 7] = 100.0
    found = layer(x)
    exact = x[2] @ layer.dequantize().T

    assert torch.allclose(alone[[0, 1, 3, 4]], found[[0, 1, 3, 4]], atol=1e-5)
    assert (found[2] - exact).norm() / exact.norm() < 0.002
    # Rounded with the others, it would spoil its own row.
    rounded = layer_of(BnbInt8(threshold=0.0), weight)(x)
    assert (rounded[2] - exact).norm() / exact.norm() > 0.005


def test_a_table_is_read_as_if_in_float32():
    weight = drawn(1000, 64)
    table = table_of(BnbNf4(), weight, torch.bfloat16)
    x = drawn(3, 64, seed=1) + 30.0
    expected = x.double() @ table.dequantize().double().T

    assert torch.bfloat16 == table(torch.tensor([[1, 2]])).dtype
    assert (table.attend(x) - expected).norm() / expected.norm() < 1e-4


def test_products_are_as_good_where_integers_are_not_multiplied(monkeypatch):
    weight, x = drawn(100, 64), drawn(3, 64, seed=1)
    table, layer = table_of(BnbInt8(), weight), layer_of(BnbInt8(), weight)
    monkeypatch.setattr(library, "multiplies_integers", lambda device: False)
    expected = x @ table.dequantize().T

    assert ("int8 dequantized", "int8 dequantized") == (table.kernel, layer.kernel)
    assert torch.allclose(expected, table.attend(x), atol=1e-5)
    assert torch.allclose(expected, layer(x), atol=1e-5)


def test_a_matrix_without_a_multiple_of_four_rows_is_multiplied_on_other_devices(monkeypatch):
    numbers = torch.randint(-127, 128, (103, 64), dtype=torch.int8)
    x = torch.randint(-127, 128, (6, 64), dtype=torch.int8)
    calls = []

    def products(x, numbers):
        calls.append(len(numbers))
        return (x.float() @ numbers.float().T).to(torch.int32)

    monkeypatch.setattr(library, "integer_products", products)
    monkeypatch.setattr(rows, "_one_kernel_for_any_size", lambda x: False)
    expected = (x.long() @ numbers.long().T).to(torch.int32)

    assert torch.equal(expected, rows.integer_products(x, numbers))
    assert [100] == calls


@pytest.mark.parametrize("quantizer", QUANTIZERS, ids=str)
def test_a_cast_leaves_statistics_as_they_are(quantizer):
    layer = layer_of(quantizer, drawn(64, 64), torch.zeros(64))
    before = {name: tensor.clone() for name, tensor in layer.stored().items()}
    layer.pack()
    layer.to(torch.bfloat16)

    assert torch.bfloat16 == layer.bias.dtype
    assert all(torch.equal(before[name], layer.stored()[name]) for name in before)


@pytest.mark.parametrize("quantizer", QUANTIZERS, ids=str)
def test_gradients_reach_what_is_multiplied(quantizer):
    layer = layer_of(quantizer, drawn(64, 64))
    layer.pack()
    x = drawn(2, 64, seed=1).requires_grad_()
    layer(x).sum().backward()
    expected = layer.dequantize().sum(dim=0).expand(2, 64)

    assert torch.allclose(expected, x.grad, atol=1e-4)


@pytest.mark.skipif(not library.has_packed_kernel(), reason="needs a CPU with AVX512-BF16")
def test_a_kernel_that_computes_something_else_is_not_used(monkeypatch):
    layer = layer_of(BnbNf4(), drawn(64, 64))
    layer.pack()
    assert "nf4 avx512" == layer.kernel
    layer.unpack()
    true = library.packed_products
    monkeypatch.setattr(library, "packed_products", lambda *given: 1.1 * true(*given))
    four_bit_products.has_right_kernel.cache_clear()
    try:
        layer.pack()
        assert "nf4 dequantized" == layer.kernel
    finally:
        four_bit_products.has_right_kernel.cache_clear()


@pytest.mark.parametrize("quantizer", [BnbNf4(), BnbFp4(), BnbNf4(block_size=32)], ids=str)
def test_products_are_the_same_unpacked_bit_for_bit(quantizer):
    layer, x = layer_of(quantizer, drawn(800, 768), drawn(800, seed=2)), drawn(5, 768, seed=1)
    expected = layer(x)
    layer.pack()

    assert torch.equal(expected, layer(x))


@pytest.mark.parametrize(("width", "block_size"), [(768, 64), (100, 64), (101, 1024)])
def test_pieces_of_a_matrix_are_the_whole(width, block_size):
    quantizer = BnbNf4(block_size=block_size, compute_dtype="float32")
    layer, x = layer_of(quantizer, drawn(11_000, width)), drawn(2, width, seed=1)

    assert torch.allclose(x @ layer.dequantize().T, layer(x), atol=1e-4)


@pytest.mark.parametrize("quantizer", [BnbNf4(), BnbNf4(compute_dtype="float32")], ids=str)
def test_a_matrix_is_never_expanded_as_a_whole(quantizer):
    matrix = Matrix("h.0.mlp.c_fc.weight", (16_384, 1024), torch.float32, "linear")

    plan = quantizer.plan(matrix, CPU)

    assert plan.passing_workspace < 5 * 2**20
    assert plan.packing_workspace < 1.6 * plan.nbytes


def test_an_order_for_old_gpus_is_refused():
    quantizer = BnbInt8()
    matrix = Matrix("h.0.attn.c_proj.weight", (64, 64), torch.float32, "linear")
    tensors = dict(layer_of(quantizer, drawn(64, 64)).stored())
    tensors["../weight_format"] = torch.tensor(2, dtype=torch.uint8)

    with pytest.raises(CheckpointError, match="expected weight_format=0"):
        quantizer.restore(matrix, tensors, None, Target(CPU, torch.float32))


@pytest.mark.parametrize(
    ("quantizer", "message"),
    [
        (BnbFp4(), "quant_state.bitsandbytes__fp4"),
        (BnbNf4(block_size=32), r"\.absmax: uint8 64 instead of uint8 128"),
        (BnbNf4(double_quant=False), "nested_absmax"),
    ],
    ids=str,
)
def test_what_other_settings_stored_is_refused(quantizer, message):
    matrix = Matrix("h.0.attn.c_proj.weight", (64, 64), torch.float32, "linear")
    tensors = dict(layer_of(BnbNf4(), drawn(64, 64)).stored())

    with pytest.raises(CheckpointError, match=message):
        quantizer.restore(matrix, tensors, None, Target(CPU, torch.float32))


@pytest.mark.parametrize("name", ["bnb-int8", "bnb-nf4", "bnb-fp4"])
def test_a_model_generates_and_is_saved_and_loaded(tmp_path, name):
    save_tiny_model(tmp_path / "plain")
    options = {"max_new_tokens": 8, "seed": 1}
    quantized = Generator.from_pretrained(tmp_path / "plain", quantization=name)
    expected = quantized.generate("Once upon the", **options)
    quantized.save_pretrained(tmp_path / "quantized")
    again = Generator.from_pretrained(tmp_path / "quantized")

    assert (
        expected.completions[0].tokens
        == again.generate("Once upon the", **options).completions[0].tokens
    )
