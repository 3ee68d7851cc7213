"""Put a model into numbers: bits per byte of a text, and metrics of what it writes.

Run it: python examples/23_evaluate.py [MODEL [FILE]]
`gpt2sdk score MODEL --file FILE` and `gpt2sdk measure` do the same.
"""

import math
import sys
from pathlib import Path

from gpt2sdk import Generator
from gpt2sdk_evaluation import measure

TALE = """Once upon a time there lived a fisherman and his wife, and they had a cat that could
speak. Every evening, when the boat came home, the cat sat down on the stones and asked, 'What has
the sea given us?' And the fisherman answered, 'Enough for three.' But one winter there was ice on
the water, and the nets were empty for seven days. Then the cat put on the fisherman's boots, and
walked over the ice to the house of the old king of the fishes. 'Give us our supper,' it said, 'or
I will tell my forty brothers where you live.' The king laughed so much that the ice broke in two,
and from that day on there was never an empty net in the village.
"""

model, *files = sys.argv[1:] or ["storyteller"]
gen = Generator.from_pretrained(model)
text = Path(files[0]).read_text(encoding="utf-8") if files else " ".join(TALE.split())

score = gen.score(text)
print(f"{score.token_count} tokens, {score.nbytes} bytes:")
print(f"  {score.bits_per_byte:.3f} bits per byte, perplexity {score.perplexity:.1f}")

costs = zip(score.logprobs, score.texts, range(score.token_count), strict=True)
print("\nWhere the model is surprised most, with what stands before:")
for logprob, piece, place in sorted(costs)[:3]:
    before = "".join(score.texts[max(0, place - 8) : place])
    print(f"  {before!r} + {piece!r}: p = {math.exp(logprob):.1e}")

print("\nThe shorter the window, the less a prediction sees:")
for window in (8, 32, gen.model.context_length):
    print(f"  {window:5} {gen.score(text, window=window).bits_per_byte:.3f} bits per byte")

print("\nWhat it writes, at several temperatures:")
print(f"  {'':12} {'distinct-1':>10} {'repetition':>10} {'self-BLEU':>10}")
calls = {"num_return_sequences": 6, "max_new_tokens": 60, "seed": 7}
for temperature in (0.1, 0.7, 1.3):
    found = measure(gen.generate("Once upon a time", temperature=temperature, **calls).texts)
    numbers = (found.distinct_1, found.repetition_4, found.self_bleu)
    print(f"  {temperature:<12} " + " ".join(f"{number:10.3f}" for number in numbers))
