"""A small text with its tokenizer, and a model to train on it."""

import pytest
import torch

from gpt2sdk import GPT2Config
from gpt2sdk.gpt2 import GPT2
from gpt2sdk_train import TrainingSettings, train_tokenizer

LINES = ["the cat sat on the mat", "the dog ran to the cat", "a bird sang in the old tree"]


@pytest.fixture(scope="session")
def documents():
    """Return a dozen documents that repeat themselves, so that something can be learned."""
    return [". ".join((LINES[number % 3], LINES[(number + 1) % 3])) + "." for number in range(12)]


@pytest.fixture(scope="session")
def tokenizer(documents):
    """Return a tokenizer of the text."""
    return train_tokenizer(documents, vocab_size=290)


@pytest.fixture(scope="session")
def config(tokenizer):
    """Return the sizes of a model that trains in no time."""
    return GPT2Config(
        vocab_size=tokenizer.vocab_size,
        n_positions=16,
        n_embd=16,
        n_layer=2,
        n_head=2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )


@pytest.fixture
def model(config):
    """Return a fresh model, with dropout everywhere."""
    return GPT2(config)


@pytest.fixture
def settings():
    """Return settings for a dozen steps."""
    return TrainingSettings(
        steps=12, batch_size=4, learning_rate=1e-2, warmup_steps=2, save_every=4, evaluate_every=4
    )


@pytest.fixture
def weights_of():
    """Return a function that copies a model's weights into one vector."""
    return lambda model: torch.cat([each.flatten() for each in model.state_dict().values()])
