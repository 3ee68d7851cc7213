"""Every option there is: what `gpt2sdk options` prints, and a JSON Schema of a call."""

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic.fields import FieldInfo
from pydantic.json_schema import (
    GenerateJsonSchema,
    JsonSchemaValue,
    JsonSchemaWarningKind,
)
from typing_extensions import override

from gpt2sdk.components.component import Component, neutral
from gpt2sdk.components.drafter import Drafter
from gpt2sdk.components.sampler import Sampler
from gpt2sdk.components.strategy import Strategy
from gpt2sdk.options.field import is_plain_number
from gpt2sdk.options.given import Given, spelled
from gpt2sdk.options.in_force import json_ready
from gpt2sdk.options.order import LISTS
from gpt2sdk.options.owners import CHAIN_ROLES, NAMED_ROLES, is_shared, unknown
from gpt2sdk.options.roles import role_asked_for
from gpt2sdk.options.settings import PER_PROMPT, Settings
from gpt2sdk.plugins.contract import role_name
from gpt2sdk.plugins.host import CORE
from gpt2sdk.plugins.origin import Origin
from gpt2sdk.plugins.registry import Offer, Registry

_NAMES: dict[str, type[Component]] = {
    "strategy": Strategy,
    "sampler": Sampler,
    "drafter": Drafter,
}
_TYPES = {
    **{setting: f"name or {role.__name__}" for setting, role in _NAMES.items()},
    **dict.fromkeys(LISTS, "list of components and callables"),
}
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


@dataclass(frozen=True, slots=True)
class OptionRecord:
    """One option, for people.

    Attributes:
        name: The short name.
        component: What has it; empty for the settings of every call.
        role: What that is; `call` for the settings of every call.
        type: What values it takes, in words.
        range: In which range numbers may lie, in words.
        default: Its default, JSON-ready, where it has one.
        required: Whether it has none.
        switch: Whether it turns its component on; then its default means "not used".
        per_prompt: Whether it may differ from prompt to prompt.
        description: What it does, and its unit.
        distribution: Where the component comes from.
        version: That distribution's version.
    """

    name: str
    component: str
    role: str
    type: str
    range: str
    default: object
    required: bool
    switch: bool
    per_prompt: bool
    description: str
    distribution: str
    version: str


def option_records(registry: Registry, name: str | None = None) -> list[OptionRecord]:
    """Return every option, those of every call first.

    Args:
        registry: All components.
        name: Only the options of this name, or those of the component or of the role of this name.

    Raises:
        OptionError: There is no such name.
    """
    records = [_record(Settings, option, CORE, "call") for option in Settings.model_fields]
    for offer in registry.offers():
        role = ", ".join(role_name(role) for role in offer.roles)
        records += [
            _record(offer.component, option, offer.origin, role)
            for option in offer.component.option_names()
        ]
    if name is None:
        return records
    wanted = spelled(name)
    found = [
        record
        for record in records
        if wanted in (record.name, record.component, f"{record.component}.{record.name}")
    ]
    if not found and (role := role_asked_for(name)):
        return [record for record in records if role in record.role.split(", ")]
    if not found and not registry.named(wanted):
        raise unknown(Given(name, None), registry)
    return found


