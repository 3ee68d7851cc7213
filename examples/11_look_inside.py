"""Look inside the model while it writes, and change what it computes.

Run it: python examples/11_look_inside.py [MODEL]
"""

import sys
from functools import partial

import torch

from gpt2sdk import Generator

gen = Generator.from_pretrained(*sys.argv[1:] or ["storyteller"])
PROMPT = "Once upon a time"
plain = gen.generate(PROMPT, strategy="greedy", max_new_tokens=12)
print(f"Greedily: {plain.text!r}")

print("\nWhat each part adds to the residual stream while it writes, as a mean length:")
with gen.model.capture("h.*.attn", "h.*.mlp") as activations:
    gen.generate(PROMPT, strategy="greedy", max_new_tokens=12)
for name, outputs in activations.items():
    lengths = torch.cat(outputs).norm(dim=-1)  # a tensor per model call, [fed tokens, width]
    print(f"  {name:9} {lengths.mean():6.2f} over {len(lengths)} tokens in {len(outputs)} calls")

print("\nWithout one of them:")
for name in activations:
    with gen.model.patch(name, torch.zeros_like):
        text = gen.generate(PROMPT, strategy="greedy", max_new_tokens=12).text
    print(f"  {name:9} {text!r}")

print("\nPushed towards what sets `she` apart from `he`:")
she, he = gen.model.wte(torch.tensor(gen.tokenizer.encode(" she he"))).detach()
towards = she - he
last = f"h.{gen.model.config.n_layer - 1}"
for strength in (0.0, 4.0, 8.0):
    with gen.model.patch(last, partial(torch.add, strength * towards)):
        text = gen.generate(PROMPT, strategy="greedy", max_new_tokens=12).text
    print(f"  {strength}: {text!r}")

again = gen.generate(PROMPT, strategy="greedy", max_new_tokens=12)
print(f"\nAfterwards all is as it was: {again.text == plain.text}")
