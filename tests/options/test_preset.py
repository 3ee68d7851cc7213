"""Presets name installed components and set their fields: nothing else, and nothing too large."""

import json
import sys
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field

from gpt2sdk.components.preset_rules import (
    CALLER_ONLY_RULE,
    GRAMMAR_RULE,
    PATTERN_RULE,
    PRESET_LIMITS,
)
from gpt2sdk.components.processor import LogitsProcessor
from gpt2sdk.components.records import Result, Usage
from gpt2sdk.components.sampler import Sampler
from gpt2sdk.components.stopping import StoppingCriterion
from gpt2sdk.components.strategy import strategy
from gpt2sdk.errors import OptionError
from gpt2sdk.options import CHAIN_ROLES, NAMED_ROLES, compose, read_preset
from gpt2sdk.plugins.registry import default_registry


class Heat(LogitsProcessor):
    """Shapes a draw."""

    heat: float = Field(1.0, ge=0)


class Words(StoppingCriterion):
    """Looks for an expression."""

    words: Annotated[tuple[str, ...] | str, PATTERN_RULE, Field()] = ()


class Helper(LogitsProcessor):
    """Reads a file."""

    helper: Annotated[str | None, CALLER_ONLY_RULE, Field()] = None


class Form(LogitsProcessor):
    """Says what form a text has."""

    form: Annotated[str | tuple[object, ...] | None, GRAMMAR_RULE, Field()] = None


class Tuned(Sampler):
    """Has an option."""

    tau: float = 5.0


@strategy()
def wide(session, *, width: int = 4):
    """Compare rows."""
    yield from ()


@strategy(draws=False)
def still(session):
    """Draw nothing."""
    yield from ()


WIDE = {"role": "strategy", "name": "wide", "options": {}}


def recorded(options=None, **fields):
    """Return a record as JSON has it."""
    return {"options": options or {}, "row_seeds": [1], **fields}


COMPONENTS = (Heat, Words, Helper, Form, Tuned, wide, still)


@pytest.fixture
def preset(registry):
    """Compose a preset with options beside it."""

    def run(config, prompts=1, **options):
        return compose(options, registry=registry, prompts=prompts, config=read_preset(config))

    return run


@pytest.fixture
def refused(preset):
    """Return the message with which a preset is refused."""

    def run(config, **options):
        with pytest.raises(OptionError) as caught:
            preset(config, **options)
        return str(caught.value)

    return run


def test_a_preset_sets_options_and_the_call_goes_before_it(preset):
    config = {"heat": 0.5, "strategy": "wide", "width": 2, "seed": 5}

    assert (0.5, 2, 5) == tuple(preset(config).in_force[name] for name in ("heat", "width", "seed"))
    assert (0.7, 2, 6) == tuple(
        preset(config, heat=0.7, seed=6).in_force[name] for name in ("heat", "width", "seed")
    )
    assert 0.7 == preset({"heat": 0.5}, heat=0.7).in_force["heat"]


def test_both_spellings_are_one_option(preset):
    assert 3 == preset({"max-new-tokens": 5}, max_new_tokens=3).in_force["max_new_tokens"]


def test_lists_hold_components_as_data(preset, refused):
    composition = preset(
        {
            "processors": [{"name": "heat", "heat": 0.5}],
            "stopping": [{"name": "words", "words": "a"}],
        }
    )

    assert [Heat(heat=0.5), Words(words="a")] == [each.component for each in composition.entries]
    assert "processors[1]: there is no logits processor 'haet': did you mean heat?" == refused(
        {"processors": [{"name": "heat", "heat": 0.5}, {"name": "haet"}]}
    )
    assert "processors[0]: warmth is not an option of heat" in refused(
        {"processors": [{"name": "heat", "warmth": 0.5}]}
    )
    assert 'processors[0] is {}, expected {"name": "…"} with its options' == refused(
        {"processors": [{}]}
    )
    assert "there is no logits processor 'tuned'" in refused({"processors": [{"name": "tuned"}]})


