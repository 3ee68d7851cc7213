"""Greedy tokens are those of transformers' assisted generation."""

import pytest
import torch

from gpt2sdk import Generator
from gpt2sdk.testing import save_tiny_model
from gpt2sdk_drafters.draft_model import DraftModel
from gpt2sdk_drafters.early_exit import EarlyExit

transformers = pytest.importorskip("transformers")

PROMPTS = ["Once upon a time", "and the time and the time and the", "on"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Save two models with one tokenizer: a target and a draft."""
    made = []
    for seed in range(2):
        made.append(tmp_path_factory.mktemp(f"model{seed}"))
        save_tiny_model(made[-1], seed=seed)
    return made


@pytest.mark.parametrize("kind", ["draft", "lookup"])
@pytest.mark.filterwarnings("ignore")
def test_greedy_tokens_are_those_of_assisted_generation(kind, folders):
    theirs, assistant = (
        transformers.AutoModelForCausalLM.from_pretrained(folder).double().eval()
        for folder in folders
    )
    ours = Generator.from_pretrained(str(folders[0]), dtype="float64")
    tokenizer = ours.tokenizer
    help_ = {"assistant_model": assistant} if kind == "draft" else {"prompt_lookup_num_tokens": 4}
    drafters = (
        [
            DraftModel(assistant_model=str(folders[1]), assistant_cost=0.0),
            EarlyExit(assistant_early_exit=1),
        ]
        if kind == "draft"
        else ["prompt_lookup", "suffix"]
    )
    for prompt in PROMPTS:
        ids = torch.tensor([tokenizer.encode(prompt)])
        with torch.no_grad():
            made = theirs.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                max_new_tokens=30,
                eos_token_id=None,
                pad_token_id=0,
                **help_,
            )
        expected = made[0, ids.shape[1] :].tolist()
        for drafter in drafters:
            found = ours.generate(
                prompt, strategy="greedy", drafter=drafter, max_new_tokens=30, eos_token_id=None
            )

            assert expected == list(found.completions[0].tokens)
