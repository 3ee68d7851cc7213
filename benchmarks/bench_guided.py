"""What a constraint costs: time per token beside text that nothing constrains.

    python benchmarks/bench_guided.py [--tokenizer FOLDER]

The same tokens are made once freely and once under a constraint: an expression that any text of
the free run fits, so that the model's work is equal, and a JSON schema, whose forced tokens are
fed together. The median of some rounds, taken by turns, of the processor's time on one thread, so
that what else the machine does counts less.

The folder has GPT-2's `vocab.json` and `merges.txt`, or `encoder.json` and `vocab.bpe`. With it a
model of GPT-2 124M's shape with random weights is measured, too, whose vocabulary has 50,257
tokens, and how long the constraint itself takes for a step of each row: `mask_us`.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import torch
from random_model import SIZES, write_random_model
from record import save

from gpt2sdk import Generator, Rows, Tokenizer
from gpt2sdk_guided.constraint import ConstraintRun

ROUNDS = 9
TOKENS = 96
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 20},
        "age": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string", "minLength": 10}, "minItems": 3},
    },
    "required": ["name", "age", "tags"],
}
FORMS = {
    "free": {},
    "regex": {"regex": r"(?s:.*)"},
    "json_schema": {"json_schema": SCHEMA},
}


def milliseconds_per_token(
    generator: Generator, rows: int, form: dict[str, object], tokens: int
) -> float:
    """Return the time of a call, per token of a row."""
    began = time.process_time()
    result = generator.generate(
        ["Once upon a time"] * rows, max_new_tokens=tokens, eos_token_id=[], seed=7, **form
    )
    longest = max(len(each.tokens) for each in result.completions)
    return 1000 * (time.process_time() - began) / longest


class Watch:
    """Adds up how long constraints take, and for how many rows."""

    def __init__(self) -> None:
        self.seconds, self.rows = 0.0, 0
        plain = ConstraintRun.process

        def timed(run: ConstraintRun, logits: torch.Tensor, rows: Rows) -> torch.Tensor:
            began = time.process_time()
            made = plain(run, logits, rows)
            if run.places is not None:
                self.seconds += time.process_time() - began
                self.rows += len(rows)
            return made

        ConstraintRun.process = timed  # type: ignore[method-assign]

    def take(self) -> float:
        """Return the microseconds for a step of a row, and begin anew."""
        spent = 1e6 * self.seconds / self.rows if self.rows else 0.0
        self.seconds, self.rows = 0.0, 0
        return spent


def measured(
    name: str, generator: Generator, watch: Watch, tokens: int, rounds: int
) -> Iterator[dict[str, object]]:
    """Yield a row of the table for each form and number of rows."""
    for rows in (1, 8):
        times: dict[str, list[float]] = {form: [] for form in FORMS}
        masks: dict[str, list[float]] = {form: [] for form in FORMS}
        for _ in range(rounds):
            for form, options in FORMS.items():
                times[form].append(milliseconds_per_token(generator, rows, options, tokens))
                masks[form].append(watch.take())
        free = median(times["free"])
        for form, each in times.items():
            yield {
                "model": name,
                "rows": rows,
                "form": form,
                "ms_per_token": round(median(each), 3),
                "beside_free": round(median(each) / free, 2),
                "mask_us": round(median(masks[form]), 1),
            }


def gpt2_tokenizer(folder: Path) -> Tokenizer:
    """Read GPT-2's vocabulary under either of the names its files have."""
    texts = {}
    for name, other in (("vocab.json", "encoder.json"), ("merges.txt", "vocab.bpe")):
        path = folder / name if (folder / name).exists() else folder / other
        texts[name] = path.read_text(encoding="utf-8")
    return Tokenizer.from_texts(texts)


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tokenizer", type=Path, help="a folder with GPT-2's vocabulary")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    watch = Watch()
    generator = Generator.from_pretrained("storyteller")
    found = list(measured("storyteller", generator, watch, TOKENS, given.rounds))
    if given.tokenizer is not None:
        with tempfile.TemporaryDirectory() as folder:
            model = Path(folder) / "model"
            tokenizer = gpt2_tokenizer(given.tokenizer)
            write_random_model(model, SIZES["124M"], table=5.0, tokenizer=tokenizer)
            generator = Generator.from_pretrained(model)
            found += measured("124M shape", generator, watch, TOKENS // 3, given.rounds)
    save("guided", found)


if __name__ == "__main__":
    main()
