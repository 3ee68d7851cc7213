"""State a task by examples, and read the answers: few-shot prompts.

Run it: python examples/22_few_shot.py [MODEL]
Expect nothing of storyteller here: of 5.9 million parameters and some fairy tales its answers are
no better than guesses. The folder of a larger model shows the difference.
"""

import sys

from gpt2sdk import Generator
from gpt2sdk_evaluation import FewShot

gen = Generator.from_pretrained(*sys.argv[1:] or ["storyteller"])

task = FewShot(
    instruction="Who goes with whom",
    examples=[("king", "queen"), ("father", "mother"), ("boy", "girl"), ("uncle", "aunt")],
    input_prefix="The ",
    output_prefix=" and the ",
    separator=".\n",
)
questions = {"prince": "princess", "brother": "sister", "son": "daughter", "man": "woman"}
prompts = [task.prompt(word) for word in questions]
print(f"The last prompt:\n{prompts[-1]}\n")

result = gen.generate(prompts, strategy="greedy", stop=task.stop, max_new_tokens=10)
for (word, wished), text in zip(questions.items(), result.texts, strict=True):
    print(f"{word:7} {task.answer(text)!r}, wished for {wished!r}")

print("\nWhich of these answers does the model find likeliest?")
choices = [f" {wished}" for wished in questions.values()]
right = 0
for (word, wished), prompt in zip(questions.items(), prompts, strict=True):
    scores = gen.score([prompt + choice for choice in choices])
    costs = {choice.strip(): score.nats for choice, score in zip(choices, scores, strict=True)}
    likeliest = min(costs, key=lambda choice: costs[choice])
    right += likeliest == wished
    print(f"  {word:7} {likeliest:8} {'as wished' if likeliest == wished else ''}")
print(f"{right} of {len(questions)} are as wished; guessing finds one of {len(choices)}.")
