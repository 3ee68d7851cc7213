"""Ask how likely text is: the tokens a call picked, and a text of your own.

Run it: python examples/08_logprobs_and_perplexity.py [MODEL]
"""

import math
import sys
from tempfile import TemporaryDirectory

import torch

from gpt2sdk import Generator
from gpt2sdk.testing import save_tiny_model

with TemporaryDirectory() as folder:
    if not sys.argv[1:]:
        print("No MODEL was given: this tiny one has random weights, its text is noise.\n")
        save_tiny_model(folder)
    gen = Generator.from_pretrained(*sys.argv[1:] or [folder])
decode = gen.tokenizer.decode
options = {"temperature": 0.7, "top_k": 20, "max_new_tokens": 6, "seed": 7}
(own,) = gen.generate("Once upon a time", logprobs=True, **options).completions
(drawn,) = gen.generate("Once upon a time", logprobs="processed", **options).completions

print("Probability of each token for the model itself, and as it was drawn (logprobs='processed'):")
for token, model, processed in zip(own.tokens, own.logprobs, drawn.logprobs, strict=True):
    print(f"  {decode([token])!r:10} {math.exp(model):.3f} {math.exp(processed):.3f}")
perplexity = math.exp(-sum(own.logprobs) / len(own.logprobs))
print(f"Perplexity of the continuation, exp of the mean of -log p: {perplexity:.1f}")


def score(text: str) -> list[float]:
    """Return the log-probability of every token but the first, from one pass over the text."""
    tokens = torch.tensor([gen.tokenizer.encode(text)], device=gen.model.device)
    with torch.inference_mode():
        logprobs = gen.model(tokens).logits.log_softmax(-1)
    return logprobs[0, :-1].gather(1, tokens[0, 1:, None])[:, 0].tolist()


print("\nPerplexity of texts that are given:")
for text in ("Once upon a time and then", "time a upon Once then and"):
    logprobs = score(text)
    nats = -sum(logprobs)
    bits = nats / math.log(2) / len(text.encode())
    print(f"  {text!r}: {math.exp(nats / len(logprobs)):.1f}, {bits:.2f} bits per byte")
