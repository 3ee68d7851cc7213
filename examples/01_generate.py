"""Continue a prompt: the simplest call, some options, and what comes back.

Run it: python examples/01_generate.py [MODEL]
"""

import sys
from tempfile import TemporaryDirectory

from gpt2sdk import Generator
from gpt2sdk.testing import save_tiny_model

with TemporaryDirectory() as folder:
    if not sys.argv[1:]:
        print("No MODEL was given: this tiny one has random weights, its text is noise.\n")
        save_tiny_model(folder)
    gen = Generator.from_pretrained(*sys.argv[1:] or [folder])

result = gen.generate("Once upon a time", max_new_tokens=20, temperature=0.8, top_p=0.95, seed=7)
print("A continuation of 20 tokens:")
print(f"  {result.text!r}")

(completion,) = result.completions
print(f"It ended because of: {completion.finish_reason}.")
print(f"Its first token ids: {completion.tokens[:5]}.")
print(f"Its cost: {result.usage.model_calls} model calls, {result.usage.seconds:.2f} s.")

again = gen.generate("Once upon a time", max_new_tokens=20, temperature=0.8, top_p=0.95, seed=7)
print(f"The same seed gives the same text: {again.text == result.text}.")

print("\nThree continuations with no seed given, so these are new every time:")
result = gen.generate("Once upon a time", max_new_tokens=8, num_return_sequences=3)
for completion in result.completions:
    print(f"  {completion.sample_index}: {completion.text!r}")
print(f"The seed that was drawn is recorded: {result.options['seed']}.")
