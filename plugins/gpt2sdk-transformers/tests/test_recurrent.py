"""Models whose layers have states: rows are taken back all the same, and its price is counted."""

from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import DynamicCache, PreTrainedModel

from gpt2sdk import Generator, OptionError
from gpt2sdk_transformers.model import TransformersLM
from gpt2sdk_transformers.recurrent_cache import MARKS, NEAR, PAGES, STRIDE, RecurrentCache

Tiny = Callable[[str], tuple[Generator, PreTrainedModel]]

KINDS = ["mamba", "mamba2", "recurrent_gemma", "jamba", "lfm2", "qwen3_next", "falcon_h1"]
ALL = pytest.mark.parametrize("kind", KINDS)


def lm_of(gen: Generator) -> TransformersLM:
    assert isinstance(gen.model, TransformersLM)
    return gen.model


def cache_of(model: TransformersLM, slots: int) -> RecurrentCache:
    cache = model.make_cache(slots)
    assert isinstance(cache, RecurrentCache)
    return cache


def ids(count: int, first: int = 0) -> list[int]:
    return [(7 * place + 3) % 270 for place in range(first, first + count)]


def whole(network: PreTrainedModel, tokens: Sequence[int]) -> torch.Tensor:
    """Logits after each token, as transformers computes them without a cache."""
    with torch.no_grad():
        return network(input_ids=torch.tensor([list(tokens)]), use_cache=False).logits[0]


def close(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    return torch.allclose(found, wanted, atol=5e-4, rtol=1e-4)


def fed(model: TransformersLM) -> tuple[RecurrentCache, list[int]]:
    """Return a slot that was fed a prompt, single tokens and drafts, and its tokens."""
    cache, tokens = cache_of(model, 1), ids(40)
    model.score(cache, [tokens[:11]], [1])
    for token in tokens[11:30]:
        model.score(cache, [[token]], [1])
    model.score(cache, [tokens[30:36]], [6])
    model.score(cache, [tokens[36:]], [4])
    return cache, tokens


@ALL
def test_a_row_taken_back_to_any_length_is_a_row_fed_anew(tiny: Tiny, kind: str) -> None:
    gen, network = tiny(kind)
    model = lm_of(gen)
    cache, tokens = fed(model)
    lengths = range(len(tokens) + 1)
    cache.fork([0] * len(lengths))
    cache.rewind(lengths)
    assert tuple(cache.lengths) == tuple(lengths)
    new = [[60, 61]] * len(lengths)
    found = model.score(cache, new, [2] * len(lengths)).logits.split(2)
    for length, logits in zip(lengths, found, strict=True):
        assert close(logits, whole(network, [*tokens[:length], 60, 61])[-2:])


@ALL
def test_a_row_is_taken_back_between_two_feeds_again(tiny: Tiny, kind: str) -> None:
    gen, network = tiny(kind)
    model = lm_of(gen)
    cache, tokens = fed(model)
    # The second time it has not been fed what was taken back the first time.
    cache.rewind([33])
    cache.rewind([32])
    cache.fork([0, -1, 0])
    cache.rewind([32, 0, 31])
    found = model.score(cache, [[50], [51], [52, 53]], [1, 1, 2]).logits
    histories = [*tokens[:32], 50], [51], [*tokens[:31], 52, 53]
    wanted = [whole(network, row)[-kept:] for row, kept in zip(histories, (1, 1, 2), strict=True)]
    assert close(found, torch.cat(wanted))


@ALL
@pytest.mark.parametrize("taken", [0, 1, 3])
def test_drafts_that_fail_again_and_again_cost_little(tiny: Tiny, kind: str, taken: int) -> None:
    gen, network = tiny(kind)
    model = lm_of(gen)
    cache, text = cache_of(model, 1), ids(20)
    model.score(cache, [text], [1])
    again = 0
    for turn in range(12):
        sure, drafts = [100 + turn], ids(4, first=turn)
        scores = model.score(cache, [sure + drafts], [5])
        assert close(scores.logits, whole(network, text + sure + drafts)[-5:])
        again += scores.fed_again[0]
        text += sure + drafts[:taken]
        cache.rewind([len(text)])
        assert len(cache.slots[0].marks) <= MARKS
    # A token is fed again once, or twice where marking behind it would have been dearer.
    assert again <= 12 * (NEAR + 1 + taken)


@ALL
def test_what_is_fed_again_is_counted(tiny: Tiny, kind: str) -> None:
    gen, _ = tiny(kind)
    model = lm_of(gen)
    cache, tokens = cache_of(model, 2), ids(30)
    assert model.score(cache, [tokens, [5]], [1, 1]).fed_again == [0, 0]
    cache.rewind([29, 1])
    # There was no state before the end of the prompt; now there is one.
    assert model.score(cache, [[9], [6]], [1, 1]).fed_again == [29, 0]
    cache.rewind([29, 2])
    assert model.score(cache, [[8], []], [1, 0]).fed_again == [0, 0]


@pytest.mark.parametrize("kind", ["llama", "mamba"])
def test_usage_counts_it_too(tiny: Tiny, kind: str) -> None:
    gen, _ = tiny(kind)
    options = {"max_new_tokens": 40, "seed": 4, "drafter": "prompt_lookup", "temperature": 0.8}
    prompt = ids(6) * 5
    usage = gen.generate(prompt, **options).usage
    assert usage.drafted > usage.accepted
    once = len(prompt) + usage.model_calls - 1 + usage.drafted
    assert (usage.tokens_fed > once) == (kind == "mamba")
    assert usage.tokens_fed == once or kind == "mamba"


def test_a_row_that_is_fed_one_by_one_has_few_marks(tiny: Tiny) -> None:
    model = lm_of(tiny("mamba")[0])
    cache = cache_of(model, 1)
    model.score(cache, [ids(10)], [1])
    for token in ids(70):
        model.score(cache, [[token]], [1])
    lengths = [mark.length for mark in cache.slots[0].marks]
    assert lengths == [10, 10 + 3 * STRIDE, 10 + 4 * STRIDE]
    cache.rewind([75])
    assert model.score(cache, [[5]], [1]).fed_again == [75 - lengths[-1]]


@pytest.mark.parametrize("slots", [1, 3])
def test_rows_that_draft_hold_no_more_states_than_plans_count(tiny: Tiny, slots: int) -> None:
    model = lm_of(tiny("mamba")[0])
    cache = cache_of(model, slots)
    model.score(cache, [ids(10)] * slots, [1] * slots)
    most = 0.0
    for turn in range(16):
        model.score(cache, [[turn + 3, *ids(10)]] * slots, [11] * slots)
        most = max(most, cache.pages.nbytes / cache.pages.page_nbytes)
        cache.rewind([length - 10 + (turn + slot) % 4 for slot, length in enumerate(cache.lengths)])
    assert most <= PAGES * slots


def test_rows_that_fork_share_their_states(tiny: Tiny) -> None:
    model = lm_of(tiny("jamba")[0])
    cache = cache_of(model, 1)
    model.score(cache, [ids(10)], [1])
    page = cache.pages.page_nbytes
    cache.fork([0] * 8)
    assert cache.pages.nbytes == page > 0
    model.score(cache, [[5]] + [[]] * 7, [1] + [0] * 7)
    assert cache.pages.nbytes == 2 * page
    cache.fork([1] * 3)
    model.score(cache, [[5]] * 3, [1] * 3)
    cache.fork([])
    assert cache.nbytes == 0


def test_a_call_that_fails_changes_nothing(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    gen, network = tiny("jamba")
    model = lm_of(gen)
    cache, tokens = fed(model)
    with monkeypatch.context() as patch:
        patch.setattr(model.blocks[-1], "forward", _fail)
        with pytest.raises(RuntimeError, match="too late"):
            model.score(cache, [[1, 2, 3]], [1])
    assert tuple(cache.lengths) == (len(tokens),)
    found = model.score(cache, [[60, 61]], [2]).logits
    assert close(found, whole(network, [*tokens, 60, 61])[-2:])


def _fail(*_args: object, **_kwargs: object) -> None:
    raise RuntimeError("too late")


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("feed"), st.lists(st.integers(0, 5), min_size=3, max_size=3)),
        st.tuples(st.just("fork"), st.lists(st.integers(-1, 2), min_size=3, max_size=3)),
        st.tuples(st.just("rewind"), st.lists(st.floats(0, 1), min_size=3, max_size=3)),
    ),
    max_size=12,
)


