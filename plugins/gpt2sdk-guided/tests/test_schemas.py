"""Two hundred schemas on a weak model: what is finished is valid, and nearly all is finished."""

import json
import random
from string import ascii_lowercase

import jsonschema
import pytest

from gpt2sdk import Generator, each

_TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "value": {"type": "integer"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
            "required": ["value"],
        }
    },
    "$ref": "#/$defs/node",
}
_LIST = {
    "type": "object",
    "properties": {
        "head": {"type": "string"},
        "tail": {"anyOf": [{"type": "null"}, {"$ref": "#"}]},
    },
    "required": ["head", "tail"],
}
_FIXED = [{}, True, _TREE, _LIST, {"type": "object"}, {"type": "array"}, {"type": "number"}]


def make_schemas(count=200, seed=12):
    draw = random.Random(seed)  # noqa: S311 - schemas, no secrets
    drawn = [_schema(draw, 3) for _ in range(count - 3 * len(_FIXED))]
    return [*_FIXED * 3, *drawn]


def _schema(draw, depth):
    kinds = [_string, _integer, _number, _plain, _enum, _pattern, _const]
    nested = [_object, _object, _array, _either, _optional]
    return draw.choice(kinds + nested * 2 if depth else kinds)(draw, depth - 1)


def _string(draw, _):
    return draw.choice([{"type": "string"}, {"type": "string", "maxLength": draw.randint(1, 30)}])


def _integer(draw, _):
    low = draw.randint(-50, 50)
    return draw.choice(
        [{"type": "integer"}, {"type": "integer", "minimum": low, "maximum": low + 100}]
    )


def _number(draw, _):
    return draw.choice([{"type": "number"}, {"type": "number", "exclusiveMinimum": 0}])


def _plain(draw, _):
    return {"type": draw.choice(["null", "boolean"])}


def _enum(draw, _):
    return {"enum": draw.sample(["red", "green", 7, None, True, "dark blue", "é"], 3)}


def _const(draw, _):
    return {"const": draw.choice(["here", 5, None])}


def _pattern(draw, _):
    patterns = [r"^[A-Z]{2}\d{3}$", r"^(yes|no)$", r"^\d{4}-\d{2}$", r"^[a-z]+@[a-z]+\.org$"]
    return {"type": "string", "pattern": draw.choice(patterns)}


def _object(draw, depth):
    names = ["".join(draw.sample(ascii_lowercase, 4)) for _ in range(draw.randint(1, 4))]
    return {
        "type": "object",
        "properties": {name: _schema(draw, depth) for name in names},
        "required": draw.sample(names, draw.randint(0, len(names))),
        "additionalProperties": draw.choice([False, {"type": "integer"}]),
    }


def _array(draw, depth):
    return {"type": "array", "items": _schema(draw, depth), "minItems": draw.randint(0, 2)}


def _either(draw, depth):
    return {"anyOf": [_schema(draw, depth), _schema(draw, depth)]}


def _optional(draw, _):
    return {"type": ["string", "null"]}


@pytest.mark.slow
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
        jsonschema.validate(json.loads(completion.text), schema)
        assert json.loads(completion.text) == completion.parsed
    assert len(finished) >= 0.95 * len(schemas)
