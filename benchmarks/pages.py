"""Puts what the benchmarks recorded into README and documentation.

    python benchmarks/pages.py [--check]

What is made stands between `<!-- name: made by benchmarks/pages.py -->` and `<!-- end of name -->`.
Where a record is not here, what stands there is left. With `--check` nothing is written, and 1 is
left behind if something would be.
"""

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from decode_tables import Decoded, budget, cost, decoding, machine, others, shares
from limit_picture import draw
from tables import Row, middle, record, table

ROOT = Path(__file__).parents[1]
PLACE = r"(<!-- {name}: made by benchmarks/pages.py -->\n).*?(<!-- end of {name} -->)"
PICTURE = "docs/explanation/share-of-limit.svg"
ALT = "Share of the rate at which memory is read, by engine"
LOADER, TIME = "docs/guides/choose-a-loader.md", "docs/explanation/where-the-time-goes.md"


def rows_of(name: str) -> list[Row]:
    """Return a record's rows; none where it is not here."""
    found = record(name)
    rows = found["rows"] if found else []
    return list(rows) if isinstance(rows, list) else []


def memory() -> str:
    """What models hold, and how much more while they are loaded, in MiB."""
    rows = [row for row in rows_of("load") if row["step"] == "ready"]
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
    return "–" if row is None else f"{float(str(row[key])):.0f}"


def made() -> dict[tuple[str, str], str]:
    """Return what is to stand where, by page and name, of the records that are here."""
    found: dict[tuple[str, str], str] = {}
    if record("load"):
        found[LOADER, "memory"] = memory()
    written = record("decode")
    if not written or "size" not in written:
        print("results/decode.json is not here: tables of decoding are left as they are")
        return found
    decoded = Decoded(written)
    found[LOADER, "cost"] = cost(decoded, rows_of("quantized_quality"))
    found["README.md", "cost"] = f"{found[LOADER, 'cost']}\n\n{machine(decoded)}"
    found["README.md", "decoding"] = "\n\n".join(
        [decoding(decoded), f"![{ALT}]({PICTURE})", machine(decoded)]
    )
    found[TIME, "machine"] = machine(decoded)
    found[TIME, "limit"] = f"![{ALT}]({Path(PICTURE).name})\n\n{shares(decoded)}"
    found[TIME, "budget"] = budget(decoded)
    found[TIME, "decoding"] = decoding(decoded)
    found[TIME, "others"] = others(decoded)
    return found


def picture() -> str | None:
    """Return the picture of the limit, of one row; `None` without a record."""
    written = record("decode")
    if not written or "size" not in written:
        return None
    decoded = Decoded(written)
    shares_found = {
        engine: middle(decoded.row("rows-1", engine), "share_of_read") for engine in decoded.engines
    }
    bars = [(engine, share) for engine, share in shares_found.items() if share is not None]
    title = f"Share of the rate at which memory is read: {written['size']}, one row, greedy"
    return f"{draw(bars, title)}\n"


def put(page: str, name: str, text: str) -> str:
    r"""Return a page with a text in its place.

    >>> put("<!-- a: made by benchmarks/pages.py -->\nold\n<!-- end of a -->", "a", "new")
    '<!-- a: made by benchmarks/pages.py -->\nnew\n<!-- end of a -->'

    Raises:
        SystemExit: There is no such place, or there are several.
    """
    pattern = re.compile(PLACE.format(name=name), re.DOTALL)
    page, places = pattern.subn(lambda found: f"{found[1]}{text}\n{found[2]}", page)
    if places != 1:
        message = f"expected one place for {name}, found {places}"
        raise SystemExit(message)
    return page


def changed(texts: Mapping[tuple[str, str], str], drawn: str | None) -> dict[Path, str]:
    """Return the files that are to change, with what they are to hold."""
    pages: dict[Path, str] = {}
    for (path, name), text in texts.items():
        file = ROOT / path
        pages[file] = put(pages.get(file) or file.read_text(encoding="utf-8"), name, text)
    if drawn is not None:
        pages[ROOT / PICTURE] = drawn
    return {
        file: text
        for file, text in pages.items()
        if not file.exists() or file.read_text(encoding="utf-8") != text
    }


def main() -> int:
    """Write what changed."""
    files = changed(made(), picture())
    for file, text in files.items():
        print(file.relative_to(ROOT))
        if "--check" not in sys.argv:
            file.write_text(text, encoding="utf-8")
    return int("--check" in sys.argv and bool(files))


if __name__ == "__main__":
    sys.exit(main())
