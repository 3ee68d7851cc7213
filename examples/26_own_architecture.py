"""An architecture in one file: a model of letter triples, saved, loaded and used like a GPT-2.

Run it: python examples/26_own_architecture.py
"""

import sys
from pathlib import Path

import torch

from gpt2sdk import Architecture, Generator, Scores, hookimpl
from gpt2sdk.testing import Letters, TableCache

TEXT = "the cat sat. the rat saw the cat. the cat ran at the rat and the rat ran. that was that. "


class Trigram(Architecture):
    """A letter depends on the two before it. The field is a key of `config.json`."""

    model_types = ("trigram",)
    vocab_size: int

    def make_model(self, dtype: torch.dtype) -> torch.nn.Module:  # noqa: D102
        return TrigramModel(self.vocab_size)

    def tokenizer(self, folder: Path) -> Letters:  # noqa: D102
        return Letters()


class TrigramModel(torch.nn.Module):
    """What a session asks of a model. Its weights are the logits after each pair of letters."""

    context_length, layers, device = 10_000, 0, torch.device("cpu")
    make_cache = TableCache  # What each slot was fed, as a list.

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.vocab_size = vocab_size
        self.table = torch.nn.Parameter(torch.full((vocab_size,) * 3, -9.0))

    def score(self, cache, tokens, keep, hidden_states=()) -> Scores:  # noqa: ANN001, D102
        pairs = []
        for slot, fed, kept in zip(cache.slots, tokens, keep, strict=True):
            slot.extend(fed)  # A first letter has an `a` before it.
            pairs += [([0, *slot][end], slot[end]) for end in range(len(slot) - kept, len(slot))]
        first, second = torch.tensor(pairs, dtype=torch.long).view(-1, 2).T
        logits = self.table.detach()[first, second]
        return Scores(logits, dict.fromkeys(hidden_states, logits))


gpt2sdk_components = hookimpl(lambda: (Trigram,), specname="gpt2sdk_components")

if __name__ == "__main__":
    model, ids = TrigramModel(28), Letters().encode(TEXT)
    model.table.data[ids[:-2], ids[1:-1], ids[2:]] = 0.0
    Generator(model, Letters(), architecture=Trigram(vocab_size=28)).save_pretrained("trigram")
    gen = Generator.from_pretrained("trigram", plugins=[sys.modules[__name__]])
    for options in ({"seed": 7}, {"seed": 7, "bad_words": ["rat"]}, {"strategy": "beam"}):
        print(f"{options}: {gen.generate('the ', max_new_tokens=40, **options).text!r}")
