"""What asks models questions asks those of transformers, too: sizes, plans, scores, choices."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel
from typer.testing import CliRunner

from gpt2sdk import Generator
from gpt2sdk.cli.app import app
from gpt2sdk.testing import tiny_tokenizer

Tiny = Callable[[str], tuple[Generator, PreTrainedModel]]
BOTH = pytest.mark.parametrize("kind", ["llama", "qwen3"])


@pytest.fixture
def folder(tiny: Tiny, kind: str, tmp_path: Path) -> str:
    """A folder of a tiny model."""
    tiny(kind)[1].save_pretrained(tmp_path)
    tiny_tokenizer().save(tmp_path)
    return str(tmp_path)


def answer(*words: str) -> Mapping[str, Any]:
    """What a command prints as JSON."""
    ran = CliRunner().invoke(app, [*words, "--json"], prog_name="gpt2sdk", catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    found: Mapping[str, Any] = json.loads(ran.stdout)
    return found


def log_probabilities(network: PreTrainedModel, tokens: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return network(input_ids=torch.tensor([tokens])).logits[0].log_softmax(-1)


@pytest.mark.parametrize("kind", ["llama", "gemma2"])
def test_info_counts_what_there_is(tiny: Tiny, kind: str, folder: str) -> None:
    _, network = tiny(kind)
    card = answer("info", folder)
    count = sum(each.numel() for each in network.parameters())
    assert card["parameters"] == count
    assert card["weight_bytes"]["bfloat16"] == 2 * count
    # Two layers, each with keys and values of two heads of 8 numbers, windows or not.
    assert card["cache_bytes_per_1000_tokens"]["float32"] == 1000 * 2 * 2 * 2 * 8 * 4
    assert card["config"]["model_type"] == kind


@pytest.mark.parametrize("kind", ["mamba", "jamba"])
def test_states_of_recurrent_layers_are_counted(kind: str, folder: str) -> None:
    found = answer("info", folder, "--quantization", "int8")
    # A convolution of 64 channels sees 4 tokens, and each channel has 4 numbers of state: in two
    # layers, now and at three earlier lengths.
    states = 2 * 4 * (64 * 4 + 64 * 4) * 4
    assert found["cache_bytes_per_row"]["float32"] == found["plan"]["row_nbytes"] == states
    tokens = found["plan"]["cache_nbytes_per_1000_tokens"] * found["plan"]["reserved_tokens"] / 1000
    assert found["plan"]["devices"]["cpu"]["cache"] == tokens + states
    shown = CliRunner().invoke(app, ["info", folder, "--quantization", "int8"]).stdout
    assert "16.4 kB of each row" in shown


@BOTH
def test_a_plan_says_what_is_held_how(kind: str, folder: str) -> None:
    plan = answer("info", folder, "--quantization", "int8")["plan"]
    formats = {
        matrix["name"].removeprefix("network.model."): matrix["format"]
        for part in plan["parts"]
        for matrix in part["matrices"]
    }
    assert formats["layers.0.mlp.up_proj.weight"] == "int8 per row"
    assert "embed_tokens.weight" not in formats


@BOTH
def test_scores_are_sums_of_transformers_log_probabilities(
    tiny: Tiny, kind: str, folder: str
) -> None:
    gen, network = tiny(kind)
    score = gen.score("Once upon a time")
    tokens = [*score.context, *score.tokens]
    found = log_probabilities(network, tokens)
    wanted = [found[place, token].item() for place, token in enumerate(tokens[1:])]
    start = len(score.context) - 1
    assert score.logprobs == pytest.approx(wanted[start:], abs=1e-4)


@BOTH
def test_the_next_token_is_drawn_from_transformers_distribution(
    tiny: Tiny, kind: str, folder: str
) -> None:
    gen, network = tiny(kind)
    prompt = gen.tokenizer.encode("Once upon")
    found = log_probabilities(network, prompt)[-1]
    likeliest = gen.next_token("Once upon", n=5)
    wanted = found.topk(5)
    assert list(likeliest.tokens) == wanted.indices.tolist()
    assert likeliest.logprobs == pytest.approx(wanted.values.tolist(), abs=1e-4)


@BOTH
def test_choices_are_weighed_as_whole_texts_are(tiny: Tiny, kind: str, folder: str) -> None:
    gen, network = tiny(kind)
    prompt = gen.tokenizer.encode("Once")
    options = {text: gen.tokenizer.encode(text) for text in (" upon", " a time", " the")}
    wanted = []
    for option in options.values():
        found = log_probabilities(network, [*prompt, *option])
        places = range(len(prompt) - 1, len(prompt) + len(option) - 1)
        wanted.append(
            sum(found[place, token].item() for place, token in zip(places, option, strict=True))
        )
    assert gen.choose("Once", list(options)).scores == pytest.approx(wanted, abs=1e-3)


@BOTH
@pytest.mark.parametrize(
    "words",
    [
        ("score", "hello"),
        ("choose", "Once", " upon", " a"),
        ("next-token", "Once"),
        ("explain", "-o", "strategy=beam", "-o", "regex=[a-z]+"),
        ("generate", "Once", "--max-new-tokens", "4"),
    ],
    ids=lambda words: words[0],
)
def test_commands_take_such_models(kind: str, folder: str, words: tuple[str, ...]) -> None:
    command, *rest = words
    assert answer(command, folder, *rest)
