"""`gpt2sdk choose`: options with their probabilities."""

import json


def test_options_are_ranked(invoke, model, generator):
    decision = generator.choose("Once upon", [" a", " the", " time"])

    printed = invoke("choose", model, "Once upon", " a", " the", " time").stdout.splitlines()
    assert printed[0].split() == ["option", "probability", "log-probability", "tokens"]
    assert decision.best == printed[1].split("'")[1]
    assert f"{max(decision.probabilities):.4f}" in printed[1]
    assert len(printed) == 4


def test_json_holds_the_numbers(invoke, model, generator):
    decisions = generator.choose(["Once", "the cat"], [" a", " the time"], normalization="token")

    given = ("choose", model, "-", " a", " the time", "--lines", "--normalization", "token")
    ran = invoke(*given, "--json", stdin="Once\nthe cat\n")
    record = json.loads(ran.stdout)
    assert record["model"] == model
    assert [each["prompt"] for each in record["decisions"]] == ["Once", "the cat"]
    for found, decision in zip(record["decisions"], decisions, strict=True):
        assert (found["best"], found["normalization"]) == (decision.best, "token")
        assert found["options"] == [
            {"option": option, "probability": probability, "logprob": logprob, "tokens": count}
            for option, probability, logprob, count in zip(
                decision.options,
                decision.probabilities,
                decision.logprobs,
                decision.token_counts,
                strict=True,
            )
        ]


def test_a_wrong_normalization_is_said_before_a_model_is_loaded(invoke):
    ran = invoke("choose", "nowhere", "Once", " a", " b", "--normalization", "chars")

    assert ran.exit_code == 2
    assert "expected one of sum, token, byte" in ran.stderr


def test_prompts_may_come_from_a_file(invoke, model, tmp_path):
    file = tmp_path / "prompts.txt"
    file.write_text("Once\nthe cat\n", "utf-8")
    options = (" a", " the time")
    expected = invoke("choose", model, "-", *options, "--lines", stdin="Once\nthe cat\n")
    one = invoke("choose", model, "Once\nthe cat", *options)

    for flag in ("--file", "-f"):
        ran = invoke("choose", model, flag, str(file), "--lines", *options)
        assert (0, expected.stdout) == (ran.exit_code, ran.stdout)
    assert one.stdout == invoke("choose", model, "--file", str(file), *options).stdout


def test_a_file_that_is_not_there_is_named(invoke):
    ran = invoke("choose", "nowhere", "--file", "none.txt", " a", " b")

    assert (2, "error: none.txt: No such file or directory\n") == (ran.exit_code, ran.stderr)
