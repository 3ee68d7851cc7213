"""A cache remembers what was fed: whatever is done to it, scores are those of the sequences."""

import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2sdk.config import GPT2Config
from gpt2sdk.errors import ContextOverflowError, OptionError
from gpt2sdk.gpt2.cache import Cache, token_nbytes
from gpt2sdk.gpt2.model import GPT2
from gpt2sdk.testing import tiny_gpt2

CONFIG = GPT2Config(
    vocab_size=11,
    n_positions=150,
    n_embd=16,
    n_layer=2,
    n_head=2,
    initializer_range=0.4,
    bos_token_id=0,
    eos_token_id=0,
)
MODEL = GPT2(CONFIG).eval()


def score(model, cache, tokens):
    return model.score(cache, tokens, [len(row) for row in tokens]).logits


def expected(sequence):
    with torch.no_grad():
        return MODEL(torch.tensor([sequence])).logits[0]


def filled(*rows):
    cache = MODEL.make_cache(len(rows))
    score(MODEL, cache, rows)
    return cache


def memory(cache, layer=0):
    return cache.read(layer, 0, len(cache.lengths), cache.places)


tokens = st.lists(st.integers(0, CONFIG.vocab_size - 1), max_size=9)


@st.composite
def histories(draw):
    """Draw a start and a series of feeds, forks and rewinds."""
    slots = draw(st.integers(1, 4))
    lengths = [0] * slots
    steps = []
    for _ in range(draw(st.integers(1, 8))):
        kind = draw(st.sampled_from(["feed", "feed", "step", "fork", "rewind"]))
        if kind == "feed":
            rows = [draw(tokens) for _ in lengths]
        elif kind == "step":
            rows = [[draw(st.integers(0, 10))] for _ in lengths]
        elif kind == "fork":
            parents = st.integers(-1, len(lengths) - 1)
            rows = draw(st.lists(parents, min_size=1, max_size=5))
        else:
            rows = [draw(st.integers(0, length)) for length in lengths]
        if kind in {"feed", "step"}:
            lengths = [length + len(row) for length, row in zip(lengths, rows, strict=True)]
        elif kind == "fork":
            lengths = [lengths[parent] if parent >= 0 else 0 for parent in rows]
        else:
            lengths = rows
        steps.append((kind, rows))
    return slots, steps


@functools.cache
def model_of(runner):
    """Return the model, prepared."""
    model = GPT2(CONFIG).eval()
    model.prepare([runner])
    assert runner.name == model.runner.name
    return model


@settings(max_examples=60)
@given(history=histories(), prepared=st.sampled_from([False, True, True]))
def test_scores_are_those_of_the_sequences_whatever_is_done(runner, history, prepared):
    slots, steps = history
    model = model_of(runner) if prepared else MODEL
    cache = model.make_cache(slots)
    sequences = [[] for _ in range(slots)]
    for kind, rows in steps:
        if kind == "fork":
            cache.fork(rows)
            sequences = [list(sequences[parent]) if parent >= 0 else [] for parent in rows]
        elif kind == "rewind":
            cache.rewind(rows)
            sequences = [sequence[:cut] for sequence, cut in zip(sequences, rows, strict=True)]
        else:
            logits = score(model, cache, rows).split([len(row) for row in rows])
            for sequence, row, got in zip(sequences, rows, logits, strict=True):
                sequence.extend(row)
                if row:
                    reference = expected(sequence)[-len(row) :]
                    torch.testing.assert_close(reference, got, rtol=1e-4, atol=1e-4)
        assert tuple(map(len, sequences)) == cache.lengths


def test_it_grows_geometrically_and_keeps_what_it_holds():
    cache = MODEL.make_cache(1)
    row = [place % 11 for place in range(150)]
    places, got = [], []
    for token in row:
        got.append(score(MODEL, cache, [[token]]))
        places.append(cache.places)

    assert [64, 128, 150] == sorted(set(places))
    assert 4 * 2 * 2 * 16 * 150 == cache.nbytes
    torch.testing.assert_close(expected(row), torch.cat(got), rtol=1e-4, atol=1e-4)


