"""Values on the command line mean what the option's type makes of them."""

from typing import Annotated, Literal

import pytest
from pydantic.fields import FieldInfo

from gpt2sdk import Component, LogitsProcessor, OptionError, hookimpl
from gpt2sdk.cli.given_options import parse, read_options
from gpt2sdk.generator.each import read_each
from gpt2sdk.plugins.registry import Registry

EACH = {"each": [["a"], None]}


class Dry(LogitsProcessor):
    """A processor with several options."""

    dry_multiplier: float = 0.0
    base: float = 1.75
    breakers: tuple[str, ...] = ()


class Plugin:
    """Offers it."""

    @hookimpl
    def gpt2sdk_components(self):
        return (Dry,)


@pytest.fixture(scope="module")
def registry():
    return Registry([Plugin()])


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


def test_what_fits_no_type_is_handed_on_as_it_stands(registry):
    assert {"temperature": "warm"} == read_options(["temperature=warm"], {}, registry)


def test_limits_decide_as_well():
    either = FieldInfo(annotation=Annotated[str, FieldInfo(min_length=2)] | int)

    assert 5 == parse("5", either)


def test_a_name_has_one_component(registry):
    options = read_options(["dry.base=2", "breakers=5", "dry-multiplier=1"], {}, registry)

    assert {"dry.base": 2, "breakers": ["5"], "dry-multiplier": 1} == options


def test_a_strategy_has_its_own_options(registry):
    assert {"strategy": "beam", "early_stopping": "never"} == read_options(
        ["strategy=beam", "early_stopping=never"], {}, registry
    )
    assert {"strategy": "beam", "num_beams": 3} == read_options(
        ["num_beams=3"], {"strategy": "beam", "seed": None}, registry
    )


def test_a_shared_option_is_read_like_that_of_one_component(registry):
    written = ["top_p=0.9", "min_tokens_to_keep=2", "min-p.min-tokens-to-keep=3", "min_p=.1"]

    assert {
        "top_p": 0.9,
        "min_tokens_to_keep": 2,
        "min-p.min-tokens-to-keep": 3,
        "min_p": 0.1,
    } == read_options(written, {}, registry)


def test_a_value_may_contain_an_equals_sign(registry):
    assert {"stop": "a=b"} == read_options(["stop=a=b"], {}, registry)


@pytest.mark.parametrize(
    ("written", "flags", "message"),
    [
        (["top_k=1", "top-k=2"], {}, "top-k is given twice"),
        (["top_k=1"], {"top_k": 2}, "top_k is given twice"),
        (["=1"], {}, "-o =1: expected name=value"),
        (["num_beams=2"], {}, "num_beams is an option of the strategy beam: choose it"),
        (["dry.bass=2"], {}, "dry.bass is not an option: dry has dry_multiplier, base, breakers"),
    ],
)
def test_mistakes_say_what_to_do(registry, written, flags, message):
    with pytest.raises(OptionError, match=message):
        read_options(written, flags, registry)


def test_all_installed_options_read_their_own_defaults(registry):
    """What `gpt2sdk options` prints as a default can be typed."""
    import json

    from gpt2sdk.generator.effective import json_ready

    for offer in registry.offers():
        for name, field in offer.component.model_fields.items():
            if field.is_required():
                continue
            default = json_ready(field.get_default(call_default_factory=True))
            read = parse(json.dumps(default), field)
            assert default == read, f"{offer.name}.{name}"
            assert isinstance(offer.component(**{name: read_each(read)}), Component)
