"""Every option there is: what `gpt2sdk options` prints, and a JSON Schema of a call."""

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue

from gpt2sdk import __version__
from gpt2sdk.components.component import Component, neutral
from gpt2sdk.components.drafter import Drafter
from gpt2sdk.components.sampler import Sampler
from gpt2sdk.components.strategy import Strategy
from gpt2sdk.generator.assignment import CHAIN_ROLES, NAMED_ROLES, is_shared, unknown
from gpt2sdk.generator.chain import LISTS
from gpt2sdk.generator.effective import json_ready
from gpt2sdk.generator.field import is_plain_number
from gpt2sdk.generator.given import Given, spelled
from gpt2sdk.generator.schema import range_in_words, schema_of, type_in_words
from gpt2sdk.generator.settings import PER_PROMPT, Settings
from gpt2sdk.plugins.contract import role_name
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
_CORE = Origin("gpt2sdk", "gpt2sdk", __version__)


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


def catalogue(registry: Registry, name: str | None = None) -> list[OptionRecord]:
    """Return every option, those of every call first.

    Args:
        registry: All components.
        name: Only the options of this name, or those of the component of this name.

    Raises:
        OptionError: There is no such name.
    """
    records = [_record(Settings, option, _CORE, "call") for option in Settings.model_fields]
    for offer in registry.offers():
        role = ", ".join(role_name(role) for role in offer.roles)
        records += [
            _record(offer.component, option, offer.origin, role)
            for option in offer.component.model_fields
        ]
    if name is None:
        return records
    wanted = spelled(name)
    found = [
        record
        for record in records
        if wanted in (record.name, record.component, f"{record.component}.{record.name}")
    ]
    if not found and not registry.named(wanted):
        raise unknown(Given(name, None), registry)
    return found


def json_schema(registry: Registry) -> JsonSchemaValue:
    """Return a JSON Schema of the options of a call.

    It has every name that `resolve` takes: short ones where they are clear, and
    `component.option`. What only Python can express, lists of components, is left out.
    """
    properties: JsonSchemaValue = {}
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


def _schemas(offer: Offer) -> Iterator[tuple[str, JsonSchemaValue]]:
    """Yield the schema of each option of a component."""
    for option, field in offer.component.model_fields.items():
        schema = schema_of(offer.component, option)
        if _in_chain(offer):
            schema = _columns(schema, number=is_plain_number(field.annotation))
        yield option, schema


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
    """Whether a component's options turn it on, and may differ from prompt to prompt."""
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
        per_prompt=in_chain or (settings and option in PER_PROMPT),
        description=field.description or "",
        distribution=origin.distribution,
        version=origin.version,
    )
