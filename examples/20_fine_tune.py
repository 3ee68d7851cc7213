"""Fine-tune a model on a text file, and measure what it learned.

Run it: python examples/20_fine_tune.py [MODEL]
`gpt2sdk train rhyme.txt --model MODEL --output run` does the same.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from gpt2sdk import Generator
from gpt2sdk.testing import save_tiny_model
from gpt2sdk_train import (
    Event,
    Objective,
    PackedTokens,
    Stepped,
    TrainingSettings,
    read_documents,
    score,
    train,
)

RHYME = """The king was in his counting house, counting out his money;
The queen was in the parlour, eating bread and honey.
"""


def report(event: Event) -> None:
    """Print every tenth step."""
    if isinstance(event, Stepped) and event.step % 10 == 0:
        print(f"step {event.step}: loss {event.loss:.2f}, {event.tokens_per_second:,.0f} tokens/s")


def main(folder: Path, *given: str) -> None:
    """Train on a rhyme, and let the model go on with it."""
    if not given:
        print("No MODEL was given: this tiny one has random weights, and learns to babble.\n")
        save_tiny_model(folder / "tiny")
    loaded = Generator.from_pretrained(*given or [folder / "tiny"], dtype="float32")
    model, tokenizer = loaded.model, loaded.tokenizer
    (folder / "rhyme.txt").write_text(RHYME * 5, encoding="utf-8")
    documents = read_documents(folder / "rhyme.txt")
    text = PackedTokens.encode(documents, tokenizer)

    before = score(Objective(model), text, size=model.context_length)
    # A model that knows English is spoilt by more than about 1e-4.
    settings = TrainingSettings(steps=30, batch_size=4, learning_rate=1e-4 if given else 5e-3)
    result = train(model, tokenizer, documents, settings, output=folder, observers=[report])
    after = score(Objective(model), text, size=model.context_length)

    print(f"perplexity of the rhyme: {before.perplexity:.1f} -> {after.perplexity:.1f}")
    tuned = Generator.from_pretrained(result.folder)
    print(repr(tuned.generate("The king was", strategy="greedy", max_new_tokens=20).text))


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        main(Path(folder), *sys.argv[1:])