@pytest.mark.parametrize("kind", ["mamba", "qwen3_next", "lfm2"])
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(operations=OPERATIONS)
def test_whatever_happens_a_slot_is_what_it_was_fed(
    tiny: Tiny, kind: str, operations: list[tuple[str, list[float]]]
) -> None:
    gen, network = tiny(kind)
    model = lm_of(gen)
    cache = cache_of(model, 3)
    rows: list[list[int]] = [[], [], []]
    for turn, (what, values) in enumerate([*operations, ("feed", [1, 1, 1])]):
        if what == "feed":
            new = [ids(int(count), first=11 * turn + at) for at, count in enumerate(values)]
            keep = [min(len(each), 2) for each in new]
            logits = model.score(cache, new, keep).logits.split(keep)
            for row, each, kept, found in zip(rows, new, keep, logits, strict=True):
                row.extend(each)
                if kept:
                    assert close(found, whole(network, row)[-kept:])
        elif what == "fork":
            cache.fork([int(parent) for parent in values])
            rows = [list(rows[int(parent)]) if parent >= 0 else [] for parent in values]
        else:
            rows = [row[: int(part * len(row))] for row, part in zip(rows, values, strict=True)]
            cache.rewind([len(row) for row in rows])
        assert tuple(cache.lengths) == tuple(map(len, rows))


def test_several_tokens_go_on_from_a_state_which_transformers_forgets(tiny: Tiny) -> None:
    gen, network = tiny("mamba")
    tokens = ids(12)
    wanted = whole(network, tokens)[-4:]
    cache = DynamicCache(config=network.config)
    with torch.no_grad():
        network(input_ids=torch.tensor([tokens[:8]]), cache=cache, use_cache=True)
        theirs = network(input_ids=torch.tensor([tokens[8:]]), cache=cache, use_cache=True)
    assert not close(theirs.logits[0], wanted)
    model = lm_of(gen)
    own = cache_of(model, 1)
    model.score(own, [tokens[:8]], [1])
    assert close(model.score(own, [tokens[8:]], [4]).logits, wanted)


def test_misuse_is_said(tiny: Tiny) -> None:
    model = lm_of(tiny("mamba")[0])
    cache = cache_of(model, 2)
    model.score(cache, [[3, 4], [5]], [1, 1])
    with pytest.raises(OptionError, match="expected a length from 0 to 2, got 3"):
        cache.rewind([3, 1])
    with pytest.raises(OptionError, match="1 lengths for 2 slots"):
        cache.rewind([1])
    with pytest.raises(OptionError, match="expected a slot from 0 to 1, or -1"):
        cache.fork([2])
    with pytest.raises(OptionError, match="this model's make_cache"):
        model.score(lm_of(tiny("llama")[0]).make_cache(2), [[3], [4]], [1, 1])
