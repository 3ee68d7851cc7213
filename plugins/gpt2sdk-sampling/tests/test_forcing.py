"""Tokens that are forced, allowed and suppressed, on numbers to check by hand."""

import numpy as np
import pytest
import torch

from gpt2sdk import GenerationError, Generator, OptionError, Prompt
from gpt2sdk.testing import Letters, TableModel, make_rows, process
from gpt2sdk_sampling.allowed_token_ids import AllowedTokenIds
from gpt2sdk_sampling.begin_suppress_tokens import BeginSuppressTokens
from gpt2sdk_sampling.encoder_repetition_penalty import EncoderRepetitionPenalty
from gpt2sdk_sampling.exponential_decay_length_penalty import ExponentialDecayLengthPenalty
from gpt2sdk_sampling.forced_bos_token_id import ForcedBosTokenId
from gpt2sdk_sampling.forced_eos_token_id import ForcedEosTokenId
from gpt2sdk_sampling.prefix_allowed_tokens_fn import PrefixAllowedTokensFn
from gpt2sdk_sampling.sequence_bias import SequenceBias
from gpt2sdk_sampling.suppress_tokens import SuppressTokens

INF = float("inf")


@pytest.fixture
def generator():
    letters = Letters()
    return Generator(TableModel(28), letters, decoder=letters, eos_token_ids=[27])


def rows():
    """The prompt is the first token: `0 | 1 1 2`, `3 |` and `2 | 2`."""
    return make_rows([[0, 1, 1, 2], [3], [2, 2]], prompt_lengths=[1, 1, 1], max_new_tokens=4)


@pytest.mark.parametrize(
    ("processor", "expected"),
    [
        (
            EncoderRepetitionPenalty(encoder_repetition_penalty=2.0),
            [[2.0, 1.0, -1.0, -1.0], [1.0, 1.0, -1.0, -0.5], [1.0, 1.0, -0.5, -1.0]],
        ),
        (
            EncoderRepetitionPenalty(encoder_repetition_penalty=0.5),
            [[0.5, 1.0, -1.0, -1.0], [1.0, 1.0, -1.0, -2.0], [1.0, 1.0, -2.0, -1.0]],
        ),
        (
            SequenceBias(sequence_bias={(1, 2, 0): 4.0, (2, 1): 2.0, (2,): 1.0, (1, 0): 8.0}),
            [[5.0, 3.0, 0.0, -1.0], [1.0, 1.0, 0.0, -1.0], [1.0, 3.0, 0.0, -1.0]],
        ),
        (AllowedTokenIds(allowed_token_ids=[3, 0]), [[1.0, -INF, -INF, -1.0]] * 3),
        (SuppressTokens(suppress_tokens=[3, 0]), [[-INF, 1.0, -1.0, -INF]] * 3),
        (
            BeginSuppressTokens(begin_suppress_tokens=[3, 0]),
            [[1.0, 1.0, -1.0, -1.0], [-INF, 1.0, -1.0, -INF], [1.0, 1.0, -1.0, -1.0]],
        ),
        (
            ForcedBosTokenId(forced_bos_token_id=2),
            [[1.0, 1.0, -1.0, -1.0], [-INF, -INF, 0.0, -INF], [1.0, 1.0, -1.0, -1.0]],
        ),
        (
            ForcedEosTokenId(forced_eos_token_id=(0, 3)),
            [[0.0, -INF, -INF, 0.0], [1.0, 1.0, -1.0, -1.0], [1.0, 1.0, -1.0, -1.0]],
        ),
        (
            PrefixAllowedTokensFn(
                prefix_allowed_tokens_fn=lambda prompt, tokens: {prompt, len(tokens) - 1}
            ),
            [[1.0, -INF, -INF, -1.0], [1.0, 1.0, -INF, -INF], [-INF, 1.0, -1.0, -INF]],
        ),
    ],
    ids=lambda each: getattr(each, "name", ""),
)
def test_logits_checked_by_hand(processor, expected):
    assert expected == process(processor, [[1.0, 1.0, -1.0, -1.0]] * 3, rows()).tolist()


