"""Turns and what their times come to."""

from hypothesis import given
from hypothesis import strategies as st

from gpt2sdk.benchmark.turns import Spread, take_turns, timed

SECONDS = st.floats(min_value=1e-6, max_value=1e3)


def test_every_second_round_runs_backwards():
    seen = []
    contestants = {name: lambda name=name: seen.append(name) for name in "abc"}

    take_turns(contestants, 3)

    assert "abc" + "cba" + "abc" == "".join(seen)


def test_what_each_round_found_is_kept_by_contestant():
    counts = iter(range(6))

    found = take_turns({"a": lambda: next(counts), "b": lambda: next(counts)}, 3)

    assert {"a": [0, 3, 4], "b": [1, 2, 5]} == found


def test_no_round_begins_when_it_is_enough():
    found = take_turns({"a": lambda: 1.0}, 10, enough=iter([False, True]).__next__)

    assert [1.0, 1.0] == found["a"]


def test_ratios_are_of_pairs_and_not_of_medians():
    # The second round is ten times as slow for both: no ratio sees it.
    spread = Spread.of_ratios([3.0, 60.0, 9.0], [1.0, 20.0, 3.0])

    assert Spread(3.0, 3.0, 3.0) == spread


def test_quartiles_lie_between_neighbours():
    # A quarter of the way from the first to the last of 1, 2, 3, 10 is 0.75 behind 1.
    assert Spread(median=2.5, low=1.75, high=4.75) == Spread.of([10.0, 1.0, 3.0, 2.0])


@given(st.lists(st.tuples(SECONDS, SECONDS), min_size=1, max_size=9), SECONDS)
def test_a_slow_machine_changes_no_ratio(pairs, slow):
    over, under = zip(*pairs, strict=True)
    expected = Spread.of_ratios(over, under)

    found = Spread.of_ratios([slow * each for each in over], [slow * each for each in under])

    for one, other in zip(expected.as_dict().values(), found.as_dict().values(), strict=True):
        assert abs(one - other) <= 1e-9 * abs(one)


@given(st.lists(SECONDS, min_size=1, max_size=9))
def test_the_median_lies_between_the_quartiles(values):
    spread = Spread.of(values)

    assert min(values) <= spread.low <= spread.median <= spread.high <= max(values)


def test_what_is_timed_runs_once():
    runs = []

    seconds = timed(lambda: runs.append(0))

    assert (1, True) == (len(runs), seconds > 0)