def test_naming_another_component_leaves_its_predecessors_options_out(preset):
    config = {"strategy": "wide", "width": 2, "heat": 0.5}

    assert {"strategy": "sample", "heat": 0.5}.items() <= preset(
        config, strategy="sample"
    ).in_force.items()
    assert 3 == preset(config, strategy=wide.component(width=3)).in_force["width"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"haet": 1.0}, "there is no option haet: did you mean heat?"),
        ({"strategy": "os.system"}, "there is no strategy 'os.system'"),
        ({"strategy": "gpt2sdk.defaults:greedy"}, "there is no strategy"),
        ({"sampler": "__class__"}, "there is no sampler '__class__'"),
        ({"heat.__class__": 1}, "heat.__class__ is not an option"),
        ({"__class__": 1}, "there is no option __class__"),
        ({"processors": ["heat"]}, "processors[0] is the text 'heat', expected a component, a"),
        ({"stopping": ["heat"]}, 'a callable or {"name": "heat"} with its options'),
        ({"processors": [{"name": "builtins.eval"}]}, "no logits processor 'builtins.eval'"),
        ({"helper": "secrets.txt"}, "helper names files, models or code, which a preset cannot"),
        ({"helper.helper": "a"}, "helper.helper names files, models or code"),
        ({"helper": {"each": ["a"]}}, "helper names files, models or code"),
        ({"processors": [{"name": "helper", "helper": "a"}]}, "processors[0]: helper names files"),
        ({"heat": len}, "heat is <built-in function len>, expected what JSON has"),
        ({"heat": Heat()}, "expected what JSON has: give objects with the call"),
        ({"sampler": {"name": "tuned"}}, "sampler expects a name or a Sampler"),
        ({5: 1}, "config has the key 5, expected a text"),
        ([], "config is [], expected options as a dictionary"),
        ("preset.json", "a result: no file is opened, give what json.load returns"),
        (Path("preset.json"), "a result: no file is opened, give what json.load returns"),
        ('{"heat": 0.5}', "a result: give json.loads(text), or CallRecord.from_json(text)"),
        (Result((), Usage(), {}), "the record of a result: give result.record"),
        ({"type": "object"}, "a JSON schema, which is no preset: give it as json_schema="),
        ({"properties": {}}, "a JSON schema, which is no preset: give it as json_schema="),
        ({"options": {}, "modle": {}}, "a record has no modle: did you mean model?"),
        ({"options": {}}, "a record has no row_seeds: expected a list of whole numbers"),
        (recorded(row_seeds=[]), "a record has no row_seeds: expected one for each prompt"),
        (recorded(row_seeds=["x"]), "has ['x'] as its row_seeds, expected a list of whole numbers"),
        (recorded(row_seeds=[True]), "as its row_seeds, expected a list of whole numbers"),
        ({**recorded(), "options": 3}, "a record is an object with options"),
        (recorded(components=[3]), "components[0] of a record is 3, expected an object with role"),
        (recorded(components={}), "a record has {} as its components, expected a list"),
        (recorded(components=[{}]), "components[0] of a record has no role: expected a text"),
        (recorded(components=[{**WIDE, "nam": 1}]), "has no nam: did you mean name?"),
        (recorded(components=[{**WIDE, "options": 3}]), "has 3 as its options, expected an object"),
        (recorded(components=[{**WIDE, "name": 3}]), "has 3 as its name, expected a text"),
        (recorded(components=[{**WIDE, "columns": [3]}]), "as its columns, expected a list of tex"),
        (
            recorded({"strategy": "sample"}, components=[WIDE]),
            "a record's strategy is 'wide' in its components and 'sample' in its options",
        ),
        (
            recorded(components=[{**WIDE, "role": "logits processor", "name": "foo"}]),
            "the record has the logits processor 'foo', which is not installed",
        ),
        (recorded(model=[]), "a record has [] as its model, expected an object"),
        (recorded(versions={"torch": 2}), "as its versions, expected an object of texts"),
        (recorded(unrepeatable={"x": 1}), "as its unrepeatable, expected an object of texts"),
        (recorded(columns=["heat"]), "has None as its heat, expected 1 values, one for each of"),
        (
            recorded({"heat": [0.5, 0.7]}, columns=["heat"]),
            "has [0.5, 0.7] as its heat, expected 1 values, one for each of its row_seeds",
        ),
        (
            recorded(components=[{**WIDE, "options": {"width": 2}, "columns": ["width"]}]),
            "a record's component wide has 2 as its width, expected 1 values",
        ),
    ],
    ids=str,
)
def test_what_a_preset_cannot_do(refused, config, message):
    assert message in refused(config)


def test_the_caller_may_set_what_a_preset_cannot(preset):
    assert "a" * 20_001 == preset({"heat": 0.5}, form="a" * 20_001).in_force["form"]
    assert "a.txt" == preset({"heat": 0.5}, helper="a.txt").in_force["helper"]
    assert None is preset({"heat": 0.5, "helper": None}).in_force.get("helper")


