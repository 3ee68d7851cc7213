"""Compose what happens to the logits: options, a list in your order, a function, a foreign object.

Run it: python examples/03_compose_a_chain.py [MODEL]
"""

import sys
from importlib.util import find_spec

import torch

from gpt2sdk import Generator, Logits, Rows
from gpt2sdk.components import MinP, Temperature
from gpt2sdk.testing import reweigh

gen = Generator.from_pretrained(*sys.argv[1:] or ["storyteller"])
vocabulary = [gen.tokenizer.decode([token]) for token in range(gen.model.vocab_size)]
with_e = [token for token, text in enumerate(vocabulary) if "e" in text.lower()]


def lipogram(logits: Logits, rows: Rows) -> Logits:
    """Rule out every e for twenty tokens: any function of logits and rows is a processor."""
    early = rows.lengths - rows.prompt_lengths < 20
    logits[early.nonzero(), with_e] = -torch.inf
    return logits


def show(title: str, **options: object) -> None:
    """Print what a call with these options makes."""
    text = gen.generate("Once upon a time", max_new_tokens=30, seed=7, **options).text
    print(f"{title}:\n  {text!r}")


show("Options, put in order by their stages", temperature=0.8, min_p=0.1, repetition_penalty=1.2)
show("The same in another order", repetition_penalty=1.2, min_p=0.1, temperature=0.8)

hot = Temperature(temperature=3.0)
cut = MinP(min_p=0.2)
print("\nA list keeps your order, and here that matters. Of 0.6, 0.3, 0.1 are left:")
for name, chain in {"heat, then cut": [hot, cut], "cut, then heat": [cut, hot]}.items():
    weights = [0.6, 0.3, 0.1]
    for processor in chain:
        weights = reweigh(processor, weights)
    print(f"  {name}: {weights}")
    show(f"  {name}", processors=chain)

show(
    "\nA function that allows no e at first, among components", processors=[lipogram, cut], top_k=9
)
if find_spec("transformers"):
    from transformers import NoRepeatNGramLogitsProcessor

    show("A transformers object among them", processors=[NoRepeatNGramLogitsProcessor(2), cut])
else:
    print("With transformers installed, its LogitsProcessor objects can stand in the list too.")
