"""The prefix tree: what it finds is right, the longest there is, and within its bytes."""

from dataclasses import dataclass, field

import torch
from hypothesis import given
from hypothesis import strategies as st

from gpt2sdk.session.prefix_cache import PrefixCache, common
from gpt2sdk.testing import TableModel, tiny_gpt2

TOKEN = 8
"""Bytes of a token of a table model."""

sequences = st.lists(st.integers(0, 2), min_size=1, max_size=12).map(tuple)


def filled(tokens):
    """A cache whose only slot holds these tokens."""
    model = TableModel(3)
    cache = model.make_cache(1)
    cache.slots[0] = list(tokens)
    return cache


@dataclass
class Kept:
    """A prefix cache, driven by sequences alone."""

    limit: int
    kept: PrefixCache = field(init=False)

    def __post_init__(self):
        self.kept = PrefixCache(self.limit)

    def keep(self, tokens, origin="one"):
        self.kept.keep(filled(tokens), 0, tokens, origin)

    def recall(self, tokens, origin="one"):
        """Return what the slot then holds."""
        cache = filled(())
        assert self.kept.recall(cache, 0, tokens, origin) == len(cache.slots[0])
        return tuple(cache.slots[0])

    @property
    def memory(self):
        """Bytes of all memory that its tensors hold, however it is cut."""
        storages = {
            tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes()
            for node in self.kept._nodes  # noqa: SLF001 - nobody else knows
            for tensor in node.held
        }
        return sum(storages.values())


@given(st.lists(sequences, max_size=12), sequences)
def test_the_longest_common_beginning_is_found_to_the_token(kept, asked):
    tree = Kept(limit=10**6)
    for each in kept:
        tree.keep(each)
    longest = max((common(each, asked) for each in kept), default=0)

    assert tree.kept.length(asked, "one") == longest
    assert tree.recall(asked) == asked[:longest]


@given(st.lists(st.tuples(st.booleans(), sequences), max_size=30), st.integers(1, 20 * TOKEN))
def test_never_more_is_held_than_the_limit_and_nothing_wrong(steps, limit):
    tree = Kept(limit)
    for keeps, tokens in steps:
        if keeps:
            tree.keep(tokens)
        else:
            found = tree.recall(tokens)
            assert found == tokens[: len(found)]
        info = tree.kept.info()
        assert tree.memory == info.nbytes == TOKEN * info.tokens <= limit


@given(sequences, sequences)
def test_what_two_sequences_have_in_common_is_held_once(one, other):
    tree = Kept(limit=10**6)
    tree.keep(one)
    tree.keep(other)

    assert tree.kept.info().tokens == len(one) + len(other) - common(one, other)


def test_what_was_used_least_recently_goes_first_and_ends_before_beginnings():
    tree = Kept(limit=6 * TOKEN)
    tree.keep((0, 0, 1, 1))
    tree.keep((0, 0, 2, 2))
    tree.recall((0, 0, 1, 1))
    tree.keep((1, 1))

    assert [tree.kept.length(each, "one") for each in [(0, 0, 1, 1), (0, 0, 2, 2), (1, 1)]] == [
        4,
        2,
        2,
    ]


def test_of_a_sequence_that_does_not_fit_the_beginning_is_held():
    tree = Kept(limit=5 * TOKEN + 7)
    tree.keep(tuple(range(9)))

    assert tree.recall(tuple(range(9))) == (0, 1, 2, 3, 4)


def test_a_sequence_behind_a_full_path_drops_nothing():
    tree = Kept(limit=4 * TOKEN)
    tree.keep((0, 1, 2, 0))
    tree.keep((0, 1, 2, 0, 1))

    assert tree.recall((0, 1, 2, 0, 1)) == (0, 1, 2, 0)


def test_what_comes_of_something_else_is_forgotten():
    tree = Kept(limit=10**6)
    tree.keep((0, 1, 2))

    assert tree.kept.length((0, 1, 2), "other") == 0
    assert tree.recall((0, 1, 2), "other") == ()
    assert tree.recall((0, 1, 2)) == ()
    assert tree.kept.info().nbytes == 0


def test_what_comes_of_nobody_knows_what_is_neither_kept_nor_found():
    tree = Kept(limit=10**6)
    tree.keep((0, 1, 2), None)

    assert (tree.recall((0, 1, 2), None), tree.kept.info().tokens) == ((), 0)


def test_a_slot_that_holds_a_beginning_gets_the_rest():
    tree = Kept(limit=10**6)
    tree.keep((0, 1, 2, 3))
    tree.keep((0, 1, 2, 4))
    cache = filled((0, 1))

    assert tree.kept.recall(cache, 0, (0, 1, 2, 4, 5), "one") == 4
    assert cache.slots[0] == [0, 1, 2, 4]
    assert tree.kept.info().tokens_saved == 2


def test_hits_and_misses_are_counted_and_stay_when_all_is_forgotten():
    tree = Kept(limit=10**6)
    tree.recall((0, 1))
    tree.keep((0, 1))
    tree.recall((0, 1, 2))
    tree.kept.clear()
    info = tree.kept.info()

    assert (info.hits, info.misses, info.tokens_saved) == (1, 1, 2)
    assert (info.nbytes, info.tokens, info.entries) == (0, 0, 0)


def test_where_memory_runs_out_everything_is_forgotten_and_nothing_raised():
    class Full(type(filled(()))):
        def copy_out(self, slot, start, stop):
            raise torch.OutOfMemoryError

    tree = Kept(limit=10**6)
    tree.keep((0, 1, 2))
    full = Full(1)
    full.slots[0] = [0, 2]
    tree.kept.keep(full, 0, (0, 2), "one")

    assert (tree.kept.info().nbytes, tree.recall((0, 1, 2))) == (0, ())


def test_an_interruption_leaves_a_whole_tree():
    class Interrupted(type(filled(()))):
        def copy_out(self, slot, start, stop):
            raise KeyboardInterrupt

    tree = Kept(limit=10**6)
    cut = Interrupted(1)
    cut.slots[0] = [0, 2]
    try:
        tree.kept.keep(cut, 0, (0, 2), "one")
    except KeyboardInterrupt:
        tree.keep((0, 1))

    assert tree.recall((0, 1)) == (0, 1)


def test_keys_and_values_come_back_as_they_were_in_a_larger_cache():
    model = tiny_gpt2()
    cache, other = model.make_cache(1), model.make_cache(3)
    tokens = [number % 50 for number in range(90)]
    model.score(cache, [tokens], [1])
    model.score(other, [[1, 2], [3], []], [1, 1, 0])
    kept = PrefixCache(10**7)
    kept.keep(cache, 0, tokens, model.origin())
    kept.recall(other, 2, tokens[:80], model.origin())

    assert other.lengths == (2, 1, 80)
    for layer in range(model.layers):
        assert torch.equal(cache.read(layer, 0, 1, 80), other.read(layer, 2, 1, 80))


@given(st.lists(st.integers(0, 9), max_size=40), st.lists(st.integers(0, 9), max_size=40))
def test_common_counts_what_a_loop_counts(one, other):
    count = 0
    while count < min(len(one), len(other)) and one[count] == other[count]:
        count += 1

    assert common(one, other) == count
