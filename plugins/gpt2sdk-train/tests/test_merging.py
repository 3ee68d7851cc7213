"""Adapters on the command line: made, trained further, and merged into a model."""

import json
from pathlib import Path

import pytest
import torch
from typer import Typer
from typer.testing import CliRunner

import gpt2sdk_train
from gpt2sdk import CheckpointError, Generator, OptionError
from gpt2sdk.gpt2 import GPT2, save_pretrained
from gpt2sdk_train import Adapters


@pytest.fixture
def typed(tmp_path, monkeypatch, documents, config, tokenizer):
    """Return a function that runs commands beside a file `tale.txt` and a model `base`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tale.txt").write_text("\n".join(documents), encoding="utf-8")
    save_pretrained(GPT2(config), config, tokenizer, tmp_path / "base")
    app = Typer()
    gpt2sdk_train.gpt2sdk_cli(app)

    def run(*words):
        result = CliRunner().invoke(app, words)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture
def tone(typed):
    """Train an adapter, and return its folder."""
    words = ("tale.txt", "-O", "tone", "-m", "base", "--lora", "rank=2", "-o", "steps=9")
    typed("train", *words, "-o", "learning_rate=0.05", "-o", "batch_size=4")
    return "tone/best"


def logits(model):
    with torch.no_grad():
        return model(torch.arange(9)[None]).logits


def adapted(folder, scale=1.0):
    model = Generator.from_pretrained("base").model
    Adapters(model).load(folder, "tone", scale=scale)
    return logits(model)


@pytest.mark.parametrize("scale", [1.0, -0.5])
def test_a_merged_model_does_what_model_and_adapter_do(typed, tone, scale):
    typed("merge", "base", tone, "merged", "--scale", str(scale))
    merged = logits(Generator.from_pretrained("merged").model)

    assert torch.allclose(adapted(tone, scale), merged, atol=1e-5)
    assert not torch.allclose(logits(Generator.from_pretrained("base").model), merged, atol=1e-3)


def test_a_generator_is_loaded_with_an_adapter(tone):
    generator = Generator.from_pretrained("base", adapter=tone)

    assert torch.equal(adapted(tone), logits(generator.model))
    plain = Generator.from_pretrained("base").score("the cat sat").perplexity
    assert plain != generator.score("the cat sat").perplexity


def test_a_wrong_adapter_ends_the_loading(tone):
    with pytest.raises(CheckpointError, match=f"but adapters in it: give one of .*{tone}"):
        Generator.from_pretrained("base", adapter="tone")


def test_an_adapter_names_its_model(tone):
    config = json.loads(Path(tone, "adapter_config.json").read_text())

    assert "base" == config["base_model_name_or_path"]


def test_an_adapter_that_is_loaded_as_a_model_says_what_to_do(tone):
    with pytest.raises(
        CheckpointError, match=r"found an adapter of base: .* gpt2sdk merge base tone/best NEW"
    ):
        Generator.from_pretrained(tone)


def test_an_adapter_is_trained_further(typed, tone):
    before = adapted(tone)
    typed("train", "tale.txt", "-O", "more", "-m", "base", "--adapter", tone, "-o", "steps=2")
    config = json.loads(Path("more/best/adapter_config.json").read_text())

    assert (2, "base") == (config["r"], config["base_model_name_or_path"])
    assert not torch.equal(before, adapted("more/best"))
    assert torch.allclose(before, adapted("more/best"), atol=0.5)


def test_a_loaded_adapter_alone_is_trained_on_request(config, tone):
    model = GPT2(config)
    adapters = Adapters(model)
    adapters.load(tone, "tone", trainable=True)

    assert "tone" == adapters.trained
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trained
    assert all(".adapters.tone." in name for name in trained)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--lora", "rank=2"], "--lora trains an adapter of a model: give that as --model"),
        (["--adapter", "tone"], "--adapter trains an adapter of a model: give that as --model"),
        (
            ["-m", "base", "--adapter", "tone", "--lora", "rank=2"],
            "--lora makes an adapter, and --adapter has one: give one of them",
        ),
    ],
)
def test_adapters_need_a_model(typed, words, message, tmp_path):
    with pytest.raises(OptionError, match=message):
        typed("train", "tale.txt", "-O", "run", *words)
    assert not (tmp_path / "run").exists()


def test_an_adapter_that_is_not_what_it_says_is_not_merged(typed, tone, tmp_path):
    file = Path(tone, "adapter_config.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"layers_to_transform": [0]}))

    with pytest.raises(CheckpointError, match=r"2 not asked for: h.1.attn.c_attn"):
        typed("merge", "base", tone, "merged")
    assert not (tmp_path / "merged").exists()


def test_a_merge_that_cannot_be_leaves_no_folder(typed, tone, tmp_path):
    with pytest.raises(OptionError, match="scale=nan: expected a finite number"):
        typed("merge", "base", tone, "merged", "--scale", "nan")
    with pytest.raises(CheckpointError, match="found a model: give the adapter's folder"):
        typed("merge", "base", "base", "merged")
    assert not (tmp_path / "merged").exists()


def test_what_other_programs_read_is_kept(typed, tone):
    generation = {"temperature": 0.7, "eos_token_id": [0]}
    Path("base/generation_config.json").write_text(json.dumps(generation), encoding="utf-8")
    Path("base/chat_template.jinja").write_text("{{ a }}", encoding="utf-8")
    typed("merge", "base", tone, "merged")

    assert generation == json.loads(Path("merged/generation_config.json").read_text("utf-8"))
    assert "{{ a }}" == Path("merged/chat_template.jinja").read_text("utf-8")
