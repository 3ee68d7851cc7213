"""Makes the tables of `docs/guides/choose-a-loader.md` of the benchmarks' records.

    python benchmarks/loader_table.py

Records: `results/load.json`, `quantized_speed.json` and `quantized_quality.json`, whatever sizes
and batches they have.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path

from record import RESULTS

PAGE = Path(__file__).parents[1] / "docs" / "guides" / "choose-a-loader.md"
TABLE = r"(<!-- {name}: made by benchmarks/loader_table.py -->\n).*?(<!-- end of {name} -->)"
MISSING = "–"
Row = dict[str, object]


def records(name: str) -> list[Row]:
    """Read a benchmark's rows."""
    return list(json.loads((RESULTS / f"{name}.json").read_text())["rows"])


def table(head: list[str], lines: Iterable[list[str]]) -> str:
    """Lay cells out as Markdown; numbers stand at the right.

    >>> print(table(["a", "b"], [["x", "1"]]))
    | a | b |
    | --- | ---: |
    | x | 1 |
    """
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *lines))


def memory() -> str:
    """What models hold, and how much more while they are loaded, in MiB."""
    rows = [row for row in records("load") if row["step"] == "ready"]
    sizes = list(dict.fromkeys(str(row["size"]) for row in rows))
    found = {(named(row), row["size"]): row for row in rows}
    besides = {
        name: max(
            float(str(row["besides_mib"])) for (other, _), row in found.items() if other == name
        )
        for name, _ in found
    }
    lines = [
        [
            name,
            *(rounded(found.get((name, size)), "running_mib") for size in sizes),
            f"{most:.0f}",
        ]
        for name, most in besides.items()
    ]
    return table(["weights", *sizes, "more while loading"], lines)


def named(row: Row) -> str:
    """The weights' name; transformers' are told apart."""
    weights = str(row["weights"]).replace("bnb-nf4-bfloat16", "bnb-nf4, the rest bfloat16")
    return weights if row["library"] == "gpt2sdk" else f"transformers, {weights}"


def rounded(row: Row | None, key: str) -> str:
    """A number of a row, without decimals."""
    return MISSING if row is None else f"{float(str(row[key])):.0f}"


def cost() -> str:
    """Speed as a ratio to transformers in float32, and the loss of quality in percent."""
    rows = records("quantized_speed")
    counts = list(dict.fromkeys(int(str(row["rows"])) for row in rows))
    speeds = {
        (str(row["engine"]).removeprefix("gpt2sdk "), row["rows"]): row[
            "times_transformers_float32"
        ]
        for row in rows
    }
    lines = []
    for row in records("quantized_quality"):
        times = [speeds.get((str(row["weights"]), count)) for count in counts]
        lines.append(
            [
                str(row["weights"]),
                *(MISSING if each is None else f"{float(str(each)):.1f}×" for each in times),
                f"{float(str(row['loss_percent'])):.2f} %",
            ]
        )
    head = [f"{count} row{'s' * (count > 1)}" for count in counts]
    return table(["weights", *head, "loss of quality"], lines)


def main() -> None:
    """Put both tables into the page."""
    page = PAGE.read_text(encoding="utf-8")
    for name, made in {"memory": memory(), "cost": cost()}.items():
        pattern = re.compile(TABLE.format(name=name), re.DOTALL)
        page, places = pattern.subn(lambda found, made=made: f"{found[1]}{made}\n{found[2]}", page)
        if places != 1:
            message = f"{PAGE}: expected one place for the table {name}, found {places}"
            raise SystemExit(message)
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
