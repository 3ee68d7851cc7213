"""Every option is listed with type, range and place; a call says what it would run and why."""

import json
from collections.abc import Callable
from types import ModuleType

import pytest
from pydantic import Field

from gpt2sdk import hookimpl
from gpt2sdk.components.processor import LogitsProcessor, Stage
from gpt2sdk.components.stopping import StoppingCriterion
from gpt2sdk.components.strategy import strategy
from gpt2sdk.errors import OptionError
from gpt2sdk.options import compose, each, explain, json_schema, option_records
from gpt2sdk.options.catalogue import type_in_words
from gpt2sdk.plugins.registry import Registry, default_registry


class Heat(LogitsProcessor):
    """A processor with a number and a list."""

    stage = Stage.TEMPERATURE
    heat: float = Field(1.0, ge=0, le=2, description="How hot; 1 is off.")
    heat_only: tuple[int, ...] = Field((), description="Token ids.")


class Judge(StoppingCriterion):
    """A criterion with something JSON does not have."""

    judge: Callable[[str], bool] | None = Field(None, description="Whom to ask.")
    fee: int = Field(description="Needed.")


class Rival(LogitsProcessor):
    """Claims an option."""

    rival: bool = False
    fee: int = 1


@strategy(draws=False)
def beamish(session, *, width: int = 4):
    """Compare rows."""
    yield from ()


@strategy()
def wider(session, *, width: float = 4.0):
    """Compare more rows."""
    yield from ()


def registry(*components):
    """Return a registry of the core's components and these."""
    module = ModuleType("acme")

    @hookimpl
    def gpt2sdk_components():
        return components

    module.gpt2sdk_components = gpt2sdk_components
    return Registry([module], discover=False)


ACME = registry(Heat, Judge, Rival, beamish, wider)


def test_settings_come_first_and_components_follow_by_name():
    names = [record.name for record in option_records(ACME)]

    assert ["strategy", "max_new_tokens", "seed"] == names[:3]
    assert ["width", "heat", "heat_only", "judge", "fee", "rival", "fee", "width"] == names[-8:]


def test_an_option_is_described():
    (heat,) = (record for record in option_records(ACME, "heat") if record.name == "heat")

    assert ("number", "≥ 0, ≤ 2", 1.0) == (heat.type, heat.range, heat.default)
    assert ("heat", "logits processor", "How hot; 1 is off.") == (
        heat.component,
        heat.role,
        heat.description,
    )
    assert (True, True, False) == (heat.switch, heat.per_prompt, heat.required)


def test_options_are_found_by_their_name_their_component_and_both():
    assert ["judge", "fee"] == [record.name for record in option_records(ACME, "judge")]
    assert ["judge", "rival"] == [record.component for record in option_records(ACME, "fee")]
    assert ["rival"] == [record.component for record in option_records(ACME, "rival.fee")]
    assert ["max_new_tokens"] == [record.name for record in option_records(ACME, "max-new-tokens")]
    assert [] == option_records(ACME, "greedy")
    with pytest.raises(OptionError, match="there is no option haet: did you mean heat"):
        option_records(ACME, "haet")


def test_what_json_does_not_have_is_any():
    (judge, fee) = option_records(ACME, "judge")

    assert "any or none" == judge.type
    assert (True, None) == (fee.required, fee.default)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"enum": ["a", "b"]}, "'a' or 'b'"),
        ({"const": "a"}, "'a'"),
        ({"type": "boolean"}, "true or false"),
        ({"type": "array", "items": {"type": "string"}}, "list of texts"),
        (
            {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "number"}]},
            "(whole number, number)",
        ),
        (
            {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}},
            "list of lists of whole numbers",
        ),
        ({}, "any"),
    ],
)
def test_types_in_words(schema, words):
    assert words == type_in_words(schema)


def test_the_schema_names_what_a_call_takes():
    schema = json_schema(ACME)
    properties = schema["properties"]

    assert schema == json.loads(json.dumps(schema))
    assert ["beamish", "greedy", "sample", "wider"] == properties["strategy"]["enum"]
    assert ["greedy", "multinomial", None] == properties["sampler"]["enum"]
    assert {"heat", "heat.heat", "width", "rival.fee", "judge.fee"} <= properties.keys()
    assert "fee" not in properties
    assert "heat" in properties["processors"]["items"]["properties"]["name"]["enum"]
    assert schema["additionalProperties"] is False


def test_the_schema_allows_values_for_each_prompt():
    properties = json_schema(ACME)["properties"]
    one = {"type": "number", "minimum": 0.0, "maximum": 2.0}
    many = {"type": "array", "items": {"anyOf": [one, {"type": "null"}]}}

    assert [one, many] == properties["heat"]["anyOf"][:2]
    assert {"each"} == properties["heat"]["anyOf"][2]["properties"].keys()
    kinds = [branch.get("type") for branch in properties["heat_only"]["anyOf"]]
    assert ["array", "object"] == kinds
    assert {"type": "integer"} == properties["beamish.width"]["anyOf"][0]
    assert 4 == properties["beamish.width"]["default"]


def test_a_short_name_of_several_strategies_takes_what_any_takes():
    width = json_schema(ACME)["properties"]["width"]

    assert ["integer", "number"] == [branch["anyOf"][0]["type"] for branch in width["anyOf"]]


def test_every_installed_option_has_a_description_and_a_type():
    nameless = [
        f"{record.component}.{record.name}"
        for record in option_records(default_registry())
        if not record.description or not record.type
    ]

    assert [] == nameless


def test_the_parts_of_a_call_are_listed_in_order_with_their_reasons():
    def ban(logits, rows):
        return logits

    options = {"heat": each([0.5, 2.0]), "processors": [ban], "judge.judge": len, "judge.fee": 3}
    explanation = explain(compose(options, registry=ACME, prompts=2), ACME)

    assert [
        ("strategy", "sample", "", "default"),
        ("logits processor", "ban", "list", "processors[0]"),
        ("logits processor", "heat", "TEMPERATURE", "heat"),
        ("sampler", "multinomial", "", "default"),
        ("stopping criterion", "judge", "", "judge.judge, judge.fee"),
    ] == [(part.role, part.name, part.stage, part.why) for part in explanation.components]
    assert [0.5, 2.0] == explanation.components[2].options["heat"]
    assert ("gpt2sdk", "") == (
        explanation.components[0].distribution,
        explanation.components[1].distribution,
    )
    assert 2 == len(explanation.composition.seeds)


def test_a_strategy_that_does_not_draw_has_no_sampler_to_explain():
    parts = explain(compose({"strategy": "beamish"}, registry=ACME), ACME).components

    assert [("strategy", "beamish", "strategy")] == [(p.role, p.name, p.why) for p in parts]