def test_a_record_of_several_prompts_says_how_one_is_repeated(preset, refused):
    record = recorded({"heat": [0.5, 0.7]}, row_seeds=[1, 2], columns=["heat"])

    assert (
        "the record is of a call of 2 prompts, with a value of heat for each, and this one has "
        "1 prompt: give as many, or for one of them record.for_prompt(index)"
    ) == refused(record)
    assert [0.5, 0.7] == preset(record, prompts=2).in_force["heat"]
    assert 0.6 == preset(record, heat=0.6).in_force["heat"]


def test_a_strategy_that_takes_no_sampler_leaves_the_presets_out(preset, refused):
    config = {"sampler": "tuned", "tau": 3.0, "seed": 1}

    assert 3.0 == preset(config, strategy="wide").in_force["tau"]
    assert not {"sampler", "tau"} & preset(config, strategy="greedy").in_force.keys()
    assert not {"sampler", "tau"} & preset(config, strategy=still).in_force.keys()
    assert "sampler has no effect with the strategy greedy" in refused(
        config, strategy="greedy", sampler="tuned"
    )
    assert "sampler has no effect with the strategy greedy" in refused(
        {**config, "strategy": "greedy"}
    )


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"words": ["a"] * 17}, "words has 17 regular expressions, a preset may have 16"),
        ({"words": "a" * 1001}, "words has a regular expression of 1001 characters"),
        (
            {"words": "a" * 200_001},
            "words has 200001 characters in a text, a preset may have 200000",
        ),
        ({"stop": ["a"] * 65_537}, "stop has 65537 members, a preset may have 65536"),
        ({"a": nested(65)}, "a has more than 64 lists inside one another"),
        ({"a" * 201: 1}, "expected a text of up to 200 characters"),
        (
            {"stop": ["a" * 200_000] * 6},
            "config has more than 1000000 characters in all its texts",
        ),
        ({"form": "a" * 20_001}, "form has 20001 characters in all, a preset may have 20000"),
        ({"form": {"a": ["b" * 20_000]}}, "form has 20011 characters in all"),
        ({str(each): [0] * 65_536 for each in range(5)}, "config has more than 262144 values"),
        ({"words": "[^~]{0,300}"}, "words matches 300 characters, a preset may have 256"),
        ({"batch_size": 257}, "batch_size is 257, a preset may have 256 at most: give more with"),
        ({"num_return_sequences": [1, 257]}, "num_return_sequences is 257, a preset may have 256"),
        ({"max_new_tokens": 16_385}, "max_new_tokens is 16385, a preset may have 16384 at most"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_preset_has_limits(refused, config, message):
    assert message in refused(config)


def test_limits_are_those_of_the_documentation():
    page = Path(__file__).parents[2] / "docs/guides/presets-and-records.md"

    missing = [
        name
        for name in PRESET_LIMITS.__slots__
        if f"| `{name}` | {getattr(PRESET_LIMITS, name):,} |" not in page.read_text()
    ]
    assert [] == missing


def test_no_text_in_a_preset_is_opened_or_imported(tmp_path):
    """Every option that takes a text is given a file's path, and every list a module's name."""
    file = tmp_path / "bait.json"
    file.write_text("{}")
    registry = default_registry()
    opened = []

    def audit(event, arguments):
        if (
            event in {"open", "import", "exec", "compile", "subprocess.Popen", "os.system"}
            and watching
        ):
            opened.append((event, *map(str, arguments[:1])))

    watching = False
    sys.addaudithook(audit)
    for offer in registry.offers(*CHAIN_ROLES, *NAMED_ROLES):
        role = next(role for role in (*NAMED_ROLES, *CHAIN_ROLES) if role in offer.roles)
        names = dict(zip(NAMED_ROLES, ("strategy", "sampler", "drafter"), strict=True))
        setting = names.get(role)
        for option in offer.component.option_names():
            for value in (str(file), [str(file)], "antigravity:fly"):
                config = {f"{offer.name}.{option}": value}
                if setting:
                    config[setting] = offer.name
                preset = read_preset(json.loads(json.dumps(config)))
                watching = True
                try:
                    compose({}, registry=registry, config=preset)
                except OptionError:
                    pass
                finally:
                    watching = False

    assert not [each for each in opened if str(file) in each[1] or "antigravity" in each[1]]
    assert "antigravity" not in sys.modules


def test_the_bait_would_be_found(tmp_path):
    seen = []
    watching = True
    sys.addaudithook(
        lambda event, arguments: (
            seen.append((event, *arguments[:1])) if watching and event == "open" else None
        )
    )
    file = tmp_path / "bait.json"
    file.write_text("{}")
    file.open().close()
    watching = False

    assert str(file) in [str(each[1]) for each in seen]
