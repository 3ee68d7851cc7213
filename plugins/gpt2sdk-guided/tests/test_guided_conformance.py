"""Every component of the distribution keeps the promises of its roles."""

from gpt2sdk.testing import parametrize_with_checks
from gpt2sdk_guided.choice import Choice
from gpt2sdk_guided.grammar import Grammar
from gpt2sdk_guided.json_schema import JsonSchema
from gpt2sdk_guided.regex import Regex

COMPONENTS = [
    Regex(regex="[a-z .]+"),
    Regex(regex="[a-d]+", grammar_triggers=("da", "f")),
    Choice(choice=("abc", "abd", "e f.")),
    Grammar(grammar='root ::= [a-z] root | "."'),
    JsonSchema(json_schema={"type": "null"}),
]


@parametrize_with_checks(COMPONENTS)
def test_conformance(component, check):
    check(component)
