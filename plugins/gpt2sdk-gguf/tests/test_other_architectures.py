"""GGUF files of any architecture are read that says what they call its sizes and tensors."""

import pytest
import torch
from torch import nn
from typing_extensions import override

from gpt2sdk import (
    Architecture,
    CheckpointError,
    Generator,
    PluginConflictError,
    Scores,
    TranslatedFile,
    hookimpl,
)
from gpt2sdk.testing import TableCache


class Bigram(Architecture):
    """A token depends on the one before it."""

    model_types = ("bigram",)
    vocab_size: int
    width: int
    scale: float
    eos_token_id: int | None = None

    @override
    def make_model(self, dtype):
        return BigramModel(self)


class Speaking(Bigram):
    """Says what GGUF files call its own."""

    name = "speaking_bigram"

    @classmethod
    @override
    def translate(cls, words):
        if (words.format, words.model_type) != ("gguf", "bigram"):
            return None
        config = {
            "model_type": "bigram",
            "vocab_size": words.tensors["token_embd.weight"].shape[0],
            "width": words.whole_number("bigram.embedding_length"),
            "scale": words.number("bigram.scale"),
        }
        return TranslatedFile(
            config, {"token_embd.weight": "embed.weight", "output.weight": "out.weight"}
        )


class BigramModel(nn.Module):
    """What comes after a token."""

    context_length, layers, device = 50, 0, torch.device("cpu")
    make_cache = TableCache

    def __init__(self, sizes):
        super().__init__()
        self.vocab_size, self.scale = sizes.vocab_size, sizes.scale
        self.embed = nn.Embedding(sizes.vocab_size, sizes.width)
        self.out = nn.Linear(sizes.width, sizes.vocab_size, bias=False)

    @torch.no_grad()
    def score(self, cache, tokens, keep, hidden_states=()):
        read = []
        for slot, fed, kept in zip(cache.slots, tokens, keep, strict=True):
            slot.extend(fed)
            read += slot[len(slot) - kept :]
        x = self.embed(torch.tensor(read, dtype=torch.long)) * self.scale
        return Scores(self.out(x).float(), dict.fromkeys(hidden_states, x))


def offering(*components):
    class Plugin:
        @hookimpl
        def gpt2sdk_components(self):
            return components

    return Plugin()


@pytest.fixture
def matrices(small):
    torch.manual_seed(2)
    size = small[1].vocab_size
    return torch.randn(size, 32), torch.randn(size, 32)


def test_an_architecture_translates_its_sizes_and_names(write_bigram, matrices, tokenizer):
    path = write_bigram(*matrices)
    gen = Generator.from_pretrained(path, plugins=[offering(Speaking)])
    (token,) = tokenizer.encode(" the")
    best = (matrices[1] @ matrices[0][token]).argmax().item()

    assert (32, 0.1) == (gen.architecture.width, gen.architecture.scale)
    assert tokenizer.eos_token_id == gen.architecture.eos_token_id
    assert (best,) == gen.generate([[token]], strategy="greedy", max_new_tokens=1).completions[
        0
    ].tokens


def test_one_that_says_nothing_is_refused_by_its_name(write_bigram, matrices):
    path = write_bigram(*matrices)
    with pytest.raises(CheckpointError, match="the architecture bigram does not say what gguf"):
        Generator.from_pretrained(path, plugins=[offering(Bigram)])


def test_one_that_nobody_has_is_an_error_that_lists_what_there_is(write_bigram, matrices):
    path = write_bigram(*matrices)
    with pytest.raises(CheckpointError, match="says model_type='bigram', and no installed"):
        Generator.from_pretrained(path)


def test_two_that_translate_a_file_are_a_conflict(write_bigram, matrices):
    class Rival(Speaking):
        """Another one."""

        name = "rival"

    path = write_bigram(*matrices)
    with pytest.raises(PluginConflictError, match="several architectures translate it"):
        Generator.from_pretrained(path, plugins=[offering(Speaking, Rival)])
