"""What a constraint costs: time per token beside text that nothing constrains.

    python benchmarks/bench_guided.py

The same tokens are made once freely and once under a constraint: an expression that any text of
the free run fits, so that the model's work is equal, and a JSON schema, whose forced tokens are
fed together. The median of some rounds, taken by turns.
"""

import time
from statistics import median

import torch
from record import save

from gpt2sdk import Generator

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


def milliseconds_per_token(generator: Generator, rows: int, form: dict[str, object]) -> float:
    """Return the time of a call, per token of a row."""
    began = time.perf_counter()
    result = generator.generate(
        ["Once upon a time"] * rows, max_new_tokens=TOKENS, eos_token_id=[], seed=7, **form
    )
    longest = max(len(each.tokens) for each in result.completions)
    return 1000 * (time.perf_counter() - began) / longest


def main() -> None:
    """Measure, print and write the result."""
    torch.set_num_threads(1)
    generator = Generator.from_pretrained("storyteller")
    found = []
    for rows in (1, 8):
        times: dict[str, list[float]] = {name: [] for name in FORMS}
        for _ in range(ROUNDS):
            for name, form in FORMS.items():
                times[name].append(milliseconds_per_token(generator, rows, form))
        free = median(times["free"])
        for name, each in times.items():
            line = {"rows": rows, "form": name, "ms_per_token": round(median(each), 3)}
            found.append({**line, "beside_free": round(median(each) / free, 2)})
    save("guided", found)


if __name__ == "__main__":
    main()
