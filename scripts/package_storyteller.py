"""Make the storyteller's distribution of a finished training run: model folder and model card.

    python scripts/package_storyteller.py corpus output [--variants folder …]

`output` is what `scripts/train_storyteller.py` left; the variants are further runs of it, with
other sizes, that stand in the card for comparison. The samples in the card are the first ones drawn
at the seeds it names.
"""

import argparse
import json
import math
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from gpt2sdk import Generator
from gpt2sdk_train import read_documents

MODEL = Path(__file__).parents[1] / "plugins/gpt2sdk-storyteller/src/gpt2sdk_storyteller/model"
PROMPTS = (
    "Once upon a time",
    "There was once a poor woodcutter who",
    "The princess looked out of the window and",
    '"Who are you?" asked the prince.',
    "In the middle of the forest",
)
STEP_TOKENS = 16 * 512
OPTIONS = {"temperature": 0.8, "top_p": 0.95, "max_new_tokens": 120}

CARD = """---
language: en
license: mit
library_name: gpt2sdk
tags: [gpt2, text-generation, fairy-tales]
---

# Storyteller

A GPT-2 of {parameters:.1f} million parameters that tells fairy tales in English.
gpt2sdk trained it from scratch, so that there is a model to try things with where no other can be
downloaded. transformers loads it as well.

## Figures

| | |
| --- | --- |
| architecture | GPT-2: {layers} blocks, width {width}, {heads} heads, context {context} tokens |
| vocabulary | {vocabulary} tokens, byte-level BPE trained on the same text |
| bits per byte on unseen tales | {bits_per_byte:.3f} |
| perplexity per token on them | {perplexity:.1f} |
| weights | {megabytes:.1f} MB, bfloat16; computed in float32 |

The unseen tales are one whole book (*The Olive Fairy Book*), scored tale by tale in windows of
{context} tokens that move by half: `gpt2sdk score storyteller --file valid.txt --documents`. It was
not trained on; the checkpoint with the best score on it was kept.

## Data

{epochs:.1f} times through 15 books of fairy tales of Project Gutenberg, 8.5 MB: Joseph Jacobs'
*Celtic*, *English* and *Indian Fairy Tales*, the brothers Grimm's *Household Tales*, and eleven of
Andrew Lang's coloured fairy books. They are in the public domain in the USA.

## Training

```sh
OMP_NUM_THREADS=1 torchrun --nproc_per_node 2 scripts/train_storyteller.py corpus output
python scripts/package_storyteller.py corpus output
```

{steps} steps of 16 × 512 tokens, matrices with Muon and the rest with AdamW at 0.003, 50 steps of
warm-up and a linear cool-down over the last 40 %, products in bfloat16, dropout 0.1 outside
attention, seed 1. On two CPU cores: {minutes:.0f} minutes beside other work, {speed:,.0f} tokens
per second in the median step.

How bits per byte fell on the unseen tales, in windows that stand side by side:

| step | epochs | bits per byte |
| --- | --- | --- |
{curve}
{variants}
## Limits

A prompt ends with a word or a full stop: a space or an empty line at its end has tokens of its own,
after which no tale it has read goes on. It knows no facts, keeps a thread for some sentences, and
ends where the window ends. The tales are those of the nineteenth century, with their kings,
violence and prejudices, and so is what it says.

## Samples

The first five that were drawn, each at its seed, with `{options}`:

{samples}"""

VARIANTS = """
How size and vocabulary change that, after {steps} steps with their own warm-up and cool-down
({epochs:.1f} epochs for 4,096 tokens):

| parameters | width | blocks | vocabulary | bits per byte |
| --- | --- | --- | --- | --- |
{rows}
"""


