"""Continue a prompt: the simplest call, some options, and what comes back.

Run it: python examples/01_generate.py [MODEL]
"""

import sys

from gpt2sdk import Generator

gen = Generator.from_pretrained(*sys.argv[1:] or ["storyteller"])

PROMPT = "Once upon a time"
options = {"temperature": 0.8, "top_p": 0.95}

result = gen.generate(PROMPT, max_new_tokens=60, seed=7, **options)
print(f"A continuation of 60 tokens:\n{PROMPT}{result.text}\n")

(completion,) = result.completions
print(f"It ended because of: {completion.finish_reason}.")
print(f"Its first token ids: {completion.tokens[:5]}.")
print(f"Its cost: {result.usage.model_calls} model calls, {result.usage.seconds:.2f} s.")

again = gen.generate(PROMPT, max_new_tokens=60, seed=7, **options)
print(f"The same seed gives the same text: {again.text == result.text}.")

print("\nThree continuations with no seed given, so these are new every time:")
result = gen.generate(PROMPT, max_new_tokens=20, num_return_sequences=3, **options)
for completion in result.completions:
    print(f"  {completion.sample_index}: {completion.text!r}")
print(f"The seed that was drawn is recorded: {result.options['seed']}.")
