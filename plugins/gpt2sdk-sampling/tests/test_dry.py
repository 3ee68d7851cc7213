"""DRY: how long repetitions are, what breaks them, and what they cost."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt2sdk import OptionError
from gpt2sdk.testing import make_rows, process, tiny_tokenizer
from gpt2sdk.testing.trial import open_session
from gpt2sdk_sampling.dry_multiplier import DryMultiplier, matches

INF = float("inf")
TOKENIZER = tiny_tokenizer()


def penalties(tokens, prompt_length=1, **options):
    """Return what is taken from each token, where something is."""
    options = {"dry_multiplier": 1.0, "dry_base": 2.0} | options
    rows = make_rows([tokens], prompt_lengths=[prompt_length])
    found = process(DryMultiplier(**options), [[0.0] * 28], rows)[0].tolist()
    return {token: -value for token, value in enumerate(found) if value}


def by_comparing(backwards, limit):
    """The lengths of matches, each found by itself."""
    found = {}
    for at in range(1, len(backwards)):
        length = 0
        while length < min(limit, len(backwards) - at) and (
            backwards[at + length] == backwards[length]
        ):
            length += 1
        if length:
            found[at] = length
    return found


@given(st.lists(st.integers(0, 2), max_size=30), st.integers(0, 31))
def test_matches_are_as_long_as_they_are(backwards, limit):
    assert by_comparing(backwards, limit) == matches(backwards, limit)


def test_time_grows_with_the_length_even_of_a_single_loop():
    def seconds(count):
        start = time.perf_counter()
        assert count - 1 == matches([7] * count, count)[1]
        return time.perf_counter() - start

    seconds(1000)
    assert seconds(40_000) < 200 * max(seconds(1000), 1e-4)  # a square would be 1600


def of_text_generation_webui(tokens, allowed, breakers):
    """The lengths of repetitions by the rule of DRY's first implementation: each by itself."""
    longest = {}
    for at, token in enumerate(tokens[:-1]):
        following = tokens[at + 1]
        if token != tokens[-1] or {token, following} & breakers:
            continue
        length = 1
        while length <= at and tokens[at - length] == tokens[-1 - length] not in breakers:
            length += 1
        longest[following] = max(length, longest.get(following, 0))
    return {token: length for token, length in longest.items() if length >= allowed}


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=40),
    st.integers(1, 3),
    st.sets(st.integers(2, 3)),
)
def test_penalties_are_those_of_text_generation_webui(tokens, allowed, breakers):
    found = penalties(
        tokens,
        dry_base=1.5,
        dry_allowed_length=allowed,
        dry_sequence_breakers=["abcd"[token] for token in sorted(breakers)],
    )

    lengths = of_text_generation_webui(tokens, allowed, breakers)
    expected = {token: 1.5 ** (length - allowed) for token, length in lengths.items()}
    assert expected == pytest.approx(found)


@pytest.mark.parametrize(
    ("tokens", "options", "expected"),
    [
        ([1, 2, 3, 1, 2], {}, {3: 1.0}),
        ([1, 2, 3, 1, 2], {"dry_allowed_length": 3}, {}),
        ([1, 2, 3, 1, 2], {"dry_allowed_length": 1}, {3: 2.0}),
        ([7] * 6, {}, {7: 8.0}),
        ([7] * 6, {"dry_sequence_breakers": "h"}, {}),
        ([1, 2, 3, 0, 1, 2, 4, 0, 1, 2], {}, {3: 1.0, 4: 2.0}),
        ([1, 2, 3, 0, 1, 2], {"dry_penalty_last_n": 5}, {}),
        ([1, 2, 3, 0, 1, 2], {"dry_penalty_last_n": 6}, {3: 1.0}),
        ([1, 2, 3, 0, 1, 2], {"dry_penalty_last_n": 0}, {}),
        ([1, 2, 3, 1, 2], {"dry_multiplier": 0.5, "dry_base": 1.0}, {3: 0.5}),
        # The breakers c and dc: what is left of the match is behind them; none is penalised.
        ([1, 2, 0, 3, 5, 1, 2, 0], {"dry_sequence_breakers": ["c"]}, {}),
        ([1, 2, 0, 1, 3, 5, 2, 0, 1], {"dry_sequence_breakers": ["c"]}, {3: 1.0}),
        ([0, 1, 2, 0, 1], {"dry_sequence_breakers": ["c"]}, {}),
        ([1, 3, 2, 0, 5, 1, 3], {"dry_sequence_breakers": ["dc"]}, {}),
        ([1, 2, 3, 1, 2], {"dry_sequence_breakers": ["dc"]}, {3: 1.0}),
    ],
)
def test_penalties_checked_by_hand(tokens, options, expected):
    assert expected == penalties(tokens, **options)


def test_the_prompt_counts():
    assert {3: 1.0} == penalties([1, 2, 3, 1, 2], prompt_length=5)


def test_penalties_of_any_length_are_numbers():
    found = penalties([7] * 120, dry_base=1e30)

    assert {7} == set(found)
    assert 0 < found[7] < INF


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("time)\n", 0),
        ("time)\nup", 1),
        ("up on:", 0),
        ("the é", 0),
        ("and): w", 0),
        ("and):", 3),
    ],
)
def test_breakers_are_found_inside_tokens_and_across_them(text, count):
    """` and` is one token, `é` two of a byte each; ` w` holds the end of `): `."""
    prompt = make_rows([[5]]).records[0].prompt
    session = open_session([prompt], vocab_size=TOKENIZER.vocab_size)
    session.vocabulary = TOKENIZER
    breakers = ["on:", "\n", "é", "): ", "x"]
    run = DryMultiplier(dry_multiplier=1.0, dry_sequence_breakers=breakers).start(session)
    for token in TOKENIZER.encode(f"x{text}"):
        session.append([token])

    assert [count] == [value.count for value in run.unbroken[session.rows]]


@pytest.mark.parametrize(
    "wrong",
    [
        {"dry_multiplier": -1.0},
        {"dry_base": 0.5},
        {"dry_allowed_length": 0},
        {"dry_penalty_last_n": -2},
        {"dry_sequence_breakers": [""]},
    ],
    ids=str,
)
def test_wrong_options_are_refused(wrong):
    with pytest.raises(OptionError, match=next(iter(wrong))):
        DryMultiplier(**{"dry_multiplier": 1.0} | wrong)
