"""What something of other programs is called here: the answer to who writes it by habit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Names that other programs have for one thing.

    Attributes:
        names: What it is called there.
        here: What is written here instead, all of it named in the hint; empty where nothing is.
        hint: What to write here, or what is nearest, or why there is nothing to write.
    """

    names: tuple[str, ...]
    here: tuple[str, ...]
    hint: str


def row(names: str, here: str, hint: str) -> Elsewhere:
    """Return names, which blanks separate, with what is written here."""
    return Elsewhere(tuple(names.split()), tuple(here.split()), hint)


def missing(names: str, what: str, here: str = "", nearest: str = "") -> Elsewhere:
    """Return names of what is not there yet, with the nearest there is.

    >>> missing("suffix", "filling in between", "", "prompts are continued at their end").hint
    'there is no built-in filling in between; prompts are continued at their end'
    """
    return row(names, here, f"there is no built-in {what}" + (nearest and f"; {nearest}"))


def by_name(rows: Sequence[Elsewhere]) -> Mapping[str, Elsewhere]:
    """Return the row of each name."""
    return {name: each for each in rows for name in each.names}
