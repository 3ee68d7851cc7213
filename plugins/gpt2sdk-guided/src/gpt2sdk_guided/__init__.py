"""Guided text for gpt2sdk: JSON schemas, expressions, grammars and choices."""

from typing import TYPE_CHECKING

from gpt2sdk import hookimpl

if TYPE_CHECKING:
    from gpt2sdk import Component


@hookimpl
def gpt2sdk_components() -> "tuple[type[Component], ...]":
    """Return the components of this distribution."""
    from gpt2sdk_guided.choice import Choice
    from gpt2sdk_guided.grammar import Grammar
    from gpt2sdk_guided.json_schema import JsonSchema
    from gpt2sdk_guided.regex import Regex

    return JsonSchema, Regex, Grammar, Choice
