"""Regular expressions that are looked for in text as it grows."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

_FLAGS = re.compile(r"(?:\(\?[aiLmsux]+\))*")
"""Flags for a whole expression, which stand at its beginning."""


@dataclass(frozen=True)
class Expression:
    """An expression, and how much text a match of it may have.

    Attributes:
        anywhere: Matches it.
        at_end: Matches it where nothing follows.
        least: How many characters a match has at least.
        most: How many it may have.
        beginning: Characters that every match begins with.
        is_plain: Whether what stands around a match is of no account.

    Example:
        >>> expression = Expression.of("END|FIN+", unbounded=9)
        >>> expression.find("the FINN", 0), expression.find("the EN", 0)
        ((4, 7), None)
        >>> expression.waiting("the EN", 0)  # nothing that every match begins with: 8 may be
        6
    """

    anywhere: re.Pattern[str]
    at_end: re.Pattern[str]
    least: int
    most: int
    beginning: str
    is_plain: bool

    @classmethod
    def of(cls, pattern: str, *, unbounded: int) -> "Expression":
        """Get an expression ready.

        Args:
            pattern: In the language of Python's `re`.
            unbounded: How long a match may be if the expression sets no bound.

        Raises:
            re.error: It is no expression.
        """
        anywhere = re.compile(pattern)
        # There is no public way to the widths; these names are those of Python 3.11 and later.
        parser: Any = import_module("re._parser")
        tree = parser.parse(pattern)
        least, most = tree.getwidth()
        flags = _FLAGS.match(pattern)
        head = flags.end() if flags else 0
        # In verbose expressions a comment may reach to the end of the line.
        tail = "\n" if anywhere.flags & re.VERBOSE else ""
        return cls(
            anywhere,
            re.compile(rf"{pattern[:head]}(?:{pattern[head:]}{tail})\Z"),
            least,
            most if most < parser.MAXREPEAT else unbounded,
            "" if anywhere.flags & re.IGNORECASE else _literal_beginning(tree.data),
            not _kinds(tree) & {"AT", "ASSERT", "ASSERT_NOT"},
        )

    def find(self, text: str, start: int) -> tuple[int, int] | None:
        """Return where the match begins and ends that is complete first; the longest of those.

        Args:
            text: Where; what comes behind it is not known yet.
            start: Where a match may begin.
        """
        first = start
        if self.is_plain:
            found = self.anywhere.search(text, start)
            if found is None:
                return None
            first = found.start()
        for end in range(first + self.least, len(text) + 1):
            found = self.at_end.search(text, max(first, end - self.most), end)
            if found is not None:
                return found.start(), end
        return None

    def waiting(self, text: str, start: int) -> int:
        """How many last characters may be the beginning of a match."""
        first = max(start, len(text) - self.most + 1)
        for place in range(first, len(text)):
            part = text[place : place + len(self.beginning)]
            if self.beginning.startswith(part):
                return len(text) - place
        return 0


def _literal_beginning(tree: Iterable[tuple[object, object]]) -> str:
    """The characters at the beginning of an expression that stand for themselves.

    >>> _literal_beginning(import_module("re._parser").parse("ab+c").data)
    'a'
    """
    characters = []
    for kind, value in tree:
        if str(kind) != "LITERAL" or not isinstance(value, int):
            break
        characters.append(chr(value))
    return "".join(characters)


def _kinds(part: object) -> set[str]:
    """What an expression is made of, at every depth.

    >>> sorted(_kinds(import_module("re._parser").parse("(?:a|bc)*$")))
    ['AT', 'AT_END', 'BRANCH', 'LITERAL', 'MAXREPEAT', 'MAX_REPEAT']
    """
    parser: Any = import_module("re._parser")
    if isinstance(part, type(parser.MAXREPEAT)):
        return {str(part)}
    if isinstance(part, list | tuple | parser.SubPattern):
        return set().union(*map(_kinds, part))
    return set()