def test_a_swap_of_one_slot_writes_no_other():
    cache = filled([1, 2, 3], [4, 5], [6, 7, 8])
    before = memory(cache).clone()

    cache.fork([0, 2, 2])

    changed = (memory(cache) != before).flatten(1).any(1)
    assert [False, True, False] == changed.tolist()


def test_the_same_slots_are_left_as_they_are():
    cache = filled([1, 2, 3], [4, 5], [6])
    place = memory(cache).data_ptr()

    cache.fork([0, 1])

    assert (3, 2) == cache.lengths
    assert place == memory(cache).data_ptr()


def test_what_two_slots_share_is_not_copied():
    cache = filled([1, 2, 3, 4])
    cache.fork([0, 0])
    score(MODEL, cache, [[5], [6]])
    # Were the shared four places copied, the mark would be.
    memory(cache)[0, :, :4] = 99.0

    cache.fork([0, 0])

    assert not (memory(cache)[1, :, :4] == 99.0).any()
    assert torch.equal(memory(cache)[0, :, 4], memory(cache)[1, :, 4])


def test_what_was_shared_is_copied_once_it_was_rewound_and_fed_again():
    cache = filled([1, 2, 3, 4])
    cache.fork([0, 0])
    cache.rewind([4, 2])
    score(MODEL, cache, [[], [7, 7]])
    cache.fork([0, 0])

    got = score(MODEL, cache, [[9], [9]])

    torch.testing.assert_close(got[0], got[1])


