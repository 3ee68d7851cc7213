"""Penalties and biases, on numbers to check by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt2sdk import Generator, OptionError
from gpt2sdk.testing import Letters, TableModel, make_rows, process
from gpt2sdk_sampling.frequency_penalty import FrequencyPenalty
from gpt2sdk_sampling.logit_bias import LogitBias
from gpt2sdk_sampling.no_repeat_ngram_size import NoRepeatNgramSize
from gpt2sdk_sampling.presence_penalty import PresencePenalty
from gpt2sdk_sampling.repetition_penalty import RepetitionPenalty

INF = float("inf")


def rows():
    """The prompt is the first token: `0 | 1 1 2`, `3 |` and `2 | 2`."""
    return make_rows([[0, 1, 1, 2], [3], [2, 2]], prompt_lengths=[1, 1, 1])


@pytest.mark.parametrize(
    ("processor", "expected"),
    [
        (
            RepetitionPenalty(repetition_penalty=2.0),
            [[0.5, 0.5, -2.0, -1.0], [1.0, 1.0, -1.0, -2.0], [1.0, 1.0, -2.0, -1.0]],
        ),
        (
            RepetitionPenalty(repetition_penalty=0.5),
            [[2.0, 2.0, -0.5, -1.0], [1.0, 1.0, -1.0, -0.5], [1.0, 1.0, -0.5, -1.0]],
        ),
        (
            RepetitionPenalty(repetition_penalty=2.0, repetition_penalty_scope="output"),
            [[1.0, 0.5, -2.0, -1.0], [1.0, 1.0, -1.0, -1.0], [1.0, 1.0, -2.0, -1.0]],
        ),
        (
            FrequencyPenalty(frequency_penalty=0.5),
            [[1.0, 0.0, -1.5, -1.0], [1.0, 1.0, -1.0, -1.0], [1.0, 1.0, -1.5, -1.0]],
        ),
        (
            PresencePenalty(presence_penalty=0.5),
            [[1.0, 0.5, -1.5, -1.0], [1.0, 1.0, -1.0, -1.0], [1.0, 1.0, -1.5, -1.0]],
        ),
        (
            PresencePenalty(presence_penalty=-2.0),
            [[1.0, 3.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0], [1.0, 1.0, 1.0, -1.0]],
        ),
        # Of the last two tokens `1 2`, `3` and `2 | 2`, then of their output `1 2`, none and `2`.
        (
            RepetitionPenalty(repetition_penalty=2.0, penalty_last_n=2),
            [[1.0, 0.5, -2.0, -1.0], [1.0, 1.0, -1.0, -2.0], [1.0, 1.0, -2.0, -1.0]],
        ),
        (
            RepetitionPenalty(
                repetition_penalty=2.0, repetition_penalty_scope="output", penalty_last_n=2
            ),
            [[1.0, 0.5, -2.0, -1.0], [1.0, 1.0, -1.0, -1.0], [1.0, 1.0, -2.0, -1.0]],
        ),
        (
            FrequencyPenalty(frequency_penalty=0.5, penalty_last_n=2),
            [[1.0, 0.5, -1.5, -1.0], [1.0, 1.0, -1.0, -1.0], [1.0, 1.0, -1.5, -1.0]],
        ),
        (
            PresencePenalty(presence_penalty=0.5, penalty_last_n=1),
            [[1.0, 1.0, -1.5, -1.0], [1.0, 1.0, -1.0, -1.0], [1.0, 1.0, -1.5, -1.0]],
        ),
        (
            NoRepeatNgramSize(no_repeat_ngram_size=1),
            [[-INF, -INF, -INF, -1.0], [1.0, 1.0, -1.0, -INF], [1.0, 1.0, -INF, -1.0]],
        ),
        (
            NoRepeatNgramSize(no_repeat_ngram_size=2),
            [[1.0, 1.0, -1.0, -1.0], [1.0, 1.0, -1.0, -1.0], [1.0, 1.0, -INF, -1.0]],
        ),
        (
            LogitBias(logit_bias={1: 0.5, 3: -2.0}),
            [[1.0, 1.5, -1.0, -3.0]] * 3,
        ),
    ],
)
def test_logits_checked_by_hand(processor, expected):
    assert expected == process(processor, [[1.0, 1.0, -1.0, -1.0]] * 3, rows()).tolist()


PENALTIES = [
    RepetitionPenalty(repetition_penalty=1.5),
    RepetitionPenalty(repetition_penalty=0.5, repetition_penalty_scope="output"),
    FrequencyPenalty(frequency_penalty=0.7),
    PresencePenalty(presence_penalty=-0.7),
]


@pytest.mark.parametrize("penalty", PENALTIES)
@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    last=st.integers(0, 8),
    data=st.data(),
)
def test_a_window_is_as_if_the_row_began_there(penalty, lengths, last, data):
    """The reference has the row cut to the window, and its prompt with it."""
    tokens = [
        data.draw(st.lists(st.integers(0, 3), min_size=length, max_size=length))
        for length in lengths
    ]
    prompts = [data.draw(st.integers(1, length)) for length in lengths]
    logits = [[1.0, 2.0, -1.0, -3.0]]
    near = penalty.model_copy(update={"penalty_last_n": last})

    expected = []
    for row, prompt in zip(tokens, prompts, strict=True):
        start = max(0, len(row) - last)
        seen, said = row[start:], max(0, prompt - start)
        if isinstance(penalty, RepetitionPenalty) and penalty.repetition_penalty_scope == "all":
            said = 0
        expected.append(_penalised(penalty, logits[0], seen[said:]))
    found = process(near, logits * len(tokens), make_rows(tokens, prompt_lengths=prompts))
    assert expected == [pytest.approx(row) for row in found.tolist()]


def _penalised(penalty, logits, said):
    match penalty:
        case RepetitionPenalty(repetition_penalty=r):
            return [(z * r if z < 0 else z / r) if i in said else z for i, z in enumerate(logits)]
        case FrequencyPenalty(frequency_penalty=f):
            return [z - f * said.count(i) for i, z in enumerate(logits)]
        case PresencePenalty(presence_penalty=q):
            return [z - q * (i in said) for i, z in enumerate(logits)]


def test_a_window_of_no_tokens_penalises_none():
    for penalty in PENALTIES:
        none = penalty.model_copy(update={"penalty_last_n": 0})
        assert [[1.0, 1.0]] * 2 == process(none, [[1.0, 1.0]] * 2, make_rows([[0, 1]] * 2)).tolist()


def test_the_penalties_of_a_call_share_the_window():
    letters = Letters()
    generator = Generator(TableModel(28), letters, decoder=letters, eos_token_ids=[])
    penalties = {"repetition_penalty": 5.0, "frequency_penalty": 2.0, "presence_penalty": 2.0}
    call = {"seed": 1, "max_new_tokens": 30}

    plain = generator.generate("a", **call)
    none = generator.generate("a", penalty_last_n=0, **penalties, **call)
    some = generator.generate(
        "a", **penalties, **{"penalty_last_n": 0, "presence_penalty.penalty_last_n": 4}, **call
    )
    near = generator.generate("a", presence_penalty=2.0, penalty_last_n=4, **call)

    assert plain.texts == none.texts
    assert near.texts == some.texts != plain.texts


def test_ids_may_be_written_as_json_writes_them():
    assert LogitBias(logit_bias={5: 1.0}) == LogitBias(logit_bias={"5": 1.0})


def test_a_bias_needs_a_token_that_exists():
    with pytest.raises(OptionError, match="names token 4: expected an id below 4"):
        process(LogitBias(logit_bias={4: 1.0}), [[0.0] * 4])
    with pytest.raises(OptionError, match="logit_bias"):
        LogitBias(logit_bias={-1: 1.0})


def test_biases_of_one_token_add_up():
    twice = LogitBias(logit_bias=[(0, 1.0), (0, 0.5)])

    assert [[1.5, 0.0]] == process(twice, [[0.0, 0.0]]).tolist()
