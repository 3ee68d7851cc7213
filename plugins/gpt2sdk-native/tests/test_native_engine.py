"""The compiled engine: right, and the same in every bit however it is asked."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ctypes import byref
from random import Random

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from gpt2sdk import GPT2Config
from gpt2sdk.gpt2 import GPT2
from gpt2sdk.gpt2.activations import ACTIVATIONS as TORCH_ACTIVATIONS
from gpt2sdk_native.engine import ACTIVATIONS, Layer, NativeEngine
from gpt2sdk_native.library import kernels, library, torch_threads
from gpt2sdk_native.matrix import NativeMatrix

KINDS = ["float32", "bfloat16", "int8", "int8 a8", "int4"]
GROUP = 32


def isas():
    found = []
    for name in ("avx512", "avx2", "neon", "scalar"):
        try:
            kernels(name)
            found.append(name)
        except OSError:
            pass
    return found


def int8(rows):
    scale = rows.abs().amax(-1).clamp_min(1e-30) / 127
    return (rows / scale[:, None]).round().to(torch.int8), scale


def packed(kind, weight, bias, *, table=False):
    """Return a matrix, and the weights it stands for."""
    weight = weight.detach()
    if kind == "float32":
        return NativeMatrix.floats(weight, bias), weight
    if kind == "bfloat16":
        return NativeMatrix.floats(weight.bfloat16(), bias), weight.bfloat16().float()
    if kind.startswith("int8") or table:
        mean = weight.mean(0) if table else None
        numbers, scale = int8(weight if mean is None else weight - mean)
        bits = 8 if kind == "int8 a8" else 16
        matrix = NativeMatrix.int8(numbers, scale, bias, mean, activation_bits=bits)
        plain = numbers * scale[:, None]
        return matrix, plain if mean is None else plain + mean
    width = -(-weight.shape[1] // GROUP) * GROUP
    groups = torch.nn.functional.pad(weight, (0, width - weight.shape[1])).view(
        len(weight), -1, GROUP
    )
    scale = ((groups.amax(-1) - groups.amin(-1)) / 15).clamp_min(1e-20).bfloat16()
    zero = (groups.amin(-1) + 8 * scale.float()).bfloat16()
    numbers = ((groups - zero.float()[..., None]) / scale.float()[..., None]).round().clamp(-8, 7)
    plain = (numbers * scale.float()[..., None] + zero.float()[..., None]).flatten(1)
    stored = (numbers + 8).to(torch.uint8).flatten(1)
    nibbles = stored[:, ::2] | stored[:, 1::2] << 4
    matrix = NativeMatrix.int4(nibbles, scale, zero, weight.shape[1], bias)
    return matrix, plain[:, : weight.shape[1]]


def engine_of(model, kind, isa=None):
    """Return an engine of a model, whose weights become what the engine's stand for."""
    config, layers = model.config, []
    with torch.no_grad():
        for block in model.h:
            matrices = []
            for linear in (block.attn.c_attn, block.attn.c_proj, block.mlp.c_fc, block.mlp.c_proj):
                matrix, plain = packed(kind, linear.weight, linear.bias)
                linear.weight.copy_(plain)
                matrices.append(matrix)
            norms = block.ln_1.weight, block.ln_1.bias, block.ln_2.weight, block.ln_2.bias
            heads = block.attn.heads
            layers.append(
                Layer(
                    tuple(matrices), norms, heads.count, heads.scaling, config.activation_function
                )
            )
        table, plain = packed(kind, model.wte.weight, None, table=True)
        model.wte.weight.copy_(plain)
    norm = model.ln_f.weight, model.ln_f.bias
    epsilon = config.layer_norm_epsilon
    engine = NativeEngine(layers, table, table, model.wpe.weight, norm, epsilon, isa=isa)
    engine.make_cache = model.make_cache
    return engine


def model_of(**sizes):
    config = GPT2Config(**{"vocab_size": 53, "n_positions": 90, "n_layer": 2, **sizes})
    model = GPT2(config, seed=1).eval()
    noise = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=noise), alpha=0.1)
    return model


SIZES = {"n_embd": 24, "n_head": 3}, {"n_embd": 64, "n_head": 1, "activation_function": "gelu"}
ROWS = [[7, 2, 50, 1, 9] * 8, [3, 3, 1], [11] * 19, [5]]


def alone(engine, rows=ROWS):
    return [engine.score(engine.make_cache(1), [row], [len(row)], threads=1)[0] for row in rows]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_logits_and_streams_are_the_models(kind, sizes):
    model = model_of(**sizes)
    engine = engine_of(model, kind)
    tolerance = {"float32": 1e-5, "bfloat16": 1e-5, "int8": 1e-3}.get(kind, 0.15)

    for row in ROWS:
        with torch.no_grad():
            expected = model(torch.tensor([row]), hidden_states=True)
        layers = [0, 1, 2]
        logits, streams = engine.score(engine.make_cache(1), [row], [len(row)], layers)
        for found, wanted in [
            (logits, expected.logits[0]),
            (streams[0], expected.hidden_states[0][0]),
            (streams[1], expected.hidden_states[1][0]),
        ]:
            assert (found - wanted).abs().max() <= tolerance * wanted.abs().max()


