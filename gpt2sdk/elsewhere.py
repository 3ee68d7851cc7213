"""What something of other programs is called here: the answer to who writes it by habit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

PROGRAMS: Final = {
    "T": "transformers",
    "L": "llama.cpp",
    "V": "vLLM",
    "W": "text-generation-webui",
    "S": "SGLang",
    "X": "exllamav3",
    "M": "mlx-lm",
    "K": "koboldcpp",
    "R": "TensorRT-LLM",
    "G": "genlm-control",
    "I": "its-hub",
    "O": "optillm",
}
"""The programs whose names are told apart, by their letters in a `row`."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Names that other programs have for one thing.

    Attributes:
        names: What it is called there and not here.
        here: What is written here instead, all of it named in the hint; empty where nothing is.
        hint: What to write here, or what is nearest, or why there is nothing to write.
        written: `here` as it is written in a call: `strategy="beam"`, `num_beams`.
        programs: What each program calls it, by the program's name; our own name is among them
            where it is theirs too.
        differs: Where theirs means something else, for the table of names.
        there: Whether it is there; else `here` is what is nearest.
    """

    names: tuple[str, ...]
    here: tuple[str, ...]
    hint: str
    written: tuple[str, ...] = ()
    programs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    differs: str = ""
    there: bool = True


def row(names: str, here: str, hint: str, differs: str = "") -> Elsewhere:
    """Return names with what is written here.

    Args:
        names: Names, which blanks separate; behind a slash the letters of the `PROGRAMS` that
            have it. What is an option here too may be among them.
        here: Options, which blanks separate, those of names as `strategy=beam`.
        hint: What to write.
        differs: Where theirs means something else.

    >>> temperature = row("temperature/T temp/M t", "temperature", "temperature divides")
    >>> temperature.names, temperature.programs
    (('temp', 't'), {'transformers': ('temperature',), 'mlx-lm': ('temp',)})
    >>> beams = row("beam_size", "strategy=beam num_beams", 'strategy="beam" has num_beams')
    >>> beams.here, beams.written
    (('strategy', 'num_beams'), ('strategy="beam"', 'num_beams'))
    """
    options = [each.partition("=") for each in here.split()]
    own = tuple(option for option, _, _ in options)
    written = tuple(f'{option}="{name}"' if name else option for option, _, name in options)
    theirs = [each.partition("/") for each in names.split()]
    programs = {
        program: found
        for letter, program in PROGRAMS.items()
        if (found := tuple(name for name, _, letters in theirs if letter in letters))
    }
    foreign = tuple(name for name, _, _ in theirs if name not in own)
    return Elsewhere(foreign, tuple(dict.fromkeys(own)), hint, written, programs, differs)


def missing(names: str, what: str, here: str = "", nearest: str = "") -> Elsewhere:
    """Return names of what is not there yet, with the nearest there is.

    >>> missing("suffix", "filling in between", "", "prompts are continued at their end").hint
    'there is no built-in filling in between; prompts are continued at their end'
    """
    found = row(names, here, f"there is no built-in {what}" + (nearest and f"; {nearest}"))
    return Elsewhere(
        found.names, found.here, found.hint, found.written, found.programs, there=False
    )


def by_name(rows: Sequence[Elsewhere]) -> Mapping[str, Elsewhere]:
    """Return the row of each name."""
    return {name: each for each in rows for name in each.names}
