"""`gpt2sdk explain`: what a call would run."""

import json

import pytest

TWO = """
from gpt2sdk import LogitsProcessor, hookimpl

class {name}(LogitsProcessor):
    volume: float = 0.0

@hookimpl
def gpt2sdk_components():
    return ({name},)
"""


def test_the_chain_is_printed_in_its_order(invoke):
    ran = invoke("explain", "-o", "top_p=0.9", "-o", "temperature=0.7", "-o", "stop=END")

    assert 0 == ran.exit_code
    rows = [line.split() for line in ran.stdout.splitlines()[1:] if line]
    assert rows[0] == ["strategy", "sample", "default", "gpt2sdk", "0.1.0"]
    assert ["TEMPERATURE", "temperature", "temperature=0.7", "option"] == rows[1][:4]
    assert ["TRUNCATE", "top_p", "top_p=0.9", "option"] == rows[2][:4]
    assert ["gpt2sdk-sampling", "0.1.0"] == rows[2][4:]
    assert ["sampler", "multinomial", "default"] == rows[3][:3]
    assert ["text", "criterion", "stop", 'stop=["END"]', "option"] == rows[4][:5]


def test_options_at_their_default_are_left_to_json(invoke):
    chosen = ["explain", "-o", "top_p=0.9", "-o", "min_tokens_to_keep=3"]

    assert "top_p=0.9, min_tokens_to_keep=3  " in invoke(*chosen).stdout
    part = json.loads(invoke(*chosen, "--json").stdout)["components"][1]
    assert {"top_p", "top_p_decay", "min_tokens_to_keep"} <= part["options"].keys()
    assert {"top_p_decay", "top_p_min", "top_p_reset_ids"} == set(part["defaults"])


@pytest.mark.parametrize(
    ("options", "end"),
    [
        ([], "at an end token of the model, or after 128 tokens, or where the context window is"),
        (["max_new_tokens=9", "eos_token_id=null"], "at no end token, or after 9 tokens."),
        (["max_new_tokens=9", "eos_token_id=[7, 3]"], "at end token 3, 7, or after 9 tokens."),
    ],
)
def test_it_says_what_ends_a_row(invoke, options, end):
    given = [part for option in options for part in ("-o", option)]

    assert f"A row ends {end}" in invoke("explain", *given).stdout


def test_a_model_adds_its_end_tokens(invoke, model):
    assert "at end token 277" in invoke("explain", model).stdout
    options = json.loads(invoke("explain", model, "--json").stdout)["options"]
    assert [277] == options["eos_token_id"]


def test_json_has_every_part_and_every_option(invoke):
    ran = invoke("explain", "-o", "strategy=beam", "-o", "repetition_penalty=1.2", "--json")
    record = json.loads(ran.stdout)

    assert ["beam", "repetition_penalty"] == [each["name"] for each in record["components"]]
    assert record["components"][1]["stage"] == "PENALTY"
    assert record["components"][1]["why"] == "repetition_penalty"
    assert record["options"]["num_beams"] == 4
    # Only a call knows these.
    assert ("model", None) == (record["options"]["eos_token_id"], record["options"]["seed"])


def test_options_may_differ_between_prompts(invoke):
    ran = invoke("explain", "--prompts", "2", "-o", "temperature=[0.2, 1.5]")

    assert "temperature=[0.2, 1.5]" in ran.stdout


def test_a_plugin_file_is_explained(invoke, rules):
    ran = invoke("explain", "--plugin", rules, "-o", "fail_at=3")

    row = ["CONSTRAIN", "fail", "fail_at=3", "option"]
    assert row == ran.stdout.splitlines()[2].split()


def test_two_plugins_that_clash_are_both_named(invoke, installed):
    installed("shout", TWO.format(name="Shout"), "1.1")
    installed("whisper", TWO.format(name="Whisper"), "3.0")

    ran = invoke("explain", "-o", "volume=1")

    assert 2 == ran.exit_code
    assert ran.stderr == (
        "error: volume is ambiguous, the logits processor shout of shout 1.1 and the logits "
        "processor whisper of whisper 3.0 have it: write shout.volume or whisper.volume\n"
    )
    assert "volume=1.0" in invoke("explain", "-o", "shout.volume=1").stdout


def test_tables_fit_the_terminal(invoke, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    ran = invoke("explain", "-o", "temperature=0.7", "-o", "repetition_penalty=1.2")

    assert all(len(line) <= 60 for line in ran.stdout.splitlines())
    assert "repetition_penalty" in ran.stdout


@pytest.mark.parametrize("how", ["--plugin {}", "--plugin={}"])
def test_an_option_of_a_plugin_file_that_was_taken_for_a_flag_is_answered(invoke, rules, how):
    typed = how.format(rules).split()
    answered = invoke("explain", "--fail-at", "3", *typed).stderr

    assert "--fail-at is an option and no flag: write -o fail_at=3 " in answered
    assert "No such option: --fail-at" in invoke("explain", "--fail-at", "3").stderr
    assert "No such option: --fail-ta" in invoke("explain", "--fail-ta", "3", *typed).stderr


def test_a_plugin_file_that_is_not_there_leaves_the_flag_to_the_parser(invoke):
    ran = invoke("explain", "--plugin", "no/such.py", "--fail-at", "3")

    assert (2, 1) == (ran.exit_code, ran.stderr.count("\n"))
    assert "No such option: --fail-at" in ran.stderr


def test_an_option_that_was_taken_for_a_flag_is_answered(invoke):
    own = invoke("explain", "--temperature", "0.7").stderr
    of_others = invoke("explain", "--max-length", "4").stderr
    of_loading = invoke("explain", "--load-in-8bit").stderr

    assert "--temperature is an option and no flag: write -o temperature=0.7 " in own
    assert "counts new tokens alone (-o max_new_tokens=) " in of_others
    assert "there is no --load-in-8bit: it is chosen where the model is loaded " in of_loading
