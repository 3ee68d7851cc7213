"""What options have to keep where a preset sets them: data that may come from strangers."""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from pydantic.fields import FieldInfo


@dataclass(frozen=True, slots=True)
class PresetLimits:
    """How large a preset may be, and what is in it.

    Attributes:
        depth: Lists and objects inside one another.
        items: Members of one list or object; enough for a bias of every token.
        values: All that is in a preset, counted through.
        characters: Of one text.
        all_characters: Of all texts together.
        patterns: Regular expressions of one option.
        pattern_characters: Of one regular expression.
        pattern_loops: Repeats in one that have no bound, or one far from their least.
        pattern_choices: In how many ways the rest of one may match: 2 for `a?`, 4 for `a?b?`, as
            many as there are for alternatives.
        match_characters: Of the longest match that is looked for.
        count: Rows of a prompt, of whatever kind, and how often something is done again.
        new_tokens: By which a row may grow.
        grammar_characters: Of what says the form of a text: a grammar, a schema, choices.
    """

    depth: int = 64
    items: int = 65_536
    values: int = 262_144
    characters: int = 200_000
    all_characters: int = 1_000_000
    patterns: int = 16
    pattern_characters: int = 1_000
    pattern_loops: int = 2
    pattern_choices: int = 100
    match_characters: int = 256
    count: int = 256
    new_tokens: int = 16_384
    grammar_characters: int = 20_000


PRESET_LIMITS: Final = PresetLimits()
"""Those in force."""

_FAR = 16
"""A repeat with more than so many lengths counts as a loop."""


@dataclass(frozen=True, slots=True)
class PresetRule:
    """Marks an option whose values have a rule to keep where a preset sets them.

    It stands in the outermost annotation: `Annotated[str | None, CALLER_ONLY_RULE, Field()]`.
    What is written in Python or behind `-o` is not asked.

    Attributes:
        check: Raises a `ValueError` that says what is expected: `takes …`, `has …, expected …`.
        caller_only: Whether no preset may set it at all.
    """

    check: Callable[[object], None]
    caller_only: bool = False


def _refuse(_: object) -> None:
    message = (
        "names files, models or code, which a preset cannot: give it with the call (in Python as "
        "an argument, on the command line with -o)"
    )
    raise ValueError(message)


CALLER_ONLY_RULE: Final = PresetRule(_refuse, caller_only=True)
"""For options that open files, load models or run code: only who makes the call may set them."""


def is_caller_only(field: FieldInfo) -> bool:
    """Whether an option names files, models or code."""
    return any(isinstance(rule, PresetRule) and rule.caller_only for rule in field.metadata)


def check_patterns(value: object) -> None:
    r"""Refuse regular expressions that a stranger could let run for ever, or nearly so.

    Python's `re` tries all the ways in which an expression may match. So an expression of a preset
    repeats only what matches in one way, has few loops and few choices, and refers to no group.

    Raises:
        ValueError: There are too many, or one is too long or has too many ways to match.

    >>> check_patterns([r"\n\d+\.", "END|FIN"])
    >>> check_patterns("(?:ab?)*")
    Traceback (most recent call last):
        ...
    ValueError: repeats what may match in several ways, in '(?:ab?)*'
    """
    given = [value] if isinstance(value, str) else value
    texts = (
        [each for each in given if isinstance(each, str)] if isinstance(given, list | tuple) else []
    )
    if len(texts) > PRESET_LIMITS.patterns:
        raise ValueError(
            f"has {len(texts)} regular expressions, a preset may have {PRESET_LIMITS.patterns}"
        )
    for text in texts:
        _check_pattern(text)


PATTERN_RULE: Final = PresetRule(check_patterns)
"""For options that are regular expressions of Python's `re`."""


def _at_most(limit: str) -> Callable[[object], None]:
    """Return what refuses numbers above a limit; what is no number its option refuses."""
    most = getattr(PRESET_LIMITS, limit)

    def check(value: object) -> None:
        if isinstance(value, int | float) and value > most:
            message = f"is {value}, a preset may have {most} at most: give more with the call"
            raise ValueError(message)

    return check


