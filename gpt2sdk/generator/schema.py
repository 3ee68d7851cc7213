"""A component's options as JSON Schema, and such a schema in words."""

from pydantic.json_schema import (
    GenerateJsonSchema,
    JsonSchemaValue,
    JsonSchemaWarningKind,
)
from typing_extensions import override

from gpt2sdk.components.component import Component
from gpt2sdk.generator.effective import json_ready

_LIMITS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "multipleOf": "a multiple of {}",
}
_WORDS = {
    "number": "number",
    "integer": "whole number",
    "string": "text",
    "boolean": "true or false",
    "null": "none",
    "object": "mapping",
}
_COUNTED = {"number", "whole number", "text", "mapping"}


class _Lenient(GenerateJsonSchema):
    """Fields that JSON cannot express (callables, models) accept anything, without a warning."""

    @override
    def handle_invalid_for_json_schema(self, schema: object, error_info: str) -> JsonSchemaValue:
        return {}

    @override
    def emit_warning(self, kind: JsonSchemaWarningKind, detail: str) -> None:
        """Say nothing: what JSON cannot express is left out on purpose."""


def schema_of(component: type[Component], option: str) -> JsonSchemaValue:
    """Return the JSON Schema of one option, complete in itself.

    >>> from gpt2sdk.generator.settings import Settings
    >>> schema_of(Settings, "batch_size")["minimum"]
    1
    """
    whole = component.model_json_schema(schema_generator=_Lenient)
    schema: JsonSchemaValue = {**whole["properties"][option]}
    schema.pop("title", None)
    if "default" in schema:
        schema["default"] = json_ready(schema["default"])
    if "$defs" in whole:
        schema["$defs"] = whole["$defs"]
    return schema


def type_in_words(schema: JsonSchemaValue, plural: str = "") -> str:
    """Say what values a schema allows, but for their range.

    Args:
        schema: A JSON Schema.
        plural: What is put behind each word, `s` for several values.

    >>> type_in_words(
    ...     {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "null"}]}
    ... )
    'list of whole numbers or none'
    """
    if "enum" in schema or "const" in schema:
        return " or ".join(repr(value) for value in schema.get("enum", [schema.get("const")]))
    if "anyOf" in schema:
        branches = [type_in_words(branch, plural) for branch in schema["anyOf"]]
        return " or ".join(dict.fromkeys(branches))
    if "prefixItems" in schema:
        return f"({', '.join(type_in_words(member) for member in schema['prefixItems'])})"
    if schema.get("type") == "array":
        return f"list{plural} of {type_in_words(schema.get('items', {}), 's')}"
    word = _WORDS.get(str(schema.get("type")), "any")
    return f"{word}{plural}" if word in _COUNTED else word


def range_in_words(schema: JsonSchemaValue) -> str:
    """Say in which range numbers may lie; empty where any may.

    >>> range_in_words({"type": "number", "minimum": 0.0, "maximum": 1.0})
    '≥ 0, ≤ 1'
    """
    branches = [schema, *schema.get("anyOf", ()), schema.get("items", {})]
    found = [
        words.format(f"{branch[key]:g}")
        for branch in branches
        for key, words in _LIMITS.items()
        if key in branch
    ]
    return ", ".join(dict.fromkeys(found))