def read_log(run: Path) -> list[dict[str, float]]:
    """Return the events of a run."""
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def curve(events: Sequence[dict[str, float]], tokens: float) -> Iterator[str]:
    """Yield some rows of the table of validations."""
    found = {int(e["step"]): e["bits_per_byte"] for e in events if e["event"] == "validated"}
    wanted = sorted(found)
    for step in (
        step for step in wanted if step in (100, 200) or step % 400 == 0 or step == wanted[-1]
    ):
        yield f"| {step} | {step * STEP_TOKENS / tokens:.1f} | {found[step]:.3f} |"


def score(corpus: Path) -> tuple[float, float]:
    """Return bits per byte and perplexity on the unseen tales, each tale by itself."""
    tales = read_documents(corpus / "valid.txt")
    scores = Generator.from_pretrained(MODEL).score(tales)
    nats = sum(each.nats for each in scores)
    nbytes = sum(each.nbytes for each in scores)
    tokens = sum(each.token_count for each in scores)
    return nats / math.log(2) / nbytes, math.exp(nats / tokens)


def variants(folders: Sequence[Path]) -> str:
    """Return the table of other sizes, best first; empty where there are none."""
    if not folders:
        return ""
    found = [json.loads((folder / "figures.json").read_text()) for folder in folders]
    started = next(event for event in read_log(folders[0]) if event["event"] == "started")
    rows = [
        f"| {one['parameters'] / 1e6:.1f} M | {one['width']} | {one['layers']} "
        f"| {one['vocabulary']} | {one['bits_per_byte']:.3f} |"
        for one in sorted(found, key=lambda one: one["bits_per_byte"])
    ]
    steps = int(started["steps"])
    return VARIANTS.format(
        steps=steps, epochs=steps * STEP_TOKENS / started["tokens"], rows="\n".join(rows)
    )


def samples() -> Iterator[str]:
    """Yield each prompt's first continuation."""
    generator = Generator.from_pretrained(MODEL)
    for seed, prompt in enumerate(PROMPTS, start=1):
        result = generator.generate(prompt, seed=seed, **OPTIONS)
        text = result.text.replace("\n", "\n> ")
        yield f"**Seed {seed}**\n\n> **{prompt}**{text}\n"


def copy_model(source: Path) -> None:
    """Take over the run's model; its config asks for float32, which every CPU computes well."""
    shutil.rmtree(MODEL, ignore_errors=True)
    shutil.copytree(source, MODEL)
    path = MODEL / "config.json"
    config = json.loads(path.read_text()) | {"dtype": "float32"}
    path.write_text(json.dumps(config, indent=2) + "\n")


def main() -> None:
    """Copy the model and write its card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path, help="folder with valid.txt")
    parser.add_argument("output", type=Path, help="folder of the run")
    parser.add_argument(
        "--variants", type=Path, nargs="*", default=[], help="folders of other runs"
    )
    given = parser.parse_args()
    copy_model(given.output / "storyteller")
    events = read_log(given.output)
    figures = json.loads((given.output / "figures.json").read_text())
    config = json.loads((MODEL / "config.json").read_text())
    started = events[0]
    speeds = sorted(event["tokens_per_second"] for event in events if event["event"] == "stepped")
    steps = int(started["steps"])
    speed = speeds[len(speeds) // 2]
    bits_per_byte, perplexity = score(given.corpus)
    (MODEL / "README.md").write_text(
        CARD.format(
            parameters=figures["parameters"] / 1e6,
            layers=config["n_layer"],
            width=config["n_embd"],
            heads=config["n_head"],
            context=config["n_positions"],
            vocabulary=config["vocab_size"],
            bits_per_byte=bits_per_byte,
            perplexity=perplexity,
            megabytes=(MODEL / "model.safetensors").stat().st_size / 1e6,
            epochs=steps * STEP_TOKENS / started["tokens"],
            steps=steps,
            minutes=figures["minutes"],
            speed=speed,
            curve="\n".join(curve(events, started["tokens"])),
            variants=variants(given.variants),
            options=", ".join(f"{name}={value}" for name, value in OPTIONS.items()),
            samples="\n".join(samples()),
        )
    )


if __name__ == "__main__":
    main()
