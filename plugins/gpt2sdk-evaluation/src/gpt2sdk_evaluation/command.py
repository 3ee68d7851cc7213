"""`gpt2sdk measure`: metrics of generations."""

from pathlib import Path
from typing import Annotated

import typer

Files = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...",
        help="Generations: lines, .jsonl, or .json as `gpt2sdk generate --json` prints it; "
        "- for standard input.",
    ),
]
References = Annotated[
    list[Path] | None,
    typer.Option(
        "--references",
        metavar="FILE",
        help="What was wished for, a text for each generation; again for further references.",
    ),
]
Key = Annotated[
    str, typer.Option("--key", metavar="NAME", help="Where objects in JSON have their text.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def measure(
    files: Files, *, references: References = None, key: Key = "text", as_json: AsJson = False
) -> None:
    """Measure how diverse and how repetitive generations are, and how near to references.

    Several files are compared side by side.
    """
    # `gpt2sdk measure --help` needs no sacrebleu.
    from gpt2sdk_evaluation.generations import read_generations  # noqa: PLC0415
    from gpt2sdk_evaluation.measurement import measure as measure_texts  # noqa: PLC0415
    from gpt2sdk_evaluation.report import show_json, show_table  # noqa: PLC0415

    listed = [read_generations(file, key=key) for file in references or ()]
    found = []
    for file in files:
        texts = read_generations(file, key=key)
        wanted = per_text(listed, len(texts), str(file)) if listed else None
        found.append((str(file), measure_texts(texts, wanted)))
    (show_json if as_json else show_table)(found)


def per_text(listed: list[list[str]], count: int, name: str) -> list[list[str]]:
    """Return each text's references.

    >>> per_text([["a", "b"], ["A", "B"]], 2, "file")
    [['a', 'A'], ['b', 'B']]

    Raises:
        typer.BadParameter: A file has not one reference for each text.
    """
    for references in listed:
        if len(references) != count:
            raise typer.BadParameter(
                f"{name} has {count} texts, but there are {len(references)} references"
            )
    return [list(each) for each in zip(*listed, strict=True)]
