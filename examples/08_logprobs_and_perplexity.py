"""Ask how likely text is: the tokens a call picked, and a text of your own.

Run it: python examples/08_logprobs_and_perplexity.py [MODEL]
"""

import math
import sys

from gpt2sdk import Generator

gen = Generator.from_pretrained(*sys.argv[1:] or ["storyteller"])
decode = gen.tokenizer.decode
options = {"temperature": 0.7, "top_k": 20, "max_new_tokens": 6, "seed": 7}
(own,) = gen.generate("Once upon a time", logprobs=0, **options).completions

print("Probability of each token for the model itself, and as it was drawn:")
for token, model, processed in zip(own.tokens, own.logprobs, own.processed_logprobs, strict=True):
    print(f"  {decode([token])!r:10} {math.exp(model):.3f} {math.exp(processed):.3f}")
perplexity = math.exp(-sum(own.logprobs) / len(own.logprobs))
print(f"Perplexity of the continuation, exp of the mean of -log p: {perplexity:.1f}")

print("\nPerplexity of texts that are given:")
for text in ("Once upon a time and then", "then time and a upon Once"):
    score = gen.score(text)
    print(f"  {text!r}: {score.perplexity:.1f}, {score.bits_per_byte:.2f} bits per byte")

score = gen.score("Once upon a time and then")
surprise, token = max(zip((-each for each in score.logprobs), score.texts, strict=True))
print(f"What the model expected least of the first one: {token!r}, {surprise:.1f} nats")
