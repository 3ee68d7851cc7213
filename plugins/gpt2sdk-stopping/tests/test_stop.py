"""Stop strings: where a text ends, what waits, and what a caller sees of it."""

import pytest

from gpt2sdk import Generator, OptionError
from gpt2sdk.testing import save_tiny_model
from gpt2sdk_stopping.stop import Stop


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    save_tiny_model(folder)
    return Generator.from_pretrained(folder)


@pytest.mark.parametrize(
    ("stop", "text", "start", "expected"),
    [
        ("b", "abc", 0, (1, 0)),
        ("b", "acd", 0, (None, 0)),
        ("bc", "ab", 0, (None, 1)),
        ("bcd", "abbc", 0, (None, 2)),
        ("aab", "aaa", 0, (None, 2)),
        ("b", "bab", 1, (2, 0)),
        ("abc", "ab", 1, (None, 0)),
        (["abc", "b"], "xabc", 0, (2, 0)),
        (["bc", "abc"], "xabc", 0, (1, 0)),
        (["xy", "y"], "ax", 0, (None, 1)),
        ("", "", 0, None),
    ],
)
def test_where_a_text_ends_and_what_waits(stop, text, start, expected):
    if expected is None:
        with pytest.raises(OptionError, match="at least 1 character"):
            Stop(stop=stop)
    else:
        assert expected == tuple(Stop(stop=stop).search(text, start))


def test_a_text_ends_before_the_stop_string_and_its_tokens_are_kept(generator):
    whole = generator.generate("Once", max_new_tokens=40, seed=5).text
    mark = whole[10:13]

    result = generator.generate("Once", max_new_tokens=40, seed=5, stop=mark)

    assert whole[: whole.index(mark)] == result.text
    assert "stop_string" == result.completions[0].finish_reason
    assert mark in generator.tokenizer.decode(result.completions[0].tokens)


def test_no_part_of_a_stop_string_is_streamed(generator):
    whole = generator.generate("Once", max_new_tokens=40, seed=5).text
    mark = whole[10:16]

    pieces = [d.text for d in generator.stream("Once", max_new_tokens=40, seed=5, stop=[mark, "€"])]

    assert whole[: whole.index(mark)] == "".join(pieces)


def test_what_may_become_a_match_comes_when_it_does_not(generator):
    whole = generator.generate("Once", max_new_tokens=40, seed=5).text
    nearly = whole[10:14] + "€"

    pieces = [d.text for d in generator.stream("Once", max_new_tokens=40, seed=5, stop=nearly)]

    assert whole == "".join(pieces)
