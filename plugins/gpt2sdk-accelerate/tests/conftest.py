"""Models that are placed, and the devices that tests pretend to have."""

import pytest
import torch

from gpt2sdk import GPT2Config, Part
from gpt2sdk.gpt2 import GPT2

MB = 1_000_000


@pytest.fixture
def gpt2_parts():
    """The parts of GPT-2, 124M, in float32."""
    block = Part("h", 28_351_488, 28_351_488, 6144)
    return [
        Part("wte", 154_389_504, 154_389_504),
        Part("wpe", 3_145_728, 3_145_728),
        *[Part(f"h.{layer}", block.nbytes, block.stored_nbytes, 6144) for layer in range(12)],
        Part("ln_f", 6144, 6144, vectors=True),
    ]


@pytest.fixture
def build():
    """Return a function that makes the same small model each time."""

    def build(**changes):
        config = GPT2Config(
            vocab_size=100,
            n_positions=64,
            n_embd=48,
            n_layer=4,
            n_head=4,
            initializer_range=0.2,
            bos_token_id=0,
            eos_token_id=0,
        )
        return GPT2(config.model_copy(update=changes)).eval()

    return build


@pytest.fixture
def parts_of():
    """Return a function that lists a model's parts, as a loader does."""

    def parts_of(model):
        names = ["wte", "wpe", *(f"h.{layer}" for layer in range(model.layers)), "ln_f"]
        if not model.config.tie_word_embeddings:
            names.append("lm_head")
        sizes = {
            name: sum(tensor.nbytes for tensor in model.get_submodule(name).state_dict().values())
            for name in names
        }
        cache = 8 * model.config.n_embd
        return [
            Part(name, size, size, cache if name.startswith("h.") else 0, vectors=name == "ln_f")
            for name, size in sizes.items()
        ]

    return parts_of


@pytest.fixture
def stow():
    """Return a function that hands a model's parts to a residency, and the model to its loop."""

    def stow(model, residency, parts):
        for part in parts:
            residency.stow(part.name, model.get_submodule(part.name))
        model.set_residency(residency)

    return stow


@pytest.fixture
def logits():
    """Return a function that feeds a model twice."""

    def logits(model):
        cache = model.make_cache(2)
        rows = [[3, 1, 4, 1, 5], [2, 7]]
        first = model.score(cache, rows, [5, 2]).logits
        second = model.score(cache, [[9], [9]], [1, 1]).logits
        return torch.cat([first, second])

    return logits
