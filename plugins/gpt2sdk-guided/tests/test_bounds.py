"""What a schema says holds in its bounded form, and nothing that fits it is lost to a bound."""

import json

import jsonschema
import pytest
from llguidance import LLMatcher, LLTokenizer

from gpt2sdk import OptionError
from gpt2sdk_guided.json_schema import JsonSchema

INTEGERS = {"a": {"type": "integer"}, "b": {"type": "integer"}}
PAIR = {"type": "object", "properties": INTEGERS, "required": ["a"]}
CAT = {"properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}}, "required": ["kind"]}
DOG = {"properties": {"kind": {"const": "dog"}, "tricks": {"type": "null"}}, "required": ["kind"]}


def fits(schema, text, **options):
    """Whether a text may be written; what may must fit the schema as it was."""
    source = JsonSchema(json_schema=schema, **options).source()
    matcher = LLMatcher(LLTokenizer("byte"), source, log_level=0)
    assert "" == matcher.get_error()
    ids = list(text.encode())
    written = matcher.validate_tokens(ids) == len(ids)
    written = written and matcher.consume_tokens(ids) and matcher.is_accepting()
    if written and schema is not None:
        jsonschema.validate(json.loads(text), schema)
    return written


@pytest.mark.parametrize(
    ("schema", "fitting", "others"),
    [
        (
            {"$defs": {"P": PAIR}, "$ref": "#/$defs/P", "required": ["b"]},
            ['{"a":1,"b":2}'],
            ['{"b":2}', '{"a":1}'],
        ),
        (
            {"$defs": {"P": {"type": "integer", "maximum": 5}}, "$ref": "#/$defs/P", "maximum": 50},
            ["5"],
            ["7"],
        ),
        (
            {"$defs": {"P": {"minLength": 5}}, "$ref": "#/$defs/P", "minLength": 1},
            ['"abcde"'],
            ['"a"'],
        ),
        (
            {
                "$defs": {"P": PAIR},
                "$ref": "#/$defs/P",
                "properties": {"a": {"minimum": 5}},
                "anyOf": [{"required": ["b"]}, {"properties": {"a": {"maximum": 6}}}],
            },
            ['{"a":6}', '{"a":9,"b":1}'],
            ['{"a":9}', '{"a":1,"b":1}', '{"b":1}'],
        ),
        (
            {
                "allOf": [
                    {"properties": {"a": {"type": "integer"}}},
                    {"properties": {"b": {"type": "null"}}, "required": ["b"]},
                ]
            },
            ['{"a":1,"b":null}', '{"b":null}'],
            ['{"a":1}', '{"b":2}'],
        ),
        (
            {
                "$defs": {"Y": {"type": "null"}},
                "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
                "properties": {"a": {"$ref": "#/$defs/Y"}, "b": {"$ref": "#/$defs/Y"}},
            },
            ['{"a":null}', '{"b":null}'],
            ["{}", '{"a":1}'],
        ),
        (
            {"allOf": [{"pattern": "^a"}, {"pattern": "b$", "type": "string"}, {"maxLength": 3}]},
            ['"ab"', '"axb"'],
            ['"a"', '"axxb"'],
        ),
        ({"allOf": [{"multipleOf": 4}, {"type": "integer", "multipleOf": 6}]}, ["12"], ["4", "6"]),
        ({"allOf": [{"enum": [1, True, "a"]}, {"enum": [1.0, "a"]}]}, ["1", '"a"'], ["true"]),
        (
            {
                "allOf": [
                    {"additionalProperties": {"type": "integer"}, "required": ["x"]},
                    {"properties": {"x": {"minimum": 3}}},
                ]
            },
            ['{"x":3}'],
            ['{"x":2}', '{"x":"a"}', "{}"],
        ),
        (
            {
                "allOf": [
                    {"type": "array", "prefixItems": [{"type": "integer"}]},
                    {"items": {"maximum": 3}},
                    {"minItems": 1, "maxItems": 2},
                ]
            },
            ["[3]", "[1,2]"],
            ["[4]", "[]", "[1,9]"],
        ),
        (
            {"oneOf": [CAT, DOG], "type": "object"},
            ['{"kind":"cat","lives":9}', '{"kind":"dog","tricks":null}'],
            ['{"kind":"cow"}', '{"kind":"cat","lives":null}'],
        ),
    ],
)
def test_what_stands_side_by_side_holds_together(schema, fitting, others):
    assert [True] * len(fitting) == [fits(schema, text) for text in fitting]
    assert [False] * len(others) == [fits(schema, text) for text in others]


@pytest.mark.parametrize(
    ("reference", "text"),
    [("#/anyOf/0", "[null]"), ("#/$defs/A%20B", "[true]"), ("#/$defs/x~1~0%25", "[7]")],
)
def test_a_reference_leads_through_lists_and_escapes(reference, text):
    schema = {
        "$defs": {"A B": {"const": True}, "x/~%": {"const": 7}},
        "anyOf": [{"type": "null"}, {"type": "array", "items": {"$ref": reference}}],
    }

    assert fits(schema, text)


@pytest.mark.parametrize(
    "more", [True, {}, {"type": "integer"}, {"anyOf": [{"type": "integer"}, {"type": "null"}]}]
)
def test_other_keys_come_where_a_schema_allows_them(more):
    schema = {**PAIR, "additionalProperties": more}

    assert fits(schema, '{"a":1,"b":2,"other":5}')
    assert fits(schema, '{"a":1}')
    assert fits({**schema, "required": ["a", "b"]}, '{"a":1,"b":2,"aa":5,"_b":5}')
    # At most `json_max_items` of them.
    assert fits(schema, '{"a":1,"b":2,"c":1,"d":2}', json_max_items=2)
    assert not fits(schema, '{"a":1,"b":2,"c":1,"d":2,"e":3}', json_max_items=2)


def test_other_keys_are_none_of_those_that_are_named():
    schema = {
        "properties": {"name": {"type": "null"}, "no": False},
        "required": ["name"],
        "additionalProperties": True,
    }

    assert fits(schema, '{"name":null,"names":1,"n":2,"nO":3}')
    assert not fits(schema, '{"name":null,"no":1}')
    assert not fits(schema, '{"name":1}')


def test_other_keys_that_are_not_spoken_of_do_not_come():
    assert not fits(PAIR, '{"a":1,"b":2,"c":3}')


@pytest.mark.parametrize(
    ("schema", "text", "options"),
    [
        ({"type": "string", "pattern": "^a{100}$"}, f'"{"a" * 100}"', {}),
        (
            {"type": "string", "format": "uuid"},
            f'"{"0" * 8}-{"-".join(["0000"] * 3)}-{"0" * 12}"',
            {"json_max_length": 3},
        ),
        ({"type": "number", "minimum": 1e-7, "maximum": 2e-7}, "0.00000015", {}),
        ({"type": "integer", "minimum": 1001, "multipleOf": 5000}, "5000", {"json_digits": 2}),
        ({"type": "number", "multipleOf": 0.5, "exclusiveMaximum": 1}, "0.5", {}),
        ({"type": "string", "minLength": 70}, f'"{"a" * 70}"', {}),
        ({"type": "array", "minItems": 9, "items": {"type": "null"}}, f"[{'null,' * 8}null]", {}),
        ({**PAIR, "minProperties": 2}, '{"a":1,"b":2}', {}),
        ({**PAIR, "minProperties": 3}, '{"a":1,"b":2,"c":3}', {"json_max_items": 0}),
        ({**PAIR, "maxProperties": 1}, '{"a":1}', {}),
    ],
)
def test_a_bound_gives_way_where_nothing_would_be_left(schema, text, options):
    assert fits(schema, text, **options)


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"properties": ["a"]}, r"has \['a'\] at #/properties, expected an object"),
        ({"patternProperties": []}, "at #/patternProperties, expected an object"),
        ({"anyOf": 5}, "has 5 at #/anyOf, expected a list of schemas"),
        ({"required": 5}, "has 5 at #/required, expected a list of names"),
        ({"type": 5}, "has 5 at #/type, expected one of null"),
        ({"type": {}}, "at #/type, expected one of null"),
        ({"items": {"maxLength": "x"}}, "has 'x' at #/items/maxLength, expected a whole number"),
        ({"enum": "ab"}, "at #/enum, expected a list of values"),
        ({"properties": {"a": {"minimum": True}}}, "at #/properties/a/minimum, expected a number"),
        ({"$defs": {"A": {"$ref": 5}}, "$ref": "#/$defs/A"}, "has 5 at #/\\$defs/A/\\$ref"),
        ({"typ": "object"}, "has 'typ' at #: did you mean 'type'?"),
        ({"uniqueItems": True}, "has 'uniqueItems' at #, which cannot be followed"),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "several parts may fit"),
        ({"oneOf": [{**CAT, "required": []}, {**DOG, "required": []}]}, "several parts may fit"),
        ({"allOf": [{"type": "null"}, {"type": "string"}]}, "leaves nothing to write"),
        ({"const": 5, "minimum": 7}, "leaves nothing to write"),
        (
            {
                "allOf": [
                    {"patternProperties": {"^a": {}}, "additionalProperties": False},
                    {"patternProperties": {"b$": {}}},
                ]
            },
            "rules out some of them",
        ),
    ],
)
def test_a_schema_that_is_none_is_refused_by_its_place(schema, said):
    with pytest.raises(OptionError, match=said):
        JsonSchema(json_schema=schema).bounded()


def test_a_keyword_that_says_nothing_is_no_error():
    schema = {"type": "null", "uniqueItems": False, "unevaluatedProperties": True, "x-mine": 1}

    assert {"type": "null"} == JsonSchema(json_schema=schema).bounded()
