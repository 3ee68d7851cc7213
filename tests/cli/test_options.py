"""`gpt2sdk options`: every option there is."""

import json
import re

import pytest

from gpt2sdk.components.component import Component
from gpt2sdk.components.runner import Runner
from gpt2sdk.components.sampler import Sampler
from gpt2sdk.options import role_asked_for
from gpt2sdk.options.roles import ROLES
from gpt2sdk.plugins.contract import role_name
from gpt2sdk.plugins.registry import Registry, default_registry


def test_every_option_is_listed_on_one_line(invoke):
    lines = invoke("options").stdout.splitlines()

    for offer in default_registry().offers():
        for option in offer.component.option_names():
            name = option if option == offer.name else f"{offer.name}.{option}"
            (line,) = [line for line in lines if line.split()[:1] == [name]]
            assert line.endswith(offer.component.model_fields[option].description or "")


def test_names_of_strategies_and_samplers_are_listed(invoke):
    lines = invoke("options").stdout.splitlines()

    (line,) = [line for line in lines if line.startswith("strategy ")]
    assert {"backtrack", "beam", "greedy", "sample"} <= set(re.split("[, ]+", line))
    assert "sampler  adaptive_p, greedy, mirostat, mirostat_v1, multinomial" in lines


def test_a_narrow_terminal_gets_two_lines_for_each(invoke, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = invoke("options").stdout.splitlines()

    place = lines.index("  top_k  whole number ≥ 0, default 0")
    assert lines[place + 1].startswith("      How many of the likeliest tokens stay")
    assert all(len(line) <= 80 for line in lines)


@pytest.mark.parametrize("name", ["top_p", "top-p", "top_p.top_p"])
def test_one_option_is_shown_with_its_documentation(invoke, name):
    printed = invoke("options", name).stdout

    assert printed.startswith("top_p  logits processor, gpt2sdk-sampling 0.1.0\n")
    assert "Holtzman et al." in printed
    assert "  values   number ≥ 0, ≤ 1\n  default  1.0\n" in printed
    assert "typical_p  logits processor" not in printed


def test_a_shared_option_is_shown_with_every_component_that_has_it(invoke):
    printed = invoke("options", "min_tokens_to_keep").stdout

    assert 12 == printed.count("\nmin_tokens_to_keep\n")
    assert "top_p  logits processor, gpt2sdk-sampling" in printed


def test_a_setting_and_a_component_without_options_are_shown(invoke):
    assert "Completions of each prompt." in invoke("options", "num_return_sequences").stdout
    assert "Take the likeliest token" in invoke("options", "greedy").stdout


@pytest.mark.parametrize("name", ["stopping_criterion", "stopping-criterion", "stopping criterion"])
def test_what_has_a_role_is_listed_with_its_options(invoke, name):
    lines = [line.split() for line in invoke("options", name).stdout.splitlines()]

    assert ["stopping", "criterion"] == lines[0]
    assert ["max_time", "repetition_detection", "stop_token_ids"] == [
        line[0] for line in lines[1 : lines.index([])]
    ]
    options = lines[lines.index(["options"]) + 1 :]
    assert ["max_time", "repetition_detection"] == [line[0] for line in options[:2]]


def test_every_role_is_asked_for_by_its_name():
    roles = {role for offer in Registry().offers() for role in offer.roles}

    assert {Runner, Sampler} <= roles <= set(ROLES)
    assert set(Component.__subclasses__()) >= set(ROLES)
    for role in ROLES:
        assert role_name(role) == role_asked_for(role_name(role).replace(" ", "-"))


def test_roles_of_loading_say_where_they_are_named(invoke):
    runners = invoke("options", "runner").stdout.splitlines()

    assert "runner  named by --runner, where a model is loaded" == runners[0]
    assert runners[1].split()[:2] == ["torch", "Computes"]
    assert "detector  none is installed\n" == invoke("options", "detector").stdout
    assert [] == json.loads(invoke("options", "runner", "--json").stdout)


def test_a_setting_that_names_a_component_says_which_there_are(invoke):
    printed = invoke("options", "drafter").stdout

    names = "corpus, draft_model, early_exit, prompt_lookup, suffix"
    assert f"  names    {names}\n" in printed


def test_an_unknown_name_is_an_error(invoke):
    ran = invoke("options", "topp")

    assert (2, "") == (ran.exit_code, ran.stdout)
    assert ran.stderr.startswith("error: there is no option topp: did you mean ")


def test_json_has_all_fields(invoke):
    records = json.loads(invoke("options", "--json").stdout)
    by_name = {record["name"]: record for record in records}

    assert {"role": "call", "default": 32, "range": "≥ 1"}.items() <= by_name["batch_size"].items()
    assert by_name["top_p"]["distribution"] == "gpt2sdk-sampling"
    assert len(json.loads(invoke("options", "beam", "--json").stdout)) == 3


def test_the_schema_describes_a_call(invoke):
    schema = json.loads(invoke("options", "--schema").stdout)

    assert {"seed", "top_p", "top_p.top_p"} <= schema["properties"].keys()
    assert schema["additionalProperties"] is False


def test_a_plugin_file_adds_its_options(invoke, rules):
    printed = invoke("options", "fail", "--plugin", rules).stdout

    assert "Raises where a row gets too long." in printed
