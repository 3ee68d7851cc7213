"""Run many prompts: rows are refilled as they finish, and each prompt may have its own options.

Run it: python examples/09_batch_and_refill.py [MODEL]
"""

import sys

from gpt2sdk import Generator, each

gen = Generator.from_pretrained(*sys.argv[1:] or ["storyteller"])
names = ("king", "queen", "wolf", "cat", "witch", "miller", "bear", "giant", "fox", "tailor")
prompts = [f"The {name} said" for name in (*names, "prince", "maiden")]
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
    ["Once upon a time", "Once upon a time", "Once upon a time"],
    temperature=[0.2, 0.8, 3.0],
    stop=each([None, ["."], None]),
    max_new_tokens=[12, 40, 12],
    seed=7,
)
for completion in result.completions:
    print(f"  {completion.finish_reason:11} {completion.text!r}")
