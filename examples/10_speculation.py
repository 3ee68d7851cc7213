"""Save model calls where text repeats itself: a drafter proposes, and the output stays the same.

Run it: python examples/10_speculation.py [MODEL]
"""

import sys

from gpt2sdk import Generator

gen = Generator.from_pretrained(*sys.argv[1:] or ["storyteller"])
PROMPT = "Once upon a time"
RHYME = """'Who are you?' said the wolf. 'I am the king,' said the cat.
'Who are you?' said the bear. 'I am the king,' said the cat.
'Who are you?' said the"""


def compare(title: str, prompt: str | list[str], **options: object) -> None:
    """Print what a call costs without and with a drafter."""
    print(title)
    plain = gen.generate(prompt, max_new_tokens=60, **options)
    drafted = gen.generate(prompt, max_new_tokens=60, drafter="prompt_lookup", **options)
    for name, usage in {"plain": plain.usage, "prompt_lookup": drafted.usage}.items():
        print(
            f"  {name:13} {usage.model_calls:3} model calls, {usage.tokens_fed} tokens fed,",
            f"{usage.accepted} of {usage.drafted} proposals picked",
        )
    print(f"  the same text: {plain.texts == drafted.texts}")


compare("Greedily, from a prompt that repeats itself:", RHYME, strategy="greedy")
compare("Drawn, from the same prompt:", RHYME, temperature=0.2, seed=7)
compare("Two rows, each at its own pace:", [RHYME, PROMPT], temperature=0.5, seed=7)
compare("Text that never repeats costs little more:", PROMPT, temperature=2.0, seed=7)