@pytest.mark.parametrize("kind", KINDS)
def test_every_instruction_set_has_the_same_bits(kind):
    first, *others = [alone(engine_of(model_of(**SIZES[0]), kind, isa)) for isa in isas()]

    assert others
    for other in others:
        assert all(map(torch.equal, first, other))


@given(st.sampled_from(KINDS), st.sampled_from(isas()[:2]), st.integers(1, 3), st.integers(0))
@settings(max_examples=25)
def test_rows_have_the_same_bits_in_any_pieces_and_company(kind, isa, threads, seed):
    random = Random(seed)  # noqa: S311 - pieces, no secrets
    engine = engine_of(model_of(**SIZES[0]), kind, isa)
    expected, cache = alone(engine), engine.make_cache(len(ROWS))
    while any(held < len(row) for held, row in zip(cache.lengths, ROWS, strict=True)):
        fed = [
            row[held : held + random.randrange(20)]
            for held, row in zip(cache.lengths, ROWS, strict=True)
        ]
        keep = [random.randint(0, len(part)) for part in fed]
        logits = engine.score(cache, fed, keep, threads=threads)[0].split(keep)
        for whole, part, end, kept in zip(expected, logits, cache.lengths, keep, strict=True):
            assert torch.equal(whole[end - kept : end], part)


def test_many_rows_are_computed_in_pieces_that_change_nothing():
    engine = engine_of(model_of(**SIZES[0]), "float32")
    rows = [[(i * j) % 53 for j in range(80)] for i in range(1, 9)]
    logits, _ = engine.score(engine.make_cache(8), rows, [80] * 8, threads=2)

    assert torch.equal(torch.cat(alone(engine, rows)), logits)


def test_forks_and_rewinds_hold_what_a_fresh_cache_would():
    engine = engine_of(model_of(**SIZES[0]), "float32")
    cache = engine.make_cache(2)
    engine.score(cache, [ROWS[0][:21], [4]], [0, 0])
    cache.fork([0, 0, -1])
    engine.score(cache, [[1, 2], [3, 4], [5]], [0, 0, 0])
    cache.rewind([22, 23, 0])
    logits, _ = engine.score(cache, [[6], [6], [6]], [1, 1, 1])
    rows = [[*ROWS[0][:21], 1, 6], [*ROWS[0][:21], 3, 4, 6], [6]]

    assert torch.equal(torch.stack([each[-1] for each in alone(engine, rows)]), logits)