@pytest.mark.parametrize(
    "processor",
    [
        AllowedTokenIds(allowed_token_ids=[4]),
        BeginSuppressTokens(begin_suppress_tokens=[4]),
        ForcedBosTokenId(forced_bos_token_id=4),
        ForcedEosTokenId(forced_eos_token_id=4),
        PrefixAllowedTokensFn(prefix_allowed_tokens_fn=lambda prompt, tokens: [4]),
        SequenceBias(sequence_bias={(0, 4): 1.0}),
        SuppressTokens(suppress_tokens=[4]),
    ],
    ids=lambda each: each.name,
)
def test_a_token_has_to_exist(processor):
    with pytest.raises(OptionError, match=f"{processor.name} names token 4: expected an id below"):
        process(processor, [[0.0] * 4])


def test_ends_rise_no_higher_than_numbers_go():
    penalty = ExponentialDecayLengthPenalty(exponential_decay_length_penalty=(0, 1e9))
    history = make_rows([[0] * 9], eos_token_ids=[1])

    found = process(penalty, [[0.0, 2.0]], history)[0]

    assert found.isfinite().all()
    assert found[1] > 1e38


@pytest.mark.parametrize("given", [(1, 0.0), (-1, 1.5), (1.5, 1.5), (1,)])
def test_a_decay_has_a_start_and_a_factor(given):
    with pytest.raises(OptionError, match="exponential_decay_length_penalty"):
        ExponentialDecayLengthPenalty(exponential_decay_length_penalty=given)


def test_a_decay_without_end_tokens_is_refused():
    penalty = ExponentialDecayLengthPenalty(exponential_decay_length_penalty=(3, 1.5))
    with pytest.raises(OptionError, match="raises end tokens, and there are none"):
        penalty.check_prompt(Prompt(0, (1,)))


def test_a_forced_end_fills_the_last_place_of_each_row(generator):
    result = generator.generate(
        ["a", "b"], forced_eos_token_id=27, max_new_tokens=[5, 9], suppress_tokens=None, seed=1
    )
    assert {27} == {each.tokens[-1] for each in result.completions}
    assert {"end_token"} == {each.finish_reason for each in result.completions}


def test_what_is_forced_and_ruled_out_leaves_nothing(generator):
    with pytest.raises(GenerationError, match="forced_eos_token_id left it no token"):
        generator.generate("a", forced_eos_token_id=3, bad_words=[[3]], max_new_tokens=2)


@pytest.mark.parametrize(
    "answer",
    [
        *([], None, ["a"], [-1], [1.5], 5, "ab", [[1]], [True, False], torch.tensor([1.0])),
        *(b"ab", b"\3" + bytes(7), bytearray(8), torch.tensor(5)),
        *(torch.tensor([True] * 28), torch.tensor([[1, 2]]), np.array([True]), np.array([0.5])),
        pytest.param(memoryview(bytes(8)), id="memoryview"),
    ],
    ids=str,
)
def test_a_function_has_to_allow_tokens(generator, answer):
    with pytest.raises(OptionError, match="expected ids of one token or more, as a list of whole"):
        generator.generate(["a", "b"], prefix_allowed_tokens_fn=lambda _, __: answer)


@pytest.mark.parametrize(
    "answer",
    [[3], (3,), {3}, range(3, 4), {3: "c"}, torch.tensor([3]), np.array([3]), [np.int64(3)]],
    ids=str,
)
def test_a_function_may_give_ids_in_any_list(generator, answer):
    result = generator.generate(
        "a", prefix_allowed_tokens_fn=lambda _, __: answer, max_new_tokens=1
    )
    assert (3,) == result.completions[0].tokens


@pytest.mark.parametrize("strategy", [{}, {"strategy": "beam", "num_beams": 2}], ids=str)
def test_a_function_is_told_the_prompt(generator, strategy):
    words = ["cab", "fed", "gig"]

    def spell(prompt, tokens):
        return generator.tokenizer.encode(words[prompt][len(tokens) - 1])

    options = {"prefix_allowed_tokens_fn": spell, "max_new_tokens": 3, "batch_size": 2}
    assert words == generator.generate(["x", "y", "z"], **options, **strategy).texts


def test_a_sequence_may_be_a_text(generator):
    biased = generator.generate(
        "a", strategy="greedy", max_new_tokens=2, sequence_bias=[["q", 99.0], ["qu", 199.0]]
    )
    assert "qu" == biased.text
