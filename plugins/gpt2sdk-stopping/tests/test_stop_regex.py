"""Stop expressions: where a text ends, what waits, and what a caller sees of it."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt2sdk import Generator, OptionError
from gpt2sdk.testing import Letters, TableModel
from gpt2sdk_stopping.stop_regex import StopRegex

LETTERS = Letters()
EXPRESSIONS = [
    *("ab", "a+b", "ab*", "a|bab", "(ab|ba)+c", "a.b", "[ab]{2,3}c", "ab(?=c)", r"\bab", r"ab\b"),
    *("^ab", "a$", "(?i)AB", "(?x) a b # both", "(a)b\\1", "(?<=c)ab", "a{3,}", "(?<!a)b"),
]


@pytest.fixture
def generator():
    return Generator(TableModel(28, scale=1.0), LETTERS, decoder=LETTERS)


def by_looking(pattern, text, longest):
    """After each character, look for a match that ends there, the longest first."""
    for end in range(len(text) + 1):
        for begin in range(max(0, end - longest), end):
            if re.compile(pattern).fullmatch(text, begin, end):
                return begin, end
    return None


def fed(stop, pieces):
    """Feed pieces as a session does: where the text ends, and what was certain before."""
    text, certain = "", 0
    for piece in pieces:
        text += piece
        end, hold = stop.search(text, certain)
        if end is not None:
            return end, certain
        certain = len(text) - hold
    return None, certain


@given(
    st.sampled_from(EXPRESSIONS),
    st.lists(st.text("abc", min_size=1, max_size=4), max_size=8),
    st.booleans(),
)
def test_a_text_ends_at_the_match_that_is_complete_first(pattern, pieces, include):
    text = "".join(pieces)
    stop = StopRegex(stop_regex=pattern, stop_regex_include=include, stop_regex_max_length=5)
    found = by_looking(pattern, text, 5)
    expected = None if found is None else found[include]

    for cut in (pieces, list(text), [text]):
        end, certain = fed(stop, cut)
        assert expected == end
        assert end is None or certain <= found[0]


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("END", "the EN", (None, 2)),
        ("END", "the", (None, 0)),
        (r"\nUser \d", "so\nUser", (None, 5)),
        ("[ab]c", "xa", (None, 1)),
        ("[ab]c", "xx", (None, 1)),
        ("a.{0,3}b", "xxaxxx", (None, 4)),
        ("a.{0,3}b", "xxaxxxx", (None, 0)),
        (["b+c", "ab"], "xab", (1, 0)),
        (["b", "xab"], "xab", (0, 0)),
        ((), "xab", (None, 0)),
    ],
)
def test_what_waits(pattern, text, expected):
    assert expected == tuple(StopRegex(stop_regex=pattern).search(text, 0))


def test_time_grows_with_the_text():
    def seconds(count):
        stop, text = StopRegex(stop_regex="b[ac]{0,40}d"), "abc" * count
        began = time.perf_counter()
        end, certain = fed(stop, [text[at : at + 3] for at in range(0, len(text), 3)])
        assert end is None
        assert certain > len(text) - 42
        return time.perf_counter() - began

    seconds(50)
    assert seconds(1600) < 60 * max(seconds(100), 1e-3)  # a square would be 256


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stop_regex": "a("}, "stop_regex.0. is no regular expression, since missing"),
        ({"stop_regex": ["a", "b*"]}, "stop_regex.1. matches an empty text"),
        ({"stop_regex": "a", "stop_regex_max_length": 0}, "stop_regex_max_length should be"),
    ],
)
def test_wrong_expressions_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        StopRegex(**options)


def test_a_match_has_to_be_possible(generator):
    with pytest.raises(OptionError, match="stop_regex_max_length=5: expected 6 or more"):
        generator.generate("a", stop_regex="a{6,}", stop_regex_max_length=5)


@pytest.mark.parametrize("strategy", [{"seed": 3}, {"strategy": "beam", "num_beams": 2}], ids=str)
def test_nothing_behind_the_end_is_streamed(generator, strategy):
    options = {"max_new_tokens": 40, **strategy}
    whole = generator.generate(["a", "b"], **options).texts
    marks = [text[11:14] for text in whole]
    options["stop_regex"] = [f"[{m[0]}]{re.escape(m[1])}[{m[2]}]" for m in marks]

    result = generator.generate(["a", "b"], **options)
    streamed = ["", ""]
    for delta in generator.stream(["a", "b"], **options):
        streamed[delta.prompt_index] += delta.text

    assert result.texts == streamed
    assert {"stop_regex"} == {each.finish_reason for each in result.completions}
    if "seed" in strategy:
        assert all(one.startswith(two) for one, two in zip(whole, streamed, strict=True))


def test_the_match_may_be_part_of_the_text(generator):
    whole = generator.generate("a", max_new_tokens=40, seed=3).text
    pattern = f"{re.escape(whole[9])}{re.escape(whole[10])}."
    begin = whole.index(whole[9:11])

    kept = generator.generate(
        "a", max_new_tokens=40, seed=3, stop_regex=pattern, stop_regex_include=True
    )

    assert whole[: begin + 3] == kept.text
