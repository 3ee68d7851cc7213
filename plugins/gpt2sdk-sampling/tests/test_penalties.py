"""Penalties and biases, on numbers to check by hand."""

import pytest

from gpt2sdk import OptionError
from gpt2sdk.testing import make_rows, process
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
