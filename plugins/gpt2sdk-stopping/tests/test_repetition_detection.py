"""Loops: when a row is in one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt2sdk import Generator, OptionError
from gpt2sdk.testing import Letters, TableModel, ends, make_rows
from gpt2sdk_stopping.repetition_detection import RepetitionDetection


def by_comparing(tokens, least, most, count):
    """Compare token by token, as vLLM does."""
    for size in range(least, most + 1):
        if size * count > len(tokens):
            return False
        if all(
            tokens[-(size * number + place)] == tokens[-place]
            for place in range(1, size + 1)
            for number in range(1, count)
        ):
            return True
    return False


@given(
    st.lists(st.integers(0, 1), max_size=14),
    st.integers(1, 4),
    st.integers(0, 5),
    st.integers(2, 4),
)
def test_loops_are_those_of_vllm(output, least, most, count):
    most = most and most + least - 1
    loops = RepetitionDetection(
        repetition_detection=most,
        repetition_detection_min_pattern_size=least,
        repetition_detection_min_count=count,
    )
    rows = make_rows([[0, 1, 0, *output]], prompt_lengths=[3])

    assert [by_comparing(output, least, most, count)] == ends(loops, rows).tolist()


@pytest.mark.parametrize("strategy", [{}, {"strategy": "beam", "num_beams": 3}], ids=str)
def test_a_row_ends_where_its_loop_is_found(strategy):
    letters = Letters()
    generator = Generator(TableModel(28), letters, decoder=letters)
    loop = {"prefix_allowed_tokens_fn": lambda _, tokens: [len(tokens) % 3]}

    result = generator.generate(
        ["x", "yy"], repetition_detection=3, max_new_tokens=40, **loop, **strategy
    )

    assert ["bcabcabca", "cabcabcab"] == result.texts
    assert ["loop"] * 2 == [each.finish_reason for each in result.completions]


@pytest.mark.parametrize(
    "wrong",
    [
        {"repetition_detection": -1},
        {"repetition_detection_min_pattern_size": 0},
        {"repetition_detection_min_count": 1},
        {"repetition_detection_min_pattern_size": 3},
    ],
    ids=str,
)
def test_wrong_sizes_are_refused(wrong):
    with pytest.raises(OptionError, match=next(iter(wrong))):
        RepetitionDetection(**{"repetition_detection": 2} | wrong)
