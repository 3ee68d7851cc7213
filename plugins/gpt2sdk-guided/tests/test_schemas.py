"""Two hundred schemas on a weak model: what is finished is valid, and nearly all is finished."""

import json
import random
from collections import Counter
from collections.abc import Mapping
from datetime import date
from enum import Enum
from string import ascii_lowercase
from typing import Literal

import jsonschema
import pytest
from pydantic import BaseModel, Field

from gpt2sdk import Generator, each


class Colour(Enum):
    RED = "red"
    GREEN = "green"


class Pet(BaseModel):
    name: str = Field(max_length=12)
    legs: int = Field(ge=0, le=8)
    colour: Colour | None = None


class Owner(BaseModel):
    kind: Literal["owner"]
    born: date
    pets: list[Pet] = Field(max_length=2)


class Branch(BaseModel):
    label: str = Field(pattern="^[a-z]{1,6}$")
    left: "Branch | None" = None
    right: "Branch | None" = None


class Move(BaseModel):
    action: Literal["go", "stay"]
    steps: tuple[int, int]
    weight: float = Field(gt=0, lt=1)


MODELS = [Pet, Owner, Branch, Move]
NODE = {
    "type": "object",
    "properties": {
        "value": {"type": "integer"},
        "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
    },
    "required": ["value"],
}
SMALL = {"$defs": {"small": {"type": "integer", "minimum": 0}}}
FIXED = [
    {},
    True,
    {"type": "object"},
    {"type": "array"},
    {"type": "number"},
    {"$defs": {"node": NODE}, "$ref": "#/$defs/node"},
    {
        "type": "object",
        "properties": {
            "head": {"type": "string"},
            "tail": {"anyOf": [{"type": "null"}, {"$ref": "#"}]},
        },
        "required": ["head", "tail"],
    },
    # What stands beside a reference holds as well.
    {**SMALL, "$ref": "#/$defs/small", "maximum": 9},
    {**SMALL, "$ref": "#/$defs/small", "multipleOf": 5},
    {**SMALL, "type": "array", "items": {"$ref": "#/$defs/small", "maximum": 99}, "maxItems": 3},
    {"$defs": {"node": NODE}, "$ref": "#/$defs/node", "required": ["children"]},
]
PATTERNS = [
    *(r"^[A-Z]{2}\d{3}$", r"^(yes|no)$", r"^\d{4}-\d{2}$", r"^[a-z]+@[a-z]+\.org$"),
    *(r"^#[0-9a-f]{6}$", r"^(?:\w+ ){2}\w+$", r"^[^aeiou]{3,8}$", r"^v\d+\.\d+$"),
]
FORMATS = ["date", "time", "date-time", "ipv4", "ipv6", "uuid", "email", "hostname"]


def make_schemas(count=200, seed=12):
    """Return schemas that differ: fixed ones, pydantic models, and each kind drawn in turn."""
    draw = random.Random(seed)  # noqa: S311 - schemas, no secrets
    schemas = [*FIXED, *MODELS]
    known = set(map(_text, schemas))
    kinds = [*_PLAIN, *_NESTED * 2]
    at = 0
    while len(schemas) < count:
        schema = kinds[at % len(kinds)](draw, 2)
        at += 1
        if (text := _text(schema)) not in known:
            known.add(text)
            schemas.append(schema)
    return schemas


def _plain_schema(schema):
    return schema.model_json_schema() if isinstance(schema, type) else schema


def _text(schema):
    return json.dumps(_plain_schema(schema), sort_keys=True)


def _schema(draw, depth):
    kinds = [*_PLAIN, *_NESTED * 2] if depth else _PLAIN
    return draw.choice(kinds)(draw, depth - 1)


def _string(draw, _):
    least = draw.randint(0, 4)
    bounds = draw.choice([{}, {"maxLength": draw.randint(4, 30)}, {"minLength": least}])
    return {"type": "string", **bounds}


def _integer(draw, _):
    low = draw.randint(-50, 50)
    bounds = draw.choice([{}, {"minimum": low, "maximum": low + 100}, {"exclusiveMaximum": low}])
    return {"type": "integer", **bounds, **draw.choice([{}, {"multipleOf": draw.randint(2, 5)}])}


