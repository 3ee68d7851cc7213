"""`gpt2sdk quantize`, and what `gpt2sdk info` says of loading."""

import json
from pathlib import Path

import pytest

from gpt2sdk.cli.load_options import read_memory
from gpt2sdk.plugins.host import default_host
from gpt2sdk.plugins.registry import default_registry


@pytest.fixture(autouse=True)
def loaders(monkeypatch):
    """Allow the plugins that load models in other ways."""
    pytest.importorskip("gpt2sdk_quantization")
    pytest.importorskip("gpt2sdk_accelerate")
    monkeypatch.setenv("GPT2SDK_PLUGINS", "quantization,accelerate")
    default_host.cache_clear()
    default_registry.cache_clear()


def test_a_quantized_folder_is_a_model_like_any_other(invoke, model, tmp_path):
    folder = str(tmp_path / "small")
    ran = invoke("quantize", model, folder, "--quantization", "int8")
    assert 0 == ran.exit_code
    assert ran.stderr.startswith(f"wrote {folder}: ")
    assert "int8" in ran.stdout
    quiet = invoke("quantize", model, folder, "--quantization", "int8", "-q")
    assert (0, "", "") == (quiet.exit_code, quiet.stdout, quiet.stderr)

    card = json.loads(invoke("info", folder, "--json").stdout)
    assert "int8 and float32" == card["stored_as"]
    text = [
        invoke("generate", *how, "-q", "--max-new-tokens", "8", "--seed", "1", *prompt).stdout
        for prompt in [["Once"]]
        for how in ([folder], [model, "--quantization", "int8"])
    ]
    assert text[0] == text[1]


def test_a_quantizer_is_given_its_settings(invoke, model, tmp_path):
    folder = tmp_path / "small"
    ran = invoke("quantize", model, str(folder), "--quantization", "int4", "-o", "group_size=32")

    assert 0 == ran.exit_code, ran.stderr
    config = json.loads((folder / "config.json").read_text())
    assert 32 == config["quantization_config"]["group_size"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--quantization", "int5"], "no quantizer 'int5'"),
        (["--quantization", "int8", "-o", "speed=2"], "speed is no setting of loading: int8 has"),
        (["--quantization", "int8", "-o", "speed"], "expected name=value"),
        (["--quantization", "auto"], "expected a quantizer's name"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(invoke, model, tmp_path, given, said):
    ran = invoke("quantize", model, str(tmp_path / "small"), *given)

    assert 2 == ran.exit_code
    assert said in ran.stderr
    assert [] == list(tmp_path.iterdir())


def test_a_plan_says_what_goes_where(invoke, model):
    ran = invoke("info", model, "--quantization", "int8", "--memory", "1GB", "--json")
    plan = json.loads(ran.stdout)["plan"]

    assert "int8" == plan["quantization"]
    assert ["wte", "wpe", "h.0", "h.1", "ln_f"] == [part["name"] for part in plan["parts"]]
    assert 10**9 == plan["devices"]["cpu"]["budget"]
    shown = invoke("info", model, "--quantization", "int8", "--memory", "1GB").stdout
    assert "plan  float32, int8" in shown
    assert "1.00 GB may be used" in shown


def test_what_does_not_fit_is_an_error_that_says_what_would(invoke, model):
    ran = invoke("info", model, "--memory", "20kB")

    assert 2 == ran.exit_code
    assert "only 20.0 kB may be used" in ran.stderr


def test_a_device_map_is_read_from_a_file(invoke, model, tmp_path):
    file = tmp_path / "map.json"
    file.write_text(json.dumps({"": "cpu", "h.1": "disk"}))
    ran = invoke("info", model, "--placement", str(file), "--json")
    plan = json.loads(ran.stdout)["plan"]
    assert {"h.1"} == {part["name"] for part in plan["parts"] if part["kept"] == "disk"}

    Path(file).write_text("[]")
    assert "expected a device map" in invoke("info", model, "--placement", str(file)).stderr


def test_memory_is_one_size_or_one_for_each_device():
    assert None is read_memory(None)
    assert "2GB" == read_memory("2GB")
    assert {0: "2GB", "cpu": "8GiB"} == read_memory("0=2GB, cpu=8GiB")
