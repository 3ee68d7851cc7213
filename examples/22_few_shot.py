"""State a task by examples, and read the answers: few-shot prompts.

Run it: python examples/22_few_shot.py [MODEL]
"""

import sys

from gpt2sdk import Generator
from gpt2sdk_evaluation import FewShot

gen = Generator.from_pretrained(*sys.argv[1:] or ["storyteller"])

task = FewShot(
    instruction="The opposite of each word:",
    examples=[("hot", "cold"), ("big", "small"), ("happy", "sad"), ("day", "night")],
    input_prefix="",
    output_prefix=" -> ",
    separator="\n",
)
questions = {"up": "down", "old": "young", "open": "closed"}
prompts = [task.prompt(word) for word in questions]
print(f"The last prompt:\n{prompts[-1]}\n")

result = gen.generate(prompts, strategy="greedy", stop=task.stop, max_new_tokens=10)
for (word, wished), text in zip(questions.items(), result.texts, strict=True):
    print(f"{word:5} {task.answer(text)!r}, wished for {wished!r}")

print("\nWhich of some answers does the model find likeliest?")
choices = [f" {wished}" for wished in questions.values()]
for (word, wished), prompt in zip(questions.items(), prompts, strict=True):
    scores = gen.score([prompt + choice for choice in choices])
    costs = {choice.strip(): score.nats for choice, score in zip(choices, scores, strict=True)}
    likeliest = min(costs, key=lambda choice: costs[choice])
    print(f"  {word:5} {likeliest:7} {'as wished' if likeliest == wished else ''}")
