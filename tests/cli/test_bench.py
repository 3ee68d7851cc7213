"""`gpt2sdk bench`: what it compares, prints and refuses."""

import json

import pytest

FEW = ["--rounds", "1", "--rows", "1,2", "--prompt", "3", "--new", "4", "--long", "8"]


def test_every_engine_is_measured_at_every_number_of_rows(invoke, model):
    ran = invoke("bench", model, *FEW, "--runner", "torch,auto", "--json")

    assert 0 == ran.exit_code, ran.stderr
    record = json.loads(ran.stdout)
    found = [(each["engine"], each["rows"], each["prompt"]) for each in record["cases"]]
    engines = ("torch", "auto")
    assert [(name, rows, 3) for rows in (1, 2) for name in engines] == found[:4]
    assert [(name, 1, 8) for name in engines] == found[4:]
    assert {"processor", "instruction_sets", "cores", "threads", "versions"} <= set(
        record["machine"]
    )
    for each in record["cases"][:4]:
        assert {"read", "pass", "loop"} == set(each["budget_seconds"])
        assert {"median", "low", "high"} == set(each["share_of_read"])


def test_options_are_a_part_of_their_own(invoke, model):
    ran = invoke("bench", model, *FEW, "-o", "top_k=5", "-o", "temperature=0.7", "--json")

    record = json.loads(ran.stdout)
    assert ["top_k=5", "temperature=0.7"] == record["options"]
    assert "options" in record["cases"][0]["budget_seconds"]


def test_tables_name_engines_machine_and_parts(invoke, model):
    ran = invoke("bench", model, *FEW, "-o", "top_k=5")

    assert 0 == ran.exit_code, ran.stderr
    for wanted in ("auto", "tokens/s", "of read rate", "loop", "options", "first token", "GB/s"):
        assert wanted in ran.stdout


def test_a_first_token_can_be_left_out(invoke, model):
    ran = invoke("bench", model, *FEW[:-1], "0")

    assert "first token" not in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rows", "1,none"], "expected whole numbers from 1"),
        (["--rows", "0"], "expected whole numbers from 1"),
        (["--runner", "torch,torch"], "expected different names"),
        (["--quantization", "int8,,int4"], "expected different names"),
        (["--prompt", "9999"], "do not fit the context"),
        (["-o", "max_new_tokens=3"], "--new says how many tokens"),
        (["-o", "top_p=7"], "top_p"),
        (["--runner", "abacus"], "abacus"),
    ],
)
def test_what_is_wrong_is_said(invoke, model, arguments, said):
    ran = invoke("bench", model, *FEW[:2], *arguments)

    assert (2, True) == (ran.exit_code, said in ran.stderr), ran.stderr
