"""Context-aware decoding: by hand, and against a prompt that is read anew."""

import pytest
import torch

from gpt2sdk import OptionError, each
from gpt2sdk.testing import TableModel, make_rows, process
from gpt2sdk_contrast.context_aware import ContextAware, amplify


def after(*tokens):
    model = TableModel(28)
    return model.score(model.make_cache(1), [tokens], [1]).logits


def test_what_the_context_changes_is_amplified():
    with_context = torch.tensor([[0.6, 0.4]]).log()
    without = torch.tensor([[0.2, 0.8]]).log()

    # Tripled and halved by the context, half of which counts once more.
    expected = torch.tensor([[0.6 * 3**0.5, 0.4 * 0.5**0.5]])
    torch.testing.assert_close(expected, amplify(with_context, without, 0.5).exp())


def test_the_scores_are_those_of_the_paper_on_logits():
    with_context, without = torch.randn(2, 3, 20, generator=torch.Generator().manual_seed(0))

    found = amplify(with_context, without, 0.5)

    published = 1.5 * with_context - 0.5 * without
    torch.testing.assert_close(published.softmax(-1), found.softmax(-1))


def test_tokens_ruled_out_on_either_side_keep_the_rows_value():
    row = torch.tensor([[0.5, 0.5, 0.0]]).log()
    other = torch.tensor([[-torch.inf, 1.0, 1.0]])

    found = amplify(row, other, 2.0)

    assert row[0, 0] == found[0, 0]
    assert found[0, 2].isneginf()


@pytest.mark.parametrize(("option", "branch"), [([1, 2], (1, 2)), ("no", (13, 14))])
def test_the_branch_is_the_prompt_without_its_context_and_what_was_written(option, branch):
    rows = make_rows([[4, 5, 6, 9]], prompt_lengths=[3])

    found = process(ContextAware(context_aware=0.5, context_free_prompt=option), after(6, 9), rows)

    assert torch.equal(amplify(after(6, 9), after(*branch, 9), 0.5), found)


def test_rows_are_those_of_prompts_that_are_read_anew(expert, anew, logits_of, grow):
    texts = ["the pond", "b", "and", "on"]
    prompts = [expert.tokenizer.encode(text) for text in texts]

    def score(logits, tokens, prompt):
        new = tokens[len(prompt.tokens) :]
        return amplify(logits, logits_of(expert.model, prompts[prompt.index] + new), 1.5)

    found = grow(expert, context_aware=1.5, context_free_prompt=each(texts))

    assert grow(expert, processors=[anew(score)]) == found
    assert grow(expert) != found


def test_the_prompt_without_its_context_has_to_be_given(expert):
    with pytest.raises(OptionError, match="context_free_prompt, with each"):
        expert.generate("Once upon", context_aware=0.5)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [([9999], "names token 9999"), ("", "not empty"), ([], "not empty"), (3, "not empty")],
)
def test_the_prompt_needs_tokens_that_exist(prompt, message, expert):
    with pytest.raises(OptionError, match=message):
        expert.generate("Once upon", context_aware=0.5, context_free_prompt=prompt)