def test_slots_can_change_places():
    cache = filled([1, 2, 3], [4, 5])
    cache.fork([1, 0])

    got = score(MODEL, cache, [[6], [7]])

    torch.testing.assert_close(expected([4, 5, 6])[-1], got[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(expected([1, 2, 3, 7])[-1], got[1], rtol=1e-4, atol=1e-4)


def test_a_broken_row_leaves_nothing_to_its_successor():
    cache = filled([1, 2, 3], [4])
    memory(cache)[0] = torch.nan

    cache.fork([-1, 1])
    score(MODEL, cache, [[5], []])
    got = score(MODEL, cache, [[6], [7]])

    assert 3 == len(cache.lengths) + 1
    torch.testing.assert_close(expected([5, 6])[-1], got[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("prepared", [False, True])
def test_a_row_alone_is_the_row_in_a_batch(runner, prepared):
    model = model_of(runner) if prepared else MODEL
    rows = [[1, 2, 3], [4, 5, 6, 7, 8, 9], [1], [2, 2]]

    together = score(model, model.make_cache(4), rows)
    apart = [score(model, model.make_cache(1), [row]) for row in rows]

    spread = float(together.max() - together.min())
    assert float((torch.cat(apart) - together).abs().max()) < 2e-6 * spread


def test_an_empty_cache_can_grow_slots():
    cache = MODEL.make_cache(0)

    cache.fork([-1, -1])
    score(MODEL, cache, [[1], [2, 3]])
    cache.fork([0, 1, 1, -1])
    got = score(MODEL, cache, [[], [], [4], []])

    assert (1, 2, 3, 0) == cache.lengths
    torch.testing.assert_close(expected([2, 3, 4])[-1:], got, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("parents", [[2], [-2], [0, 5]])
def test_parents_that_are_no_slots_are_refused(parents):
    with pytest.raises(OptionError, match=r"expected a slot from 0 to 1, or -1"):
        filled([1], [2]).fork(parents)


@pytest.mark.parametrize(
    ("lengths", "message"),
    [([1], "1 lengths for 2"), ([2, 1], "slot 0: .* from 0 to 1, got 2"), ([0, -1], "got -1")],
)
def test_lengths_that_cannot_be_are_refused(lengths, message):
    with pytest.raises(OptionError, match=message):
        filled([1], [2]).rewind(lengths)


@pytest.mark.parametrize(
    ("dtype", "held"),
    [
        (torch.float32, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_keys_are_never_narrower_than_float32_on_a_cpu(dtype, held):
    cache = Cache(1, layers=1, heads=1, head_size=2, limit=4)
    cache.reserve(1)
    cache.write(0, torch.zeros(1, 2, 1, 2, dtype=dtype), slice(0, 1), slice(0, 1))

    assert held == cache.read(0, 0, 1, 1).dtype


def test_a_stretch_and_single_tokens_are_written_to_the_same_places():
    numbers = torch.arange(2.0 * 4 * 3 * 2).view(2, 4, 3, 2)
    stretch, tokens = (Cache(2, layers=1, heads=2, head_size=2, limit=8) for _ in range(2))
    for cache in (stretch, tokens):
        cache.reserve(5)

    stretch.write(0, numbers, slice(0, 2), slice(2, 5))
    slots, places = torch.tensor([0, 0, 0, 1, 1, 1]), torch.tensor([2, 3, 4, 2, 3, 4])
    tokens.write(0, numbers.transpose(1, 2).flatten(0, 1), slots, places)

    assert torch.equal(numbers, stretch.read(0, 0, 2, 5)[:, :, 2:])
    assert torch.equal(stretch.read(0, 0, 2, 8), tokens.read(0, 0, 2, 8))
    assert torch.equal(numbers[1:, :, :1], tokens.read(0, 1, 1, 3)[:, :, 2:])


def test_a_layer_that_was_never_written_to_cannot_be_read():
    with pytest.raises(OptionError, match="layer 0 is read before it is written to"):
        Cache(1, layers=1, heads=1, head_size=2, limit=4).read(0, 0, 1, 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_token_takes_the_bytes_that_are_said(dtype):
    config = CONFIG.model_copy(update={"n_layer": 3})
    model = GPT2(config).to(dtype).eval()
    cache = model.make_cache(1)

    score(model, cache, [[1, 2]])

    assert 3 * token_nbytes(config, dtype) * cache.places == cache.nbytes


def test_memory_shrinks_with_the_slots_and_with_what_they_hold():
    cache = filled(*[[3] * 140] * 8)
    most = cache.nbytes
    cache.fork([7, 0, 1, 2, 3])
    assert cache.nbytes == most
    cache.fork([4, 1])
    assert cache.nbytes == most // 4
    cache.rewind([9, 3])
    cache.fork([1, 0])
    assert (cache.places, cache.lengths) == (64, (3, 9))
    got = score(MODEL, cache, [[], [5]])
    torch.testing.assert_close(expected([*[3] * 9, 5])[-1:], got, rtol=1e-4, atol=1e-4)


def test_what_is_copied_out_has_its_own_memory_and_comes_back_as_it_was():
    model = tiny_gpt2()
    cache, other = model.make_cache(2), model.make_cache(2)
    model.score(cache, [[1, 2, 3, 4, 5], [6]], [1, 1])
    model.score(other, [[7, 8], []], [1, 0])
    held = cache.copy_out(0, 1, 4)
    assert {each.untyped_storage().nbytes() for each in held} == {3 * cache.token_nbytes // 2}
    other.copy_in(1, cache.copy_out(0, 0, 1))
    other.copy_in(1, held)

    assert other.lengths == (2, 4)
    for layer in range(model.layers):
        assert torch.equal(other.read(layer, 1, 1, 4), cache.read(layer, 0, 1, 4))


@pytest.mark.parametrize(("start", "stop"), [(0, 6), (-1, 2), (3, 2)])
def test_what_a_slot_does_not_hold_is_not_copied_out(start, stop):
    model = tiny_gpt2()
    cache = model.make_cache(1)
    model.score(cache, [[1, 2, 3, 4, 5]], [1])

    with pytest.raises(OptionError, match="which holds 5"):
        cache.copy_out(0, start, stop)


def test_more_than_the_window_is_not_copied_in():
    model = tiny_gpt2()
    cache = model.make_cache(1)
    model.score(cache, [[1] * 200], [1])

    with pytest.raises(ContextOverflowError):
        cache.copy_in(0, cache.copy_out(0, 0, 100))
    assert cache.lengths == (200,)


def test_layers_of_another_model_are_not_copied_in():
    model = tiny_gpt2()
    cache, shallow = model.make_cache(1), model.make_cache(1, depth=1)
    model.score(cache, [[1, 2]], [1])

    with pytest.raises(OptionError, match="2 layers for 1"):
        shallow.copy_in(0, cache.copy_out(0, 0, 2))
