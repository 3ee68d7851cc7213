"""No n-gram twice: within a window, but for a whitelist, and whatever was taken back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt2sdk import OptionError
from gpt2sdk.testing import make_rows, process
from gpt2sdk.testing.trial import open_session
from gpt2sdk_sampling.no_repeat_ngram_size import NoRepeatNgramSize


def by_looking(tokens, size, window, whitelist):
    """What sglang's processor rules out: it goes through all n-grams of the window."""
    first = max(0, len(tokens) - window)
    prefix = tokens[len(tokens) - size + 1 :]
    ngrams = [tokens[at : at + size] for at in range(first, len(tokens) - size + 1)]
    return {ngram[-1] for ngram in ngrams if ngram[:-1] == prefix} - set(whitelist)


def ruled_out(logits):
    return set(logits.isneginf().nonzero()[:, 0].tolist())


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=30),
    st.integers(1, 4),
    st.integers(0, 30),
    st.sets(st.integers(0, 3), max_size=1),
)
def test_windows_and_whitelists_equal_sglang(tokens, size, more, whitelist):
    window = size + more
    ngrams = NoRepeatNgramSize(
        no_repeat_ngram_size=size,
        no_repeat_ngram_window=window,
        no_repeat_ngram_whitelist=sorted(whitelist),
    )

    found = process(ngrams, [[0.0] * 5], make_rows([tokens]))[0]

    assert by_looking(tokens, size, window, whitelist) == ruled_out(found)


@given(
    st.lists(
        st.one_of(st.integers(0, 2), st.sampled_from(["fork", "back 1", "back 3"])), max_size=30
    ),
    st.integers(1, 3),
)
def test_copies_and_what_was_taken_back_do_not_count(moves, size):
    """Two rows go different ways, are copied and cut back; each is as one that never did."""
    session = open_session([make_rows([[0]]).records[0].prompt], vocab_size=5)
    run = NoRepeatNgramSize(no_repeat_ngram_size=size).start(session)
    session.fork([0, 0])
    for move in moves:
        if move == "fork":
            session.fork([1, 1, 0][: len(session.rows)])
        elif isinstance(move, str):
            session.rewind([min(int(move[-1]), row.grown) for row in session.rows.records])
        else:
            session.append([move, (move + 1) % 3])
    found = run.process(session.next_logits(), session.rows)

    expected = [by_looking(tokens, size, 99, ()) for tokens in session.rows.histories()]
    assert expected == [ruled_out(each) for each in found]


def test_a_window_and_a_whitelist_are_checked():
    with pytest.raises(OptionError, match="no_repeat_ngram_window should be greater than or equal"):
        NoRepeatNgramSize(no_repeat_ngram_size=2, no_repeat_ngram_window=0)
    with pytest.raises(OptionError, match="no_repeat_ngram_whitelist names token 9"):
        process(
            NoRepeatNgramSize(no_repeat_ngram_size=2, no_repeat_ngram_whitelist=[9]), [[0.0] * 9]
        )


def test_a_window_of_one_ngram_still_finds_it():
    loop = NoRepeatNgramSize(no_repeat_ngram_size=2, no_repeat_ngram_window=2)

    assert {1} == ruled_out(process(loop, [[0.0] * 3], make_rows([[0, 1, 1]]))[0])


def test_a_window_without_room_for_an_ngram_is_refused():
    with pytest.raises(OptionError, match="no_repeat_ngram_window of at least no_repeat_ngram_s"):
        NoRepeatNgramSize(no_repeat_ngram_size=3, no_repeat_ngram_window=2)
