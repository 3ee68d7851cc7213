"""lm-evaluation-harness: 500 loglikelihood requests at batch 32, by its `hf` model and by ours.

Requests are 125 questions with four answers of a few words each. `few-shot` puts five solved
questions before each of them, the same for all, as the harness does with `--num_fewshot 5` and a
fixed sampler; `zero-shot` puts nothing there. `difference` is the largest between the two models'
log-likelihoods, and `greedy_differs` how often they disagree on whether an answer is greedy.

    python benchmarks/bench_lm_eval.py [--model storyteller] [--rounds 3]
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from record import interleave, save

from gpt2sdk import Generator

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from lm_eval.api.model import TemplateLM

QUESTIONS, SHOTS, BATCH = 125, 5, 32
NAMES = ("king", "queen", "wolf", "miller", "tailor", "fisherman", "giant", "witch", "goose")
PLACES = ("forest", "castle", "river", "village", "mill", "garden", "mountain")
THINGS = ("golden ring", "silver key", "loaf of bread", "sack of corn", "little bird")
ANSWERS = (" in the {place}", " nowhere at all", " under the old stone bridge", " at home")


def question(number: int) -> tuple[str, str]:
    """Return a question, and where in it things are."""
    name, place = NAMES[number % len(NAMES)], PLACES[number % len(PLACES)]
    thing = THINGS[number % len(THINGS)]
    text = (
        f"Tale {number}. Once upon a time there was a {name} who went into the {place} with a "
        f"{thing}, and there the {name} lost it and wept bitterly.\n"
        f"Where did the {name} lose the {thing}? The {name} lost it"
    )
    return text, place


def requests(shots: int) -> list[tuple[str, str]]:
    """Return 500 pairs of context and continuation."""
    solved = []
    for number in range(1000, 1000 + shots):
        text, place = question(number)
        solved.append(text + ANSWERS[0].format(place=place) + ".\n\n")
    prefix = "".join(solved)
    pairs = []
    for number in range(QUESTIONS):
        text, place = question(number)
        pairs += [(prefix + text, answer.format(place=place)) for answer in ANSWERS]
    return pairs


def answer(
    name: str,
    model: "TemplateLM",
    asked: "list[Instance]",
    found: dict[str, list[tuple[float, bool]]],
) -> None:
    """Let a model answer all requests, and note what it says."""
    found[name] = model.loglikelihood(asked, disable_tqdm=True)


def main() -> None:
    """Time both models on the same requests."""
    try:
        from lm_eval.api.instance import Instance  # noqa: PLC0415 - may be missing
        from lm_eval.models.huggingface import HFLM  # noqa: PLC0415 - likewise
    except ImportError as error:
        print(f"left out: {error}; pip install 'gpt2sdk-lm-eval[harness]' transformers")
        return
    from gpt2sdk_lm_eval import GPT2SDKLM  # noqa: PLC0415 - brings the harness

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="storyteller")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        gen = Generator.from_pretrained(given.model, device="cpu")
        gen.save_pretrained(Path(folder) / "model")
        theirs = HFLM(pretrained=f"{folder}/model", device="cpu", batch_size=BATCH)
        ours = GPT2SDKLM(gen, batch_size=BATCH)
        for case, shots in (("few-shot", SHOTS), ("zero-shot", 0)):
            pairs = requests(shots)
            asked = [Instance("loglikelihood", {}, pair, at) for at, pair in enumerate(pairs)]
            found: dict[str, list[tuple[float, bool]]] = {}
            contestants = {
                "hf": partial(answer, "hf", theirs, asked, found),
                "gpt2sdk": partial(answer, "gpt2sdk", ours, asked, found),
            }
            seconds = interleave(contestants, given.rounds)
            both = list(zip(found["hf"], found["gpt2sdk"], strict=True))
            rows.append(
                {
                    "case": case,
                    "requests": len(pairs),
                    "context_tokens": len(gen.tokenizer.encode(pairs[0][0])),
                    "hf_s": round(seconds["hf"], 3),
                    "gpt2sdk_s": round(seconds["gpt2sdk"], 3),
                    "times_hf": round(seconds["hf"] / seconds["gpt2sdk"], 2),
                    "difference": max(abs(one[0] - other[0]) for one, other in both),
                    "greedy_differs": sum(one[1] != other[1] for one, other in both),
                }
            )
    save("lm_eval", rows)


if __name__ == "__main__":
    main()