def test_a_shallow_cache_runs_the_first_blocks():
    model = model_of(**SIZES[0])
    engine = engine_of(model, "float32")
    logits, _ = engine.score(engine.make_cache(1, 1), [[3, 1, 4]], [1])
    expected = model.shallow(1).score(model.shallow(1).make_cache(1), [[3, 1, 4]], [1]).logits

    assert torch.allclose(expected, logits, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_packed_can_be_read_back(kind):
    weight = torch.randn(35, 45)
    if kind in {"float32", "bfloat16"}:
        plain = weight.to(getattr(torch, kind))
        assert torch.equal(plain, NativeMatrix.floats(plain).read())
    elif kind == "int4":
        nibbles = torch.randint(0, 256, (35, 32), dtype=torch.uint8)
        scale, zero = torch.randn(2, 35, 2).bfloat16()
        matrix = NativeMatrix.int4(nibbles, scale, zero, 45)
        assert torch.equal(nibbles, matrix.read())
        assert all(map(torch.equal, (scale, zero), matrix.read_groups()))
    else:
        numbers, scale = int8(weight)
        assert torch.equal(numbers, NativeMatrix.int8(numbers, scale).read())


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_torchs_and_the_same_everywhere(name):
    x = torch.linspace(-12, 12, 4801)
    found = []
    for isa in isas():
        y = x.clone()
        library().gpt2sdk_activate(kernels(isa), y.data_ptr(), len(y), ACTIVATIONS[name])
        found.append(y)

    assert torch.allclose(TORCH_ACTIVATIONS[name](x), found[0], rtol=1e-5, atol=1e-6)
    assert all(torch.equal(found[0], other) for other in found)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_computes_the_same():
    engine = engine_of(model_of(**SIZES[0]), "int8")
    expected = engine.score(engine.make_cache(1), [ROWS[0]], [1], threads=2)[0].tolist()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        same = False
        try:
            found = engine.score(engine.make_cache(1), [ROWS[0]], [1], threads=2)[0].tolist()
            same = found == expected
        finally:
            os.write(writing, b"same" if same else b"else")
            os._exit(0)
    os.waitpid(child, 0)

    assert b"same" == os.read(reading, 4)


def test_threads_of_its_own_compute_as_those_of_torch():
    engine = engine_of(model_of(**SIZES[0]), "int8")
    with computing_in(torch_threads()):
        expected, _ = engine.score(engine.make_cache(1), [ROWS[0]], [1], threads=2)
    with computing_in(None):
        found, _ = engine.score(engine.make_cache(1), [ROWS[0]], [1], threads=2)

    assert torch.equal(expected, found)


def test_torch_has_threads_to_compute_in():
    assert torch_threads() is not None


@contextmanager
def computing_in(threads):
    library().gpt2sdk_use_openmp(None if threads is None else byref(threads))
    try:
        yield
    finally:
        library().gpt2sdk_use_openmp(byref(torch_threads()))


def test_deep_models_take_long_prompts_in_pieces():
    engine = engine_of(model_of(n_embd=16, n_head=2, n_layer=12, n_positions=600), "float32")
    row = [i * 7 % 53 for i in range(530)]
    whole, _ = engine.score(engine.make_cache(1), [row], [len(row)], threads=2)
    cache = engine.make_cache(1)
    pieces = [
        engine.score(cache, [row[start : start + 100]], [len(row[start : start + 100])])[0]
        for start in range(0, len(row), 100)
    ]

    assert torch.equal(torch.cat(pieces), whole)


def test_a_head_has_the_same_bits_in_pieces_of_every_size_and_kind():
    for sizes in (
        {"n_embd": 20, "n_head": 4, "vocab_size": 37, "n_inner": 35},
        {"n_embd": 144, "n_head": 1, "n_layer": 1},
        {"n_embd": 36, "n_head": 2, "n_inner": 50},
    ):
        for kind in KINDS:
            engine = engine_of(model_of(**sizes), kind)
            rows = [[token % engine.vocab for token in row] for row in ROWS]
            cache = engine.make_cache(4)
            for start in range(0, 40, 3):
                engine.score(cache, [row[start : start + 3][:-1] for row in rows], [0] * 4)
                last = [row[start : start + 3][-1:] for row in rows]
                found, _ = engine.score(cache, last, [len(each) for each in last])
            assert torch.equal(alone(engine, rows)[0][-1], found[0])


@pytest.mark.parametrize("fed", [[[], []], [[3], []], [[], [4, 5]]], ids=str)
def test_rows_may_be_fed_nothing(fed):
    engine = engine_of(model_of(**SIZES[0]), "int8")
    logits, _ = engine.score(engine.make_cache(2), fed, [len(row) for row in fed])
    expected = [logits for row in fed if row for logits in alone(engine, [row])]

    assert torch.equal(torch.cat([*expected, torch.empty(0, engine.vocab)]), logits)


def test_a_cache_may_grow_between_calls():
    engine = engine_of(model_of(n_embd=16, n_head=2, n_positions=600), "float32")
    cache = engine.make_cache(1)
    engine.score(cache, [[5] * 3], [0])
    places = cache.places
    cache.reserve(500)
    assert places < cache.places
    logits, _ = engine.score(cache, [[6] * 400], [1])

    assert torch.equal(alone(engine, [[5] * 3 + [6] * 400])[0][-1:], logits)


def test_several_threads_of_python_compute_at_once():
    engine = engine_of(model_of(**SIZES[0]), "int8")
    expected = alone(engine)

    def same(number):
        row, wanted = ROWS[number % 4], expected[number % 4]
        found, _ = engine.score(engine.make_cache(1), [row], [len(row)], threads=1 + number % 3)
        return torch.equal(wanted, found)

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(same, range(60)))


def test_threads_sleep_when_there_is_nothing_to_do():
    engine = engine_of(model_of(**SIZES[0]), "float32")
    engine.score(engine.make_cache(1), [ROWS[0]], [1], threads=3)
    time.sleep(0.1)
    before = time.process_time()
    time.sleep(0.5)

    assert time.process_time() - before < 0.1


def test_a_matrix_that_is_too_large_is_a_memory_error():
    rows = torch.empty(1, 1).expand(2**30, 2**20)
    with pytest.raises(MemoryError, match="1073741824 x 1048576"):
        NativeMatrix(0, rows, 2**20)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strange", [float("nan"), float("inf")])
def test_a_row_that_is_not_finite_is_seen_and_stays_alone(kind, strange):
    model = model_of(**SIZES[0])
    with torch.no_grad():
        model.wpe.weight[2, 3] = strange
    engine = engine_of(model, kind)
    logits, _ = engine.score(engine.make_cache(2), [[1, 2, 3], [4, 5]], [3, 2])

    assert [False, False, True, False, False] == logits.isnan().all(-1).tolist()
    assert torch.equal(alone(engine, [[4, 5]])[0], logits[3:])
