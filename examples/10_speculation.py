"""Save model calls where text repeats itself: a drafter proposes, and the output stays the same.

Run it: python examples/10_speculation.py [MODEL]
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
LIST = "one: up, two: upon, three: up, four: upon, one: up, two: upon, three: up, four:"


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


compare("Greedily written text soon repeats itself:", "Once upon a time", strategy="greedy")
compare("Drawn, from a prompt that repeats itself:", LIST, temperature=0.2, seed=7)
compare("Two rows, each at its own pace:", [LIST, "Once upon a time"], temperature=0.5, seed=7)
compare("Text that never repeats costs little more:", "Once", temperature=2.0, seed=7)