COUNT_RULE: Final = PresetRule(_at_most("count"))
"""For options that say how many rows a prompt has, as beams, or how often something is done."""

NEW_TOKENS_RULE: Final = PresetRule(_at_most("new_tokens"))
"""For how many tokens a row may grow by."""

MATCH_RULE: Final = PresetRule(_at_most("match_characters"))
"""For how many characters a match of a regular expression may have."""


def check_grammars(value: object) -> None:
    """Refuse what says the form of a text at such length that to compile it takes seconds.

    What is no text counts as JSON does.

    Raises:
        ValueError: It is too long.

    >>> check_grammars({"type": "integer"})
    >>> check_grammars(["yes" * 5000, "no" * 5000])
    Traceback (most recent call last):
        ...
    ValueError: has 25008 characters in all, a preset may have 20000
    """
    size = len(value) if isinstance(value, str) else len(json.dumps(value))
    if size > PRESET_LIMITS.grammar_characters:
        raise ValueError(
            f"has {size} characters in all, a preset may have {PRESET_LIMITS.grammar_characters}"
        )


GRAMMAR_RULE: Final = PresetRule(check_grammars)
"""For options that say the form of a text: grammars, schemas, automata, choices."""


def _check_pattern(pattern: str) -> None:
    if len(pattern) > PRESET_LIMITS.pattern_characters:
        raise ValueError(
            f"has a regular expression of {len(pattern)} characters, a preset may have "
            f"{PRESET_LIMITS.pattern_characters}"
        )
    # There is no public way to the tree; this name is that of Python 3.11 and later.
    parser: Any = import_module("re._parser")
    try:
        tree = parser.parse(pattern)
    except (re.error, RecursionError, OverflowError):
        return  # the option itself says what is wrong with it
    try:
        loops, choices = _ways(tree.data)
    except ValueError as error:
        raise ValueError(f"{error}, in {pattern!r:.60}") from None
    longest = tree.getwidth()[1]
    if PRESET_LIMITS.match_characters < longest < parser.MAXREPEAT:
        raise ValueError(
            f"matches {longest} characters, a preset may have {PRESET_LIMITS.match_characters}, "
            f"in {pattern!r:.60}"
        )
    for name, found, most in (
        ("loops", loops, PRESET_LIMITS.pattern_loops),
        ("choices", choices, PRESET_LIMITS.pattern_choices),
    ):
        if found > most:
            raise ValueError(f"has {found} {name}, a preset may have {most}, in {pattern!r:.60}")


def _ways(tree: Iterable[tuple[object, Any]]) -> tuple[int, int]:
    """Return how many loops an expression has, and in how many ways the rest may match."""
    loops, choices = 0, 1
    for kind, value in tree:
        name = str(kind)
        more = 0, 1
        if name == "BRANCH":
            found = [_ways(each.data) for each in value[1]]
            more = max(each[0] for each in found), sum(each[1] for each in found)
        elif name.endswith("_REPEAT"):
            more = _repeated(value[0], value[1], value[2].data)
        elif name in {"SUBPATTERN", "ASSERT", "ASSERT_NOT"}:
            more = _ways(value[-1].data)
        elif name == "ATOMIC_GROUP":
            more = _ways(value.data)
        elif name.startswith("GROUPREF"):
            raise ValueError("refers to a group")
        loops, choices = loops + more[0], choices * more[1]
    return loops, choices


def _repeated(least: int, most: int, tree: Iterable[tuple[object, Any]]) -> tuple[int, int]:
    """Return the same of a repeat."""
    loops, choices = _ways(tree)
    if most > 1 and (loops or choices > 1):
        raise ValueError("repeats what may match in several ways")
    if most - least > _FAR:
        return 1, 1
    return loops, choices + most - least
