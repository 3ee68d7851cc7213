"""Expressions: the text is one that a regular expression matches."""

import re
from typing import Annotated

from llguidance import LLMatcher
from pydantic import Field
from typing_extensions import override

from gpt2sdk import GRAMMAR_RULE
from gpt2sdk_guided.constraint import MOST_CHARACTERS, Constraint, Trigger


class Regex(Constraint):
    r"""Lets a row write only a text that a regular expression matches, from end to end.

    The language is that of Rust's `regex`, without look-around and back-references; `^` at its
    beginning and `$` at its end are understood. Time is linear in the text, so an expression of a
    stranger takes none with it. vLLM's `regex`, sglang's `regex`. A row ends where nothing can
    follow, with `constraint_complete`; where something can, an end token may come, too.

    Generation along an automaton: Willard and Louf, "Efficient guided generation for large
    language models", 2023, arXiv:2307.09702. There it is an index of tokens for each state, made
    ahead; here states come as they are reached.

    Raises:
        OptionError: In a call: it is no such expression, or too large.

    Example:
        A text begins with `a` (token 0), and behind it `b` or `c` follows.

        >>> from gpt2sdk.testing import make_rows, process
        >>> rows = make_rows([[2], [2, 0]], prompt_lengths=[1, 1])
        >>> process(Regex(regex="ab|ac"), [[1.0, 2.0, 3.0]] * 2, rows).tolist()
        [[1.0, -inf, -inf], [-inf, 2.0, 3.0]]
    """

    regex: Annotated[
        str | None,
        GRAMMAR_RULE,
        Field(min_length=1, max_length=MOST_CHARACTERS, description="The expression; None is off."),
    ] = None
    grammar_triggers: Trigger = ()

    @property
    @override
    def triggers(self) -> tuple[str, ...]:
        return self.grammar_triggers

    @override
    def source(self) -> str:
        pattern = (self.regex or "").removeprefix("^")
        if re.search(r"(?<!\\)(\\\\)*\$$", pattern):
            pattern = pattern[:-1]
        return LLMatcher.grammar_from_regex(f"(?:{pattern})")
