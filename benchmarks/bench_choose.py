"""`choose` on 1,000 prompts with four options each, beside scoring each text whole.

`whole` scores prompt and option as one text with `Generator.score`, one option of all prompts at a
time, so that no two texts of a call have their prompt in common. `difference` is the largest
between the two ways' probabilities.

    python benchmarks/bench_choose.py [--model storyteller] [--rounds 3]
"""

import argparse
from functools import partial

import torch
from record import interleave, save

from gpt2sdk import Generator

PROMPTS = 1000
NAMES = ("king", "queen", "wolf", "miller", "tailor", "fisherman", "giant", "witch", "goose")
PLACES = ("forest", "castle", "river", "village", "mill", "garden", "mountain")
CASES = {
    "labels": (" yes", " no", " perhaps", " never"),
    "phrases": (" went home", " went home again", " fell asleep at once", " wept bitterly"),
}


def prompts() -> list[str]:
    """Return prompts that have little in common with one another."""
    return [
        f"{number} days later the {NAMES[number % len(NAMES)]} came to the "
        f"{PLACES[number % len(PLACES)]}, where an old {NAMES[number % 5]} sat by the fire and "
        "asked whether it was true what the people said. And then at last the traveller"
        for number in range(PROMPTS)
    ]


def choose(
    gen: Generator, texts: list[str], options: tuple[str, ...], found: dict[str, torch.Tensor]
) -> None:
    """Note the probabilities of decisions."""
    decisions = gen.choose(texts, options)
    found["choose"] = torch.tensor([each.probabilities for each in decisions], dtype=torch.float64)


def whole(
    gen: Generator, texts: list[str], options: tuple[str, ...], found: dict[str, torch.Tensor]
) -> None:
    """Note the probabilities that scores of whole texts come to."""
    columns = [
        [-each.nats for each in gen.score([text + option for text in texts], bos=False)]
        for option in options
    ]
    found["whole"] = torch.tensor(columns, dtype=torch.float64).T.softmax(-1)


def main() -> None:
    """Time both ways on the same prompts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="storyteller")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    gen = Generator.from_pretrained(given.model, device="cpu")
    texts = prompts()
    rows = []
    for case, options in CASES.items():
        found: dict[str, torch.Tensor] = {}
        contestants = {
            "whole": partial(whole, gen, texts, options, found),
            "choose": partial(choose, gen, texts, options, found),
        }
        seconds = interleave(contestants, given.rounds)
        rows.append(
            {
                "case": case,
                "prompts": len(texts),
                "options": len(options),
                "whole_s": round(seconds["whole"], 3),
                "choose_s": round(seconds["choose"], 3),
                "times_whole": round(seconds["whole"] / seconds["choose"], 2),
                "difference": float((found["whole"] - found["choose"]).abs().max()),
            }
        )
    save("choose", rows)


if __name__ == "__main__":
    main()
