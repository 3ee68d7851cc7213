"""Stop expressions: a row ends at a text that a regular expression matches."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field
from typing_extensions import override

from gpt2sdk import (
    MATCH_RULE,
    PATTERN_RULE,
    OneOrMore,
    OptionError,
    Session,
    TextCriterion,
    TextCriterionRun,
    TextEnd,
    Written,
)
from gpt2sdk_stopping.expression import Expression


def _expression(pattern: str) -> str:
    try:
        expression = Expression.of(pattern, unbounded=1)
    except re.error as error:
        raise ValueError(f"is no regular expression, since {error}") from None
    if not expression.least:
        raise ValueError("matches an empty text: expected an expression that needs a character")
    return pattern


class StopRegex(TextCriterion):
    r"""Ends a row before the first text that one of these expressions matches, or behind it.

    The match that is complete first counts, and among those the longest, as for `stop`: what has
    been written is looked at after every character, so the result is the same whether text comes
    in characters or in long tokens. Hence a repeat at the end of an expression stops at its least,
    `Answer: \d+` after one digit; to read a number to its end, say what follows: `\d+\D`. What
    looks ahead sees nothing there, and `\b` and `$` hold at the end of what is written.

    While the last characters may still become a match they are held back: those from the
    expression's literal beginning on, `Answer: ` here, or as many as a match may have. A match
    that the expression does not bound has at most `stop_regex_max_length` characters.

    The language is that of Python's `re`, whose search may take time that grows exponentially with
    a match's length: no expressions from strangers, but in a preset, where they are limited. Only
    new text is searched; special tokens have none. sglang's `stop_regex` ends a text behind the
    match.

    Example:
        >>> stop = StopRegex(stop_regex=r"\n\d+\.")
        >>> stop.search("a list\n12. and", 0)  # it ends before character 6
        TextEnd(end=6, hold=0)
        >>> stop.search("a list\n12", 0)  # "\n12" may become a match
        TextEnd(end=None, hold=3)
        >>> StopRegex(stop_regex=r"\d\.", stop_regex_include=True).search("so 1. and", 0)
        TextEnd(end=5, hold=0)
    """

    reason: ClassVar[str] = "stop_regex"

    stop_regex: Annotated[
        tuple[Annotated[str, AfterValidator(_expression)], ...],
        OneOrMore,
        PATTERN_RULE,
        Field(description="One or several regular expressions at which a row ends."),
    ] = ()
    stop_regex_include: Annotated[
        bool, Field(description="Whether the text ends behind the match, not before it.")
    ] = False
    stop_regex_max_length: Annotated[
        int,
        MATCH_RULE,
        Field(ge=1, description="Most characters of a match that its expression does not bound."),
    ] = 256

    @override
    def start(self, session: Session) -> TextCriterionRun:
        return _Run(self._expressions(), self.stop_regex_include)

    @override
    def search(self, text: str, start: int) -> TextEnd:
        return _Run(self._expressions(), self.stop_regex_include).search(text, start)

    def _expressions(self) -> list[Expression]:
        longest = self.stop_regex_max_length
        found = [Expression.of(each, unbounded=longest) for each in self.stop_regex]
        for expression in found:
            if expression.least > expression.most:
                raise OptionError(
                    f"stop_regex_max_length={longest}: expected {expression.least} or more, which "
                    f"a match of {expression.anywhere.pattern!r} has at least",
                    name="stop_regex_max_length",
                    value=longest,
                    expected=f"{expression.least} or more",
                )
        return found


@dataclass(frozen=True)
class _Run:
    """The expressions, ready to be found."""

    expressions: Sequence[Expression]
    include: bool

    def find(self, written: Written) -> TextEnd:
        return self.search(written.text, written.start)

    def search(self, text: str, start: int) -> TextEnd:
        matches = [
            (end, begin)
            for each in self.expressions
            if (match := each.find(text, start)) is not None
            for begin, end in [match]
        ]
        if matches:
            end, begin = min(matches)
            return TextEnd(end if self.include else begin)
        return TextEnd(
            None, max((each.waiting(text, start) for each in self.expressions), default=0)
        )
