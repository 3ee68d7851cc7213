"""Every command that loads a model takes the same flags, with the settings of what they name."""

import inspect
import json

import pytest
from typer.main import get_command

from gpt2sdk.cli.app import app
from gpt2sdk.cli.load_flags import LoadFlags
from gpt2sdk.plugins.host import default_host
from gpt2sdk.plugins.registry import default_registry

SHARED = {f"--{name.replace('_', '-')}" for name in inspect.signature(LoadFlags).parameters}
GPUS = "cuda:0=100kB,cuda:1=8GB,cpu=16GB"


@pytest.fixture(autouse=True)
def loaders(monkeypatch):
    """Allow the plugins that load models in other ways, and samplers beside them."""
    pytest.importorskip("gpt2sdk_quantization")
    pytest.importorskip("gpt2sdk_accelerate")
    monkeypatch.setenv("GPT2SDK_PLUGINS", "quantization,accelerate,sampling")
    default_host.cache_clear()
    default_registry.cache_clear()


def said(ran):
    """Return the error of a command that was used wrongly."""
    assert 2 == ran.exit_code, ran.output
    return ran.stderr.removeprefix("error: ").rstrip("\n")


@pytest.mark.parametrize("command", ["generate", "info", "score"])
def test_commands_that_load_take_the_same_flags(command):
    flags = {flag for each in get_command(app).commands[command].params for flag in each.opts}

    assert set() == (SHARED | {"-o"}) - flags


@pytest.mark.parametrize(
    "how",
    [
        ["--quantization", "int4", "-o", "group_size=32"],
        ["--quantization", "int4", "-o", "int4.group-size=32"],
        ["--placement", "disk-offload", "-o", "cache_tokens=300", "-o", "offload_folder=."],
        ["--quantization", "int8", "--placement", "auto", "-o", "cache_tokens=300"],
    ],
)
def test_what_is_planned_can_be_run(invoke, model, tmp_path, monkeypatch, how):
    monkeypatch.chdir(tmp_path)
    runs = [
        invoke("info", model, *how),
        invoke("generate", model, "Once", "--max-new-tokens", "2", "-o", "top_k=3", *how),
        invoke("score", model, "Once", *how),
    ]

    assert [(0, ""), (0, ""), (0, "")] == [
        (ran.exit_code, ran.output * ran.exit_code) for ran in runs
    ]


def test_settings_reach_the_quantizer_and_the_placement(invoke, model):
    how = ("--quantization", "int4", "-o", "group_size=32", "--placement", "auto")
    ran = invoke("info", model, *how, "-o", "auto.cache_tokens=300", "--json")
    plan = json.loads(ran.stdout)["plan"]

    assert 300 == plan["reserved_tokens"]
    assert "int4 in groups of 32" in {name for part in plan["parts"] for name in part["formats"]}


def test_a_device_map_of_a_file_takes_settings(invoke, model, tmp_path):
    file = tmp_path / "map.json"
    file.write_text('{"": "cpu"}')
    ran = invoke("info", model, "--placement", str(file), "-o", "cache_tokens=300", "--json")

    assert 300 == json.loads(ran.stdout)["plan"]["reserved_tokens"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["-o", "group_size=32"], "group_size is a setting of int4: it needs --quantization int4"),
        (
            ["-o", "group_size=32", "--quantization", "int8"],
            "group_size is a setting of int4, not of int8: it needs --quantization int4",
        ),
        (
            ["-o", "int4.group_size=7", "--quantization", "int4"],
            "group_size ",
        ),
    ],
)
@pytest.mark.parametrize("command", [["generate"], ["info"], ["score"]])
def test_a_setting_says_what_it_belongs_to(invoke, model, command, given, message):
    text = [] if command == ["info"] else ["Once"]

    assert said(invoke(*command, model, *text, *given)).startswith(message)


def test_a_setting_that_nothing_has_is_refused(invoke, model):
    expected = "speed is no setting of loading: auto has cache_tokens, offload_folder"

    assert expected == said(invoke("info", model, "--placement", "auto", "-o", "speed=2"))
    assert "speed is no setting of loading: expected one of a quantizer or placement, " in said(
        invoke("score", model, "Once", "-o", "speed=2")
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--memory", "2gb"], "--memory 2gb: expected a size with its unit, "),
        (["--memory", "cpu=5"], "--memory cpu=5: expected a size with its unit, "),
        (["--dtype", "fp16"], "--dtype fp16: expected auto, float64, float32, float16, bfloat16. "),
        (["--dtype", "int8"], "--dtype int8: expected auto, "),
        (["--device", "gpu"], "--device gpu: expected one of auto, cpu; a GPU is called cuda"),
        (["--device", "mps:3"], "--device mps:3: expected one of auto, cpu"),
        (["--quantization", "8bit"], "there is no quantizer '8bit': did you mean int8?"),
        (
            ["--quantization", "fp16"],
            "there is no quantizer 'fp16': that is a type: --dtype float16",
        ),
    ],
)
def test_errors_speak_of_flags(invoke, model, given, message):
    assert said(invoke("generate", model, "Once", *given)).startswith(message)


def test_what_would_fit_is_said_in_flags(invoke, model):
    assert "; --dtype bfloat16 would fit (" in said(invoke("info", model, "--memory", "250kB"))


def test_a_plan_may_be_for_devices_that_are_not_here(invoke, model):
    ran = invoke("info", model, "--placement", "auto", "--memory", GPUS, "--json")
    plan = json.loads(ran.stdout)["plan"]

    assert 8 * 10**9 == plan["devices"]["cuda:1"]["budget"]
    assert {"cuda:1"} == {part["device"] for part in plan["parts"]}
    assert ["cuda:1 cannot be used here: this is a plan for another machine"] == plan["notes"]


def test_a_quantized_plan_may_be_for_a_gpu_that_is_not_here(invoke, model):
    how = ("--device", "cuda:9", "--memory", "1GB", "--quantization", "int8")
    plan = json.loads(invoke("info", model, *how, "--json").stdout)["plan"]

    assert {"cuda:9": "not known: cuda:9 is not here"} == plan["kernels"]


def test_memory_of_a_device_that_is_not_here_must_be_given(invoke, model):
    expected = "--memory: expected a size for cuda:9, which is not here"

    assert expected == said(invoke("info", model, "--device", "cuda:9", "--plan"))


def test_nothing_runs_on_devices_that_are_not_here(invoke, model):
    memory = "cuda:9=8GB,cpu=16GB"
    message = said(invoke("generate", model, "Once", "--placement", "auto", "--memory", memory))

    problem = "expected devices of this machine, where cuda:9 cannot be used"
    assert f"--memory {memory}: {problem} (gpt2sdk info plans for others, too)" == message


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["--group-size", "32"], "--group-size is an option and no flag: write -o group_size=32"),
        (["--int4.group-size=32"], "write -o int4.group_size=32"),
        (["--device-map", "auto"], "(--placement, --device)"),
        (["--top-k", "3"], "No such option: --top-k"),
    ],
)
def test_a_setting_that_was_taken_for_a_flag_is_answered(invoke, typed, message):
    assert message in said(invoke("info", "no model", *typed))
