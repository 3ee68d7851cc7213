"""Train an adapter instead of the model: a small file that changes what the model writes.

Run it: python examples/21_lora.py [MODEL]
PEFT loads the folder that is written here, and adapters made with PEFT load here.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from gpt2sdk import Generator
from gpt2sdk.testing import save_tiny_model
from gpt2sdk_train import Adapters, LoRA, TrainingSettings, train

RHYME = "Humpty Dumpty sat on a wall, Humpty Dumpty had a great fall.\n" * 8


def main(folder: Path, *given: str) -> None:
    """Train an adapter, save it, and put it on another copy of the model."""
    if not given:
        print("No MODEL was given: this tiny one has random weights, its text is noise.\n")
        save_tiny_model(folder / "tiny")
    name = given[0] if given else folder / "tiny"
    loaded = Generator.from_pretrained(name, dtype="float32")
    Adapters(loaded.model).add("rhyme", LoRA(rank=8, targets=("*.attn.c_attn", "*.mlp.*")))
    settings = TrainingSettings(steps=40, batch_size=4, learning_rate=1e-3 if given else 2e-2)
    result = train(loaded.model, loaded.tokenizer, [RHYME], settings, output=folder / "run")
    print("saved:", ", ".join(sorted(path.name for path in result.folder.iterdir())))

    fresh = Generator.from_pretrained(name, dtype="float32")
    adapters = Adapters(fresh.model)
    adapters.load(result.folder, "rhyme")
    for scale in (0.0, 0.5, 1.0):
        adapters.scale("rhyme", scale)
        text = fresh.generate("Humpty", strategy="greedy", max_new_tokens=12).text
        print(f"scale {scale}: {text!r}")

    # Merged, the adapter costs nothing, and the model can be saved as a whole.
    adapters.merge()
    fresh.save_pretrained(folder / "with-rhyme")


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        main(Path(folder), *sys.argv[1:])
