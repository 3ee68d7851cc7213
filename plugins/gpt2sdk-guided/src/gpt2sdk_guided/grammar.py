"""Grammars: the text is one that a context-free grammar derives."""

import re
from typing import Annotated

from llguidance import LLMatcher
from llguidance.gbnf_to_lark import gbnf_to_lark
from pydantic import BeforeValidator, Field
from typing_extensions import override

from gpt2sdk import GRAMMAR_RULE, OptionError
from gpt2sdk_guided.constraint import MOST_CHARACTERS, Constraint, Trigger
from gpt2sdk_guided.files import text_of


class Grammar(Constraint):
    r"""Lets a row write only a text of a grammar, in Lark's syntax or llama.cpp's GBNF.

    A grammar is text, or a `pathlib.Path` of a file. One with `::=` is GBNF, whose rule `root` is
    the text; in Lark it is `start`. llama.cpp's `grammar`, vLLM's `grammar`. Rules may be
    recursive; what they leave open, a weak model may never end, so write `[0-9]{1,6}` rather than
    `[0-9]+`.

    Grammar-constrained decoding: Geng et al., 2023, arXiv:2305.13971; fast masks: Dong et al.,
    "XGrammar", 2024, arXiv:2411.15100, with a pushdown automaton and masks made ahead, where
    llguidance has an Earley parser over a lexer and makes each mask anew.

    Raises:
        OptionError: In a call: it is no such grammar, or too large.

    Example:
        >>> from gpt2sdk.testing import process
        >>> process(Grammar(grammar='root ::= "a" | "c" root'), [[1.0, 2.0, 3.0]]).tolist()
        [[1.0, -inf, 3.0]]
    """

    grammar: Annotated[
        str | None,
        GRAMMAR_RULE,
        Field(
            min_length=1,
            max_length=MOST_CHARACTERS,
            description="The grammar, Lark or GBNF, or a Path of it; None is off.",
            examples=['root ::= [a-z] root | "."'],
        ),
        BeforeValidator(text_of),
    ] = None
    grammar_triggers: Trigger = ()

    @property
    @override
    def triggers(self) -> tuple[str, ...]:
        return self.grammar_triggers

    @override
    def source(self) -> str:
        text = self.grammar or ""
        if ":" not in text:
            raise OptionError(
                f"grammar has no rule, got {text!r:.80}: expected `root ::= …` (GBNF) or "
                "`start: …` (Lark); of a file, give a pathlib.Path, or what stands in it",
                name="grammar",
                value=self.grammar,
            )
        if re.search(r"(?m)^\s*[\w-]+\s*::=", text) is None:
            return LLMatcher.grammar_from_lark(text)
        try:
            return LLMatcher.grammar_from_lark(gbnf_to_lark(text))
        except Exception as error:  # noqa: BLE001 - the translator raises bare ones
            raise OptionError(f"grammar is no GBNF: {error}", name="grammar") from None
