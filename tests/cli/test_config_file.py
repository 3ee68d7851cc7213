"""`--config`: presets, and results that are repeated."""

import json

import pytest
import torch

from gpt2sdk.plugins.host import default_host
from gpt2sdk.plugins.registry import default_registry


@pytest.fixture
def write(tmp_path):
    def run(value):
        path = tmp_path / "config.json"
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return str(path)

    return run


def printed(ran):
    assert 0 == ran.exit_code, ran.stderr
    return json.loads(ran.stdout)


def test_flags_go_before_a_preset(invoke, model, write):
    config = write({"max_new_tokens": 3, "top_k": 4, "stop": ["x"], "seed": 5})
    options = printed(
        invoke(
            "generate", model, "Once", "--config", config, "--seed", "6", "-o", "top_k=2", "--json"
        )
    )["options"]

    assert (3, 2, ["x"], 6) == tuple(
        options[name] for name in ("max_new_tokens", "top_k", "stop", "seed")
    )


def test_a_printed_result_is_repeated_with_its_prompts(invoke, model, write):
    first = printed(
        invoke(
            "generate", model, "Once", "--json", "-o", "temperature=1.3", "--max-new-tokens", "6"
        )
    )
    again = printed(invoke("generate", model, "--config", write(first), "--json"))
    other = printed(invoke("generate", model, "Twice", "--config", write(first), "--json"))

    assert first["completions"] == again["completions"]
    assert first["record"] == again["record"]
    assert ["Twice"] == other["prompts"]


def test_special_tokens_in_prompts_stay_what_they_were(invoke, model, write):
    arguments = ["--json", "--allow-special", "--max-new-tokens", "4"]
    first = printed(invoke("generate", model, "Once<|endoftext|>", *arguments))
    again = printed(invoke("generate", model, "--config", write(first), "--json"))

    assert again["allow_special"]
    assert first["usage"]["prompt_tokens"] == again["usage"]["prompt_tokens"]
    assert first["completions"] == again["completions"]


def test_versions_that_changed_are_told(invoke, model, write):
    first = printed(invoke("generate", model, "Once", "--json", "--max-new-tokens", "2"))
    first["record"]["versions"]["gpt2sdk"] = "0.0.9"
    ran = invoke("generate", model, "--config", write(first))

    assert "the record was made with gpt2sdk 0.0.9, this is " in ran.stderr


def test_so_are_those_of_torch_and_of_plugins(invoke, model, write):
    call = ("generate", model, "Once", "--json", "--max-new-tokens", "2", "-o", "top_k=3")
    first = printed(invoke(*call))
    first["record"]["versions"] |= {"torch": "1.0", "gpt2sdk-sampling": "0.0.9"}
    ran = invoke("generate", model, "--config", write(first))

    assert f"the record was made with torch 1.0, this is {torch.__version__}\n" in ran.stderr
    assert "the record was made with gpt2sdk-sampling 0.0.9, this is " in ran.stderr


@pytest.mark.parametrize(
    ("command", "beside"),
    [
        (["score", "a b"], ""),
        (["choose", "a", " b", " c"], ""),
        (["next-token", "a"], "; give options with -o"),
    ],
)
def test_commands_without_presets_say_which_have_them(invoke, model, write, command, beside):
    name, *rest = command
    ran = invoke(name, model, *rest, "--config", write({"top_k": 3}))

    expected = f"error: {name} has no --config: presets are for generate, explain and detect"
    assert 2 == ran.exit_code
    assert ran.stderr.startswith(f"{expected}{beside} (")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"name": {"type": "string"}}},
        {"$schema": "https://json-schema.org/draft/2020-12/schema"},
        {"type": "integer"},
    ],
)
def test_a_json_schema_is_told_from_a_preset(invoke, model, write, schema):
    file = write(schema)
    ran = invoke("generate", model, "Once", "--config", file)

    assert 2 == ran.exit_code
    assert f'a JSON schema is no preset: give it as -o json_schema="$(cat {file})"' in ran.stderr


@pytest.fixture
def quantizers(monkeypatch):
    pytest.importorskip("gpt2sdk_quantization")
    monkeypatch.setenv("GPT2SDK_PLUGINS", "quantization,sampling")
    default_host.cache_clear()
    default_registry.cache_clear()


@pytest.mark.usefixtures("quantizers")
@pytest.mark.parametrize(
    ("first", "again", "way"),
    [
        (["--quantization", "int8"], [], "load the model as it was, with --quantization int8; or"),
        (
            ["--quantization", "int4", "-o", "group_size=32"],
            [],
            "with --quantization int4 and -o group_size=32;",
        ),
        ([], ["--quantization", "int8"], "load the model as it was, without --quantization;"),
        (["--dtype", "bfloat16"], [], "load the model as it was, with --dtype bfloat16;"),
    ],
)
def test_a_record_of_a_model_loaded_otherwise_says_how(invoke, model, write, first, again, way):
    made = printed(invoke("generate", model, "a", "--json", "--max-new-tokens", "2", *first))
    file = write(made)
    ran = invoke("generate", model, "--config", file, *again)
    alone = write(made["record"]["options"])

    assert 2 == ran.exit_code
    assert way in ran.stderr
    assert "for its options alone, give --config what it has as options" in ran.stderr
    assert "record.options" not in ran.stderr
    assert 0 == invoke("generate", model, "a", "--config", alone, *again).exit_code


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{", "expected JSON"),
        ("[" * 100_000, "expected JSON"),
        ([], "config is [], expected options as a dictionary"),
        ({"temprature": 1.0}, "there is no option temprature: did you mean temperature?"),
        ({"strategy": "os.system"}, "there is no strategy 'os.system'"),
        ({"drafter": "corpus", "corpus": "a.txt"}, "corpus names files, models or code"),
        ({"stop_regex": "a" * 1001}, "stop_regex has a regular expression of 1001 characters"),
        (
            {"record": {"options": {}, "row_seeds": [1], "model": {"fingerprint": "0"}}},
            "of another model",
        ),
        ({"record": {"options": {}, "row_seeds": [1]}, "prompts": 5}, "prompts is 5, expected a"),
        (
            {"record": {"options": {}, "row_seeds": [1]}, "prompts": [], "allow_special": 1},
            "allow_special is 1, expected true or false",
        ),
    ],
    ids=lambda value: str(value)[:20],
)
def test_mistakes_are_one_line(invoke, model, write, value, message):
    ran = invoke("generate", model, "Once", "--config", write(value))

    assert (2, "") == (ran.exit_code, ran.stdout)
    assert message in ran.stderr
    assert 1 == ran.stderr.strip().count("\n") + 1


def test_a_second_file_is_refused(invoke, model, write):
    config = write({"top_k": 3})
    for command in (["generate", model, "Once"], ["explain"]):
        ran = invoke(*command, "--config", config, "--config", config)

        assert 2 == ran.exit_code
        assert "--config is given 2 times: expected one file with all options" in ran.stderr


def test_another_strategy_goes_before_the_one_in_a_result(invoke, model, write):
    first = printed(invoke("generate", model, "Once", "--json", "--max-new-tokens", "3"))
    beams = invoke(
        "generate", model, "--config", write(first), "--strategy", "beam", "--json", "-o", "seed=1"
    )
    alone = invoke(
        "generate", model, "Once", "--strategy", "beam", "--max-new-tokens", "3", "--json"
    )

    assert printed(alone)["completions"] == printed(beams)["completions"]


def test_explain_takes_a_preset(invoke, write):
    ran = invoke("explain", "--config", write({"top_k": 3, "strategy": "sample"}))

    assert "top_k=3" in ran.stdout
