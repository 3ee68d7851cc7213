"""Small models that disagree, and processors that compute everything anew."""

import pytest
import torch

from gpt2sdk import Generator, GPT2Config, LogitsProcessor, Stage
from gpt2sdk.gpt2 import GPT2
from gpt2sdk.testing import tiny_tokenizer


def _build(seed=0, layers=2, *, tied=True, window=64):
    config = GPT2Config(
        vocab_size=tiny_tokenizer().vocab_size,
        n_positions=window,
        n_embd=32,
        n_layer=layers,
        n_head=2,
        initializer_range=0.3,
        tie_word_embeddings=tied,
    )
    return GPT2(config, seed=seed).eval()


class _Anew(LogitsProcessor):
    """Gives each row what a function makes of its logits, tokens and prompt, without memory."""

    stage = Stage.GUIDANCE

    def process(self, logits, rows):
        found = [
            type(self).score(line[None], row.tokens, row.prompt)[0]
            for line, row in zip(logits, rows.records, strict=True)
        ]
        return torch.stack(found)


def _anew(score):
    return type("Anew", (_Anew,), {"score": staticmethod(score), "__module__": __name__})()


def _logits_of(model, tokens):
    with torch.no_grad():
        return model(torch.tensor([tokens])).logits[:, -1]


@pytest.fixture(scope="session")
def build():
    """Return what makes a model of the tiny tokenizer's vocabulary."""
    return _build


@pytest.fixture(scope="session")
def anew():
    """Return what makes a processor of `score(logits, tokens, prompt)`, called row by row."""
    return _anew


@pytest.fixture(scope="session")
def logits_of():
    """Return what gives a model's logits after tokens, from a whole pass."""
    return _logits_of


@pytest.fixture(scope="session")
def expert():
    """Return a generator of six layers, which nothing ends."""
    return Generator(_build(layers=6), tiny_tokenizer(), eos_token_ids=[])


@pytest.fixture(scope="session")
def amateur():
    """Return another one of the same tokens."""
    return Generator(_build(seed=1), tiny_tokenizer(), eos_token_ids=[])


WAYS = {
    "greedy": {"strategy": "greedy"},
    "sample": {"strategy": "sample", "seed": 3, "num_return_sequences": 2, "batch_size": 3},
    "beam": {"strategy": "beam", "num_beams": 3},
    "drafted": {"strategy": "greedy", "drafter": "prompt_lookup"},
}


@pytest.fixture(params=WAYS)
def grow(request):
    """Return what makes ragged prompts grow, in each of several ways, and gives their tokens."""

    def grown(generator, **options):
        prompts = ["Once upon the pond", "a", "the and the and the and the and", "He"]
        options = {**WAYS[request.param], "max_new_tokens": 12, **options}
        return [each.tokens for each in generator.generate(prompts, **options).completions]

    return grown