def json_schema(registry: Registry) -> JsonSchemaValue:
    """Return a JSON Schema of the options of a call.

    It has every name that `compose` takes: short ones where they are clear, and
    `component.option`. What only Python can express, callables and the like, accepts anything.
    """
    properties: JsonSchemaValue = {}
    for option, (roles, _) in LISTS.items():
        properties[option] = _list_of(roles, registry, Settings.model_fields[option].description)
    for option in Settings.model_fields.keys() - LISTS.keys():
        schema = schema_of(Settings, option)
        if option in _NAMES:
            names = sorted({offer.name for offer in registry.offers(_NAMES[option])})
            schema["enum"] = names if option == "strategy" else [*names, None]
        properties[option] = _columns(schema, number=True) if option in PER_PROMPT else schema
    short: dict[str, list[JsonSchemaValue]] = {}
    for offer in registry.offers(*CHAIN_ROLES, *NAMED_ROLES):
        for option, schema in _schemas(offer):
            properties[f"{offer.name}.{option}"] = schema
            owners = registry.having(option, *CHAIN_ROLES)
            clear = len(owners) == 1 or not _in_chain(offer) or is_shared(option, owners)
            if clear and schema not in short.setdefault(option, []):
                short[option].append(schema)
    for option, schemas in short.items():
        if schemas:
            properties.setdefault(option, schemas[0] if len(schemas) == 1 else {"anyOf": schemas})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Options of gpt2sdk",
        "type": "object",
        "properties": dict(sorted(properties.items())),
        "additionalProperties": False,
    }


def _list_of(
    roles: tuple[type[Component], ...], registry: Registry, description: str | None
) -> JsonSchemaValue:
    """Return the schema of a list of components as data."""
    names = sorted({offer.name for offer in registry.offers(*roles)})
    item = {"type": "object", "properties": {"name": {"enum": names}}, "required": ["name"]}
    return {"type": "array", "items": item, "description": description or ""}


def _schemas(offer: Offer) -> Iterator[tuple[str, JsonSchemaValue]]:
    """Yield the schema of each option of a component."""
    for option, field in offer.component.model_fields.items():
        schema = schema_of(offer.component, option)
        yield option, _columns(schema, number=is_plain_number(field.annotation))


def _columns(schema: JsonSchemaValue, *, number: bool) -> JsonSchemaValue:
    """Allow one value for each prompt besides one for all."""
    kept = ("description", "default", "$defs")
    about = {key: value for key, value in schema.items() if key in kept}
    value = {key: value for key, value in schema.items() if key not in kept}
    values = {"type": "array", "items": {"anyOf": [value, {"type": "null"}]}}
    marked = {
        "type": "object",
        "properties": {"each": values},
        "required": ["each"],
        "additionalProperties": False,
    }
    return {**about, "anyOf": [value, *([values] if number else []), marked]}


def _in_chain(offer: Offer) -> bool:
    """Whether a component's options turn it on."""
    return bool(set(offer.roles) & set(CHAIN_ROLES))


def _record(component: type[Component], option: str, origin: Origin, role: str) -> OptionRecord:
    """Describe one option."""
    field: FieldInfo = component.model_fields[option]
    schema = schema_of(component, option)
    settings = component is Settings
    in_chain = issubclass(component, CHAIN_ROLES)
    return OptionRecord(
        name=option,
        component="" if settings else component.name,
        role=role,
        type=(settings and _TYPES.get(option)) or type_in_words(schema),
        range=range_in_words(schema),
        default=None if field.is_required() else json_ready(neutral(field)),
        required=field.is_required(),
        switch=in_chain and option == component.switch(),
        per_prompt=(
            option in PER_PROMPT if settings else issubclass(component, CHAIN_ROLES + NAMED_ROLES)
        ),
        description=field.description or "",
        distribution=origin.distribution,
        version=origin.version,
    )


class _Lenient(GenerateJsonSchema):
    """Fields that JSON cannot express (callables, models) accept anything, without a warning."""

    @override
    def handle_invalid_for_json_schema(self, schema: object, error_info: str) -> JsonSchemaValue:
        return {}

    @override
    def emit_warning(self, kind: JsonSchemaWarningKind, detail: str) -> None:
        """Say nothing: what JSON cannot express is left out on purpose."""


def schema_of(component: type[Component] | None, option: str) -> JsonSchemaValue:
    """Return the JSON Schema of one option, complete in itself.

    Args:
        component: What has it; `None` for the settings of every call.
        option: Its short name.

    >>> schema_of(None, "batch_size")["minimum"]
    1
    """
    whole = (component or Settings).model_json_schema(schema_generator=_Lenient)
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
