"""Train an adapter instead of the model: a small file that changes what the model writes.

Run it: python examples/21_lora.py [MODEL]
PEFT loads the folder that is written here, and adapters made with PEFT load here.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from gpt2sdk import Generator
from gpt2sdk_train import Adapters, LoRA, TrainingSettings, train

RHYME = "Humpty Dumpty sat on a wall, Humpty Dumpty had a great fall.\n" * 8


def main(folder: Path, name: str) -> None:
    """Train an adapter, save it, and put it on another copy of the model."""
    loaded = Generator.from_pretrained(name, dtype="float32")
    Adapters(loaded.model).add("rhyme", LoRA(rank=8, targets=("*.attn.c_attn", "*.mlp.*")))
    settings = TrainingSettings(steps=20, batch_size=4, block_size=32, learning_rate=3e-3)
    result = train(loaded.model, loaded.tokenizer, [RHYME], settings, output=folder / "run")
    for file in sorted(result.folder.iterdir()):
        print(f"saved: {file.name}, {file.stat().st_size:,} bytes")

    fresh = Generator.from_pretrained(name, dtype="float32")
    adapters = Adapters(fresh.model)
    adapters.load(result.folder, "rhyme")
    for scale in (0.0, 0.5, 1.0):
        adapters.scale("rhyme", scale)
        for prompt in ("Humpty Dumpty", "Once upon a time"):
            text = fresh.generate(prompt, strategy="greedy", max_new_tokens=20).text
            print(f"scale {scale}: {prompt + text!r}")

    # Merged, the adapter costs nothing, and the model can be saved as a whole.
    adapters.merge()
    fresh.save_pretrained(folder / "with-rhyme")


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        main(Path(folder), *sys.argv[1:] or ["storyteller"])
