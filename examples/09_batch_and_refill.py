"""Run many prompts: rows are refilled as they finish, and each prompt may have its own options.

Run it: python examples/09_batch_and_refill.py [MODEL]
"""

import sys
from tempfile import TemporaryDirectory

from gpt2sdk import Generator, each
from gpt2sdk.testing import save_tiny_model

with TemporaryDirectory() as folder:
    if not sys.argv[1:]:
        print("No MODEL was given: this tiny one has random weights, its text is noise.\n")
        save_tiny_model(folder)
    gen = Generator.from_pretrained(*sys.argv[1:] or [folder])
prompts = [f"Once upon a time number {number}" for number in range(12)]
lengths = [5 + 7 * (number % 4) for number in range(12)]
seeds = list(range(100, 112))
result = gen.generate(prompts, max_new_tokens=lengths, seed=seeds, batch_size=4)

print(f"12 prompts of {min(lengths)} to {max(lengths)} new tokens went through 4 rows:")
print(f"  {result.usage.new_tokens} tokens in {result.usage.model_calls} model calls;")
waiting = sum(max(lengths[at : at + 4]) for at in range(0, 12, 4))
print(f"  four at a time, waiting for the longest, would have taken {waiting}.")

print(
    "\nA row does not know its neighbours. With its own seed, a prompt alone gives the same text:"
)
for place in (0, 11):
    alone = gen.generate(prompts[place], max_new_tokens=lengths[place], seed=seeds[place])
    print(f"  prompt {place}: {alone.text == result.texts[place]}")

print("\nA list of numbers, or each() of anything, gives every prompt its own value:")
result = gen.generate(
    ["Once", "Once", "Once"],
    temperature=[0.2, 1.0, 3.0],
    stop=each([None, ["\n"], None]),
    max_new_tokens=[4, 12, 12],
    seed=7,
)
for completion in result.completions:
    print(f"  {completion.finish_reason:11} {completion.text!r}")
