"""A feed: who attends together, and what is refused before any work."""

import pytest
import torch

from gpt2sdk.errors import ContextOverflowError, OptionError
from gpt2sdk.gpt2.attention import Heads
from gpt2sdk.gpt2.cache import Cache
from gpt2sdk.gpt2.feed import Feed, check_fed, group


def spans(pasts, counts, width=768):
    return [(part.first, part.span, part.new, part.total) for part in group(pasts, counts, width)]


def feed(cache, tokens, keep=None):
    keep = [len(row) for row in tokens] if keep is None else keep
    check_fed(cache, tokens, keep, vocab_size=10)
    return Feed(cache, tokens, keep, like=torch.zeros(1))


def cache(slots, limit=100):
    return Cache(slots, layers=1, heads=2, head_size=4, limit=limit)


def write(cache, feed, seed=0):
    """Feed random queries, keys and values."""
    drawn = torch.randn(len(feed), 24, generator=torch.Generator().manual_seed(seed))
    mixed = feed(0, drawn, Heads(count=2, size=4, scaling=0.5, upcast=False))
    feed.finish()
    return drawn, mixed


def test_rows_of_similar_length_attend_together():
    assert [(0, 3, 1, 12)] == spans([11, 10, 9], [1, 1, 1])


def test_a_long_row_attends_alone():
    assert [(0, 1, 1, 701), (1, 2, 1, 11)] == spans([700, 10, 9], [1, 1, 1])


def test_idle_slots_are_read_only_where_that_is_cheap():
    assert [(1, 1, 1, 601), (4, 1, 1, 601)] == spans([600] * 6, [0, 1, 0, 0, 1, 0])
    assert [(1, 4, 1, 11)] == spans([10] * 6, [0, 1, 0, 0, 1, 0])


def test_equal_prompts_need_no_cache_and_unequal_long_ones_no_padding():
    equal = group([0, 0], [300, 300], 768)
    unequal = group([0, 0], [300, 200], 768)

    assert [(2, True)] == [(part.span, part.fresh) for part in equal]
    assert [(1, True), (1, True)] == [(part.span, part.fresh) for part in unequal]


def test_a_single_row_needs_neither_mask_nor_padding():
    slots = cache(2)
    write(slots, feed(slots, [[1, 2, 3], [1, 2, 3]]))

    for part in feed(slots, [[4], [5]]).groups:
        assert (None, None, None) == (part.mask, part.padded, part.unpadded)


def test_masks_hide_what_stands_behind_each_new_token():
    slots = cache(2)
    write(slots, feed(slots, [[1, 2], [1, 2, 3, 4]]))
    hidden = -torch.inf

    (part,) = feed(slots, [[5, 6], [7, 8]]).groups

    assert [[0, 0, 0, hidden, hidden, hidden], [0, 0, 0, 0, hidden, hidden]] == part.mask[
        0, 0
    ].tolist()
    assert [[0, 0, 0, 0, 0, hidden], [0, 0, 0, 0, 0, 0]] == part.mask[1, 0].tolist()


def test_padding_repeats_a_token_and_is_dropped_again():
    slots = cache(3)
    write(slots, feed(slots, [[1, 2], [1], [1, 2]]))

    (part,) = feed(slots, [[5, 6], [], [7]]).groups

    assert [0, 1, 1, 1, 2, 2] == part.padded.tolist()
    assert [0, 1, 4] == part.unpadded.tolist()


def test_each_way_to_attend_gives_the_same():
    rows = [[1, 2, 3, 4], [1, 2, 3], [1, 2, 3, 4]]
    together, apart = cache(3), [cache(1) for _ in rows]

    for step in ([slice(0, 2)] * 3, [slice(2, 3)] * 3, [slice(3, 4)] * 3):
        parts = [row[piece] for row, piece in zip(rows, step, strict=True)]
        planned = feed(together, parts)
        drawn, mixed = write(together, planned, seed=step[0].start)
        at = 0
        for part, alone in zip(parts, apart, strict=True):
            if part:
                single = feed(alone, [part])
                heads = Heads(count=2, size=4, scaling=0.5, upcast=False)
                expected = single(0, drawn[at : at + len(part)], heads)
                single.finish()
                torch.testing.assert_close(expected, mixed[at : at + len(part)])
            at += len(part)


@pytest.mark.parametrize("token", [10, -1, 1000])
def test_a_token_outside_the_vocabulary_is_named(token):
    with pytest.raises(OptionError, match=rf"token {token}: expected an id from 0 to 9.* has 10"):
        feed(cache(2), [[1, 2], [3, token]])


def test_too_many_tokens_are_refused_before_anything_is_written():
    slots = cache(2, limit=4)
    write(slots, feed(slots, [[1, 2], [1]]))

    with pytest.raises(ContextOverflowError, match="slot 0 holds 2 tokens and was fed 3") as caught:
        feed(slots, [[1, 2, 3], [1]])

    assert (5, 4) == (caught.value.prompt_tokens, caught.value.limit)
    assert (2, 1) == slots.lengths
    assert len(feed(slots, [[1, 2], [1, 2, 3]])) == 5


@pytest.mark.parametrize(
    ("tokens", "keep", "message"),
    [
        ([[1]], [1], "expected tokens and keep for 2 slots, got 1 and 1"),
        ([[1], [2]], [1], "expected tokens and keep for 2 slots, got 2 and 1"),
        ([[1], [2]], [1, 2], "slot 1: expected to keep 0 to 1 of the tokens fed, got 2"),
        ([[1], []], [-1, 0], "slot 0: expected to keep 0 to 1 of the tokens fed, got -1"),
    ],
)
def test_misfits_are_refused(tokens, keep, message):
    with pytest.raises(OptionError, match=message):
        feed(cache(2), tokens, keep)