def _number(draw, _):
    low = draw.randint(-20, 20) / 4
    ends = draw.choice([("minimum", "maximum"), ("exclusiveMinimum", "exclusiveMaximum")])
    return {"type": "number", ends[0]: low, **draw.choice([{}, {ends[1]: low + 2.5}])}


def _kinds(draw, _):
    return {"type": draw.sample(["null", "boolean", "integer", "string"], draw.randint(1, 3))}


def _enum(draw, _):
    values = ["red", "green", 7, None, True, "dark blue", "é", -1.5, [1, 2], {"a": "b"}]
    return {"enum": draw.sample(values, draw.randint(2, 4))}


def _const(draw, _):
    return {"const": draw.choice(["here", 5, None, False, "a\nb", [], {"k": 1}, "“quoted”"])}


def _pattern(draw, _):
    return {"type": "string", "pattern": draw.choice(PATTERNS)}


def _format(draw, _):
    return {"type": "string", "format": draw.choice(FORMATS)}


def _names(draw):
    return ["".join(draw.sample(ascii_lowercase, 4)) for _ in range(draw.randint(1, 4))]


def _object(draw, depth):
    names = _names(draw)
    return {
        "type": "object",
        "properties": {name: _schema(draw, depth) for name in names},
        "required": draw.sample(names, draw.randint(0, len(names))),
        "additionalProperties": draw.choice([False, {"type": "integer"}]),
    }


def _array(draw, depth):
    least = draw.randint(0, 2)
    most = draw.choice([{}, {"maxItems": least + draw.randint(0, 2)}])
    return {"type": "array", "items": _schema(draw, depth), "minItems": least, **most}


def _tuple(draw, depth):
    first = [_schema(draw, depth) for _ in range(draw.randint(1, 3))]
    return {"type": "array", "prefixItems": first, "items": False, "minItems": len(first)}


def _either(draw, depth):
    return {"anyOf": [_schema(draw, depth), _schema(draw, depth)]}


def _one(draw, depth):
    """Objects that a key tells apart."""
    kinds = draw.sample(["cat", "dog", "fox"], 2)
    return {
        "oneOf": [
            {
                "type": "object",
                "properties": {"kind": {"const": kind}, "of": _schema(draw, depth)},
                "required": ["kind"],
                "additionalProperties": False,
            }
            for kind in kinds
        ]
    }


def _all(draw, depth):
    names = _names(draw)
    typed = {"type": "object", "properties": {name: _schema(draw, depth) for name in names}}
    return {"allOf": [typed, {"required": names[:1]}]}


_PLAIN = [_string, _integer, _number, _kinds, _enum, _const, _pattern, _format]
_NESTED = [_object, _array, _tuple, _either, _one, _all]


def _words(schema):
    """Yield every keyword of a schema."""
    if isinstance(schema, Mapping):
        yield from schema
    if isinstance(schema, Mapping | list):
        for part in schema.values() if isinstance(schema, Mapping) else schema:
            yield from _words(part)


def test_two_hundred_schemas_differ_and_have_every_keyword():
    schemas = make_schemas()

    texts = list(map(_text, schemas))
    words = Counter(word for each in schemas for word in _words(_plain_schema(each)))
    wanted = "properties required enum const pattern format $ref anyOf oneOf allOf prefixItems"
    wanted += " minItems maxItems minimum maximum exclusiveMinimum exclusiveMaximum multipleOf"
    wanted += " minLength maxLength additionalProperties"
    assert (200, 200) == (len(texts), len(set(texts)))
    assert set() == set(wanted.split()) - words.keys()
    assert make_schemas(seed=13) != schemas


@pytest.mark.slow
@pytest.mark.timeout(900)  # on a busy machine
def test_two_hundred_schemas_end_in_valid_json():
    schemas = make_schemas()
    generator = Generator.from_pretrained("storyteller")

    result = generator.generate(
        ["The king wrote:"] * len(schemas),
        json_schema=each(schemas),
        max_new_tokens=400,
        seed=7,
    )

    finished = [
        (schema, completion)
        for schema, completion in zip(schemas, result.completions, strict=True)
        if completion.finish_reason in ("constraint_complete", "end_token")
    ]
    for schema, completion in finished:
        value = json.loads(completion.text)
        jsonschema.validate(value, _plain_schema(schema))
        is_model = isinstance(schema, type)
        assert completion.parsed == (schema.model_validate(value) if is_model else value)
    assert len(finished) >= 0.95 * len(schemas)
