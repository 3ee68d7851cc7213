"""`gpt2sdk options`: every option there is."""

import json
import re

import pytest

from gpt2sdk.plugins.registry import default_registry


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
