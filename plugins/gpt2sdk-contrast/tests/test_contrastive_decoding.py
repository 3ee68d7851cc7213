"""Contrastive decoding: by hand, and against an amateur that reads everything anew."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpt2sdk import OptionError
from gpt2sdk.testing import TableModel, make_rows, process
from gpt2sdk_contrast.contrastive_decoding import ContrastiveDecoding, contrast, contrast_at

VOCAB_SIZE = 28
AMATEUR = TableModel(VOCAB_SIZE, seed=1)


def after(model, *tokens):
    return model.score(model.make_cache(1), [tokens], [1]).logits


def test_the_amateurs_favourite_loses_where_both_are_plausible():
    expert = torch.tensor([[0.5, 0.4, 0.1]]).log()
    amateur = torch.tensor([[0.8, 0.1, 0.1]]).log()

    found = contrast(expert, amateur, alpha=0.5, beta=1.0).exp()

    # 0.5 ** 2 / 0.8, 0.4 ** 2 / 0.1, and 0.1 is less than half of 0.5.
    torch.testing.assert_close(torch.tensor([[0.3125, 1.6, 0.0]]), found)


def test_the_scores_are_those_of_the_paper_on_logits():
    expert, amateur = torch.randn(2, 3, 50, generator=torch.Generator().manual_seed(0))
    alpha, beta = 0.3, 0.7

    found = contrast(expert, amateur, alpha=alpha, beta=beta)

    kept = expert >= expert.amax(-1, keepdim=True) + torch.tensor(alpha).log()
    published = ((1 + beta) * expert - beta * amateur).where(kept, -torch.inf)
    torch.testing.assert_close(published.softmax(-1), found.softmax(-1))
    assert expert.shape[0] < kept.sum() < kept.numel()


@given(st.floats(0.01, 1.0), st.floats(0.0, 5.0), st.integers(0, 99))
def test_it_keeps_a_token_and_unmasks_none(alpha, beta, seed):
    expert, amateur = torch.randn(2, 2, 9, generator=torch.Generator().manual_seed(seed))
    expert[0, :5] = amateur[1, 3:] = -torch.inf

    found = contrast(expert, amateur, alpha=alpha, beta=beta)

    assert found.isfinite().any(-1).all()
    assert found[0, :5].isneginf().all()
    assert not found.isnan().any()


def test_with_neither_alpha_nor_beta_the_row_stays():
    expert, amateur = torch.randn(2, 2, 9, generator=torch.Generator().manual_seed(0))

    found = contrast(expert, amateur, alpha=1e-9, beta=0.0)

    torch.testing.assert_close(expert.log_softmax(-1), found)


def test_the_amateur_is_subtracted_once_at_its_temperature():
    expert = torch.tensor([[0.5, 0.4, 0.1]]).log()
    amateur = torch.tensor([[0.6, 0.2, 0.2]]).log()

    found = contrast_at(expert, amateur, alpha=0.5, temperature=0.5).exp()

    # The squares of the amateur's are 9 : 1 : 1.
    expected = torch.tensor([[0.5 * 11 / 9, 0.4 * 11, 0.0]])
    torch.testing.assert_close(expected, found)


@pytest.mark.parametrize("beta", [0.5, 1.0, 4.0])
def test_beta_ranks_as_a_temperature_above_one(beta):
    expert, amateur = torch.randn(2, 3, 50, generator=torch.Generator().manual_seed(0))

    ours = contrast(expert, amateur, alpha=0.05, beta=beta) / (1.0 + beta)
    theirs = contrast_at(expert, amateur, alpha=0.05, temperature=(1.0 + beta) / beta)

    torch.testing.assert_close(ours.log_softmax(-1), theirs.log_softmax(-1))


@given(st.floats(0.01, 1.0), st.floats(1e-3, 1e3), st.integers(0, 99))
def test_at_a_temperature_it_keeps_a_token_and_unmasks_none(alpha, temperature, seed):
    expert, amateur = torch.randn(2, 2, 9, generator=torch.Generator().manual_seed(seed))
    expert[0, :5] = amateur[1, 3:] = -torch.inf

    found = contrast_at(expert, amateur, alpha=alpha, temperature=temperature)

    assert found.isfinite().any(-1).all()
    assert found[0, :5].isneginf().all()
    assert not found.isnan().any()
    assert not found.isposinf().any()


def test_what_the_amateur_rules_out_is_what_it_expects_least():
    expert = torch.zeros(1, 3)
    amateur = torch.tensor([[1.0, 0.0, -torch.inf]])

    found = contrast_at(expert, amateur, alpha=0.1, temperature=1.0)[0].tolist()

    assert found[0] < found[1] == found[2]


def test_the_temperature_is_an_option():
    rows = make_rows([[4, 5, 9, 8]], prompt_lengths=[2])
    expert = after(TableModel(VOCAB_SIZE), 4, 5, 9, 8)

    processor = ContrastiveDecoding(amateur_model=AMATEUR, amateur_temperature=0.5)
    found = process(processor, expert, rows)

    expected = contrast_at(expert, after(AMATEUR, 4, 5, 9, 8), alpha=0.1, temperature=0.5)
    assert torch.equal(expected, found)


def test_there_is_one_form_at_a_time():
    with pytest.raises(OptionError, match="contrastive_beta or amateur_temperature, not both"):
        ContrastiveDecoding(amateur_model=AMATEUR, amateur_temperature=0.5, contrastive_beta=1.0)


def test_the_amateur_reads_the_rows_own_tokens():
    rows = make_rows([[4, 5, 9, 8]], prompt_lengths=[2])
    expert = after(TableModel(VOCAB_SIZE), 4, 5, 9, 8)

    found = process(ContrastiveDecoding(amateur_model=AMATEUR), expert, rows)

    expected = contrast(expert, after(AMATEUR, 4, 5, 9, 8), alpha=0.1, beta=0.5)
    assert torch.equal(expected, found)


@pytest.mark.parametrize(
    ("form", "option"),
    [
        (partial(contrast, beta=1.5), {"contrastive_beta": 1.5}),
        (partial(contrast_at, temperature=0.7), {"amateur_temperature": 0.7}),
    ],
)
def test_rows_are_those_of_an_amateur_that_reads_all_anew(
    expert, amateur, anew, logits_of, grow, form, option
):
    def score(logits, tokens, prompt):
        other = logits_of(amateur.model, tokens)
        return form(logits, other, alpha=0.05)

    found = grow(expert, amateur_model=amateur, contrastive_alpha=0.05, **option)

    assert grow(expert, processors=[anew(score)]) == found
    assert grow(expert) != found


@pytest.mark.parametrize("seed", [0, 5])
def test_prompts_may_have_different_amateurs(expert, amateur, build, seed):
    from gpt2sdk import each

    other = build(seed=7)
    options = {"max_new_tokens": 8, "seed": [seed, seed + 1, seed + 2]}
    prompts = ["Once upon", "a", "the"]

    mixed = expert.generate(prompts, amateur_model=each([amateur, None, other]), **options)

    alone = [
        expert.generate(prompt, amateur_model=model, max_new_tokens=8, seed=seed + at).text
        for at, (prompt, model) in enumerate(zip(prompts, [amateur, None, other], strict=True))
    ]
    assert alone == mixed.texts
