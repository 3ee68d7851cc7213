"""Fine-tune a model on a text file, and measure what it learned and what it forgot.

Run it: python examples/20_fine_tune.py [MODEL]
`gpt2sdk train rhyme.txt --model MODEL --output run` does the same.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from gpt2sdk import Generator
from gpt2sdk_train import Event, Stepped, TrainingSettings, read_documents, train

RHYME = """The king was in his counting house, counting out his money;
The queen was in the parlour, eating bread and honey.
"""
TALE = (
    "Once upon a time there was a king who had three sons, and the youngest was called Simpleton."
)


def report(event: Event) -> None:
    """Print every fifth step."""
    if isinstance(event, Stepped) and event.step % 5 == 0:
        print(f"step {event.step}: loss {event.loss:.2f}, {event.tokens_per_second:,.0f} tokens/s")


def show(title: str, gen: Generator) -> None:
    """Print how well a model knows both texts, and how it goes on."""
    rhyme, tale = gen.score([RHYME, TALE])
    text = gen.generate("The king was in", strategy="greedy", max_new_tokens=30).text
    print(
        f"{title}: perplexity {rhyme.perplexity:.1f} of the rhyme, {tale.perplexity:.1f} of a tale"
    )
    print(f"  The king was in{text!r}\n")


def main(folder: Path, model: str) -> None:
    """Train on a rhyme, and let the model go on with it."""
    loaded = Generator.from_pretrained(model, dtype="float32")
    show("before", loaded)
    (folder / "rhyme.txt").write_text(RHYME * 5, encoding="utf-8")
    documents = read_documents(folder / "rhyme.txt")

    # So much for a rhyme by heart. To keep what a model knows, take 1e-5 to 1e-4 and more text.
    settings = TrainingSettings(
        steps=15, batch_size=4, block_size=64, learning_rate=5e-4, warmup_steps=3
    )
    result = train(
        loaded.model, loaded.tokenizer, documents, settings, output=folder, observers=[report]
    )
    show("\nafter", Generator.from_pretrained(result.folder))


if __name__ == "__main__":
    with TemporaryDirectory() as name:
        main(Path(name), *sys.argv[1:] or ["storyteller"])
