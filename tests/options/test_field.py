"""A text means what the option's type makes of it."""

import json
from typing import Annotated, Literal

import pytest
from pydantic.fields import FieldInfo

from gpt2sdk import Component
from gpt2sdk.options import parse
from gpt2sdk.options.given import read_each
from gpt2sdk.options.in_force import json_ready
from gpt2sdk.plugins.registry import default_registry

EACH = {"each": [["a"], None]}


@pytest.mark.parametrize(
    ("text", "annotation", "expected"),
    [
        ("0.8", float, 0.8),
        (".5", float, 0.5),
        ("1e-3", float, 0.001),
        ("40", int, 40),
        ("40.5", int, 40.5),
        ("true", bool, True),
        ("True", bool, True),
        ("yes", bool, "yes"),
        ("null", int | None, None),
        ("None", int | None, None),
        ("5", str, "5"),
        ("null", str, "null"),
        ('"5"', str, "5"),
        (r'"\n"', str, "\n"),
        ("END", tuple[str, ...], ["END"]),
        ("5", tuple[str, ...], ["5"]),
        ('["a", "b"]', tuple[str, ...], ["a", "b"]),
        ("[a", tuple[str, ...], ["[a"]),
        ("7", tuple[int, ...], [7]),
        ("[7, 8]", tuple[int, ...], [7, 8]),
        ('{"each": [["a"], null]}', tuple[str, ...], EACH),
        ("[0.1, 0.9]", float, [0.1, 0.9]),
        ("error", Literal["error", "slide"], "error"),
        ("=", str, "="),
        ("", str, ""),
        ("[" * 100_000, str, "[" * 100_000),
        ("9" * 5000, str, "9" * 5000),
    ],
)
def test_json_is_read_where_it_fits_the_type(text, annotation, expected):
    value = parse(text, FieldInfo(annotation=annotation))

    assert expected == value
    assert type(expected) is type(value)


def test_what_fits_no_type_is_handed_on_as_it_stands():
    assert "warm" == parse("warm", FieldInfo(annotation=float))


def test_limits_decide_as_well():
    either = FieldInfo(annotation=Annotated[str, FieldInfo(min_length=2)] | int)

    assert 5 == parse("5", either)


def test_all_installed_options_read_their_own_defaults():
    """What `gpt2sdk options` prints as a default can be typed."""
    for offer in default_registry().offers():
        fields = offer.component.model_fields
        needed = {name for name, field in fields.items() if field.is_required()}
        for name, field in fields.items():
            if name in needed:
                continue
            default = json_ready(field.get_default(call_default_factory=True))
            read = parse(json.dumps(default), field)
            assert default == read, f"{offer.name}.{name}"
            assert needed or isinstance(offer.component(**{name: read_each(read)}), Component)


@pytest.mark.parametrize("text", ['[["a"], ["b"]]', "[1, 2]", '{"a": 1}'])
def test_a_list_that_does_not_fit_is_no_text(text):
    field = FieldInfo(annotation=tuple[str, ...])

    assert json.loads(text) == parse(text, field)
