"""Stream text with two strategies: `make demo`, or `make demo MODEL=folder`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from tempfile import TemporaryDirectory

from gpt2sdk import Generator
from gpt2sdk.testing import save_tiny_model

PROMPT = "Once upon a time"
CALLS = {
    "sample": {"temperature": 0.8, "top_p": 0.95, "seed": 7},
    "greedy": {"repetition_penalty": 1.2},
}


@contextmanager
def chosen(model: str | None) -> Iterator[str]:
    """Give the model to use: the one asked for, else one that is installed, else a tiny one."""
    if model:
        yield model
    elif find_spec("gpt2sdk_storyteller"):
        yield "storyteller"
    else:
        print("No MODEL=folder was given: this tiny model has random weights, its text is noise.")
        with TemporaryDirectory() as folder:
            save_tiny_model(folder)
            yield folder


def main(model: str | None = None) -> None:
    """Stream the same prompt's continuation with each strategy."""
    with chosen(model) as name:
        generator = Generator.from_pretrained(name)
        for strategy, options in CALLS.items():
            called = ", ".join(f"{key}={value}" for key, value in options.items())
            print(f"\n--- {strategy}, {called}\n{PROMPT}", end="")
            for delta in generator.stream(PROMPT, strategy=strategy, max_new_tokens=40, **options):
                print(delta.text, end="", flush=True)
            print()


if __name__ == "__main__":
    main(*sys.argv[1:])
