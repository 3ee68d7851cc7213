"""Put a model into numbers: bits per byte of a file, and metrics of what it writes.

Run it: python examples/23_evaluate.py [MODEL [FILE]]
`gpt2sdk score MODEL --file FILE` and `gpt2sdk measure` do the same.
"""

import math
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from gpt2sdk import Generator
from gpt2sdk.testing import save_tiny_model
from gpt2sdk_evaluation import measure

with TemporaryDirectory() as folder:
    if not sys.argv[1:]:
        print("No MODEL was given: this tiny one has random weights, its text is noise.\n")
        save_tiny_model(folder)
    gen = Generator.from_pretrained(*sys.argv[1:2] or [folder])

file = Path(sys.argv[2] if sys.argv[2:] else __file__)
text = file.read_text(encoding="utf-8")
score = gen.score(text)
print(f"{file.name}: {score.token_count} tokens, {score.nbytes} bytes")
print(f"  {score.bits_per_byte:.3f} bits per byte, perplexity {score.perplexity:.1f}")

costs = zip(score.logprobs, score.texts, range(score.token_count), strict=True)
print("\nWhere the model is surprised most, with what stands before:")
for logprob, piece, place in sorted(costs)[:3]:
    before = "".join(score.texts[max(0, place - 8) : place])
    print(f"  {before!r} + {piece!r}: p = {math.exp(logprob):.1e}")

print("\nThe shorter the window, the less a prediction sees:")
for window in (16, 64, gen.model.context_length):
    print(f"  {window:5} {gen.score(text, window=window).bits_per_byte:.3f} bits per byte")

print("\nWhat it writes, at several temperatures:")
print(f"  {'':12} {'distinct-1':>10} {'repetition':>10} {'self-BLEU':>10}")
for temperature in (0.1, 0.7, 1.3):
    texts = gen.generate(
        "Once upon a time",
        temperature=temperature,
        num_return_sequences=6,
        max_new_tokens=60,
        seed=7,
    ).texts
    found = measure(texts)
    numbers = (found.distinct_1, found.repetition_4, found.self_bleu)
    print(f"  {temperature:<12} " + " ".join(f"{number:10.3f}" for number in numbers))
