"""Guidance: against a negative prompt, by hand and through forks, rewinds and neighbours."""

import pytest
import torch

from gpt2sdk import Generator, OptionError
from gpt2sdk.testing import TableModel, make_rows, process, tiny_tokenizer
from gpt2sdk_sampling.guidance_scale import GuidanceScale, guide

VOCAB_SIZE = 28


def after(*tokens):
    """The logits that the trial's model gives after these tokens."""
    model = TableModel(VOCAB_SIZE)
    return model.score(model.make_cache(1), [tokens], [1]).logits


@pytest.mark.parametrize(("option", "branch"), [(None, (6,)), ([1, 2], (1, 2)), ("no", (13, 14))])
def test_the_branch_begins_with_the_negative_prompt(option, branch):
    logits = after(4, 5, 6)
    rows = make_rows([[4, 5, 6]], prompt_lengths=[3])

    found = process(GuidanceScale(guidance_scale=1.5, negative_prompt=option), logits, rows)

    assert torch.equal(guide(logits, after(*branch), 1.5), found)


def test_a_special_token_in_the_negative_prompt_is_that_token():
    tokenizer = tiny_tokenizer()
    model = TableModel(tokenizer.vocab_size)
    generator = Generator(model, tokenizer)
    options = {"guidance_scale": 1.5, "max_new_tokens": 5, "seed": 1}
    end = tokenizer.eos_token_id

    written = generator.generate("a", negative_prompt="the<|endoftext|>", **options)
    as_ids = generator.generate("a", negative_prompt=[*tokenizer.encode("the"), end], **options)

    assert as_ids.completions[0].tokens == written.completions[0].tokens


def test_the_branch_goes_on_with_the_rows_own_tokens():
    rows = make_rows([[4, 5, 9, 8]], prompt_lengths=[2])

    found = process(GuidanceScale(guidance_scale=3.0), after(4, 5, 9, 8), rows)

    assert torch.equal(guide(after(4, 5, 9, 8), after(5, 9, 8), 3.0), found)


def test_scale_zero_is_the_branch_and_scale_one_is_the_row():
    row, branch = after(1), after(2)

    torch.testing.assert_close(branch.log_softmax(-1), guide(row, branch, 0.0))
    torch.testing.assert_close(row.log_softmax(-1), guide(row, branch, 1.0))


def test_tokens_ruled_out_on_either_side_keep_the_rows_value():
    inf = float("inf")
    row = torch.tensor([[0.5, 0.5, 0.0]]).log()
    branch = torch.tensor([[-inf, 1.0, 1.0]])

    found = guide(row, branch, 2.0)

    assert row[0, 0] == found[0, 0]
    assert -inf == found[0, 2]


@pytest.mark.parametrize(
    ("prompt", "message"),
    [([99], "negative_prompt names token 99"), ("", "not empty"), ([], "not empty")],
)
def test_a_negative_prompt_needs_tokens_that_exist(prompt, message):
    with pytest.raises(OptionError, match=message):
        process(GuidanceScale(guidance_scale=2.0, negative_prompt=prompt), after(1))
