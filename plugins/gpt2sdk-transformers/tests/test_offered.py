"""What is offered of transformers, and what is refused before weights are read."""

import json
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from gpt2sdk import CheckpointError, ConfigFiles, Generator, OptionError
from gpt2sdk_transformers.architecture import TransformersArchitecture
from gpt2sdk_transformers.model import TransformersLM
from gpt2sdk_transformers.network import make_network
from gpt2sdk_transformers.offered import OFFERED, RECURRENT

REFUSED = {
    "t5": ({}, "an encoder besides its decoder"),
    "bart": ({}, "an encoder besides its decoder"),
    "bert": ({}, "the network of an encoder"),
    "vit": ({}, "no causal language model"),
    "rwkv": ({}, "changes its weights as it computes"),
    "xlstm": ({}, "layers with a state that each token changes"),
    "inkling_text": ({}, "layers with a state that each token changes"),
    "qwen4_exp_text": ({}, "layers with a state that each token changes"),
    "qwen3_5": ({}, "inputs besides text"),
    "bloom": ({}, "not known to go through"),
    "falcon": ({}, "not known to go through"),
    "mpt": ({}, "not known to go through"),
    "xglm": ({}, "not known to go through"),
    "diffllama": ({}, "not known to go through"),
    "gemma3": ({}, "inputs besides text"),
    "llama4_text": ({}, "no window"),
}


def claim(values: dict[str, object]) -> TransformersArchitecture | None:
    return TransformersArchitecture.claim(ConfigFiles(values, Path("config.json")))


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_not_offered_says_its_name_and_why(kind: str) -> None:
    values, reason = REFUSED[kind]
    with pytest.raises(CheckpointError, match=f"model_type='{kind}' has .*{reason}"):
        claim({"model_type": kind, **values})


def test_refusal_comes_before_weights_are_looked_for(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "xlstm"}))
    with pytest.raises(CheckpointError, match="model_type='xlstm' has layers with a state"):
        Generator.from_pretrained(tmp_path)


def test_offered_types_are_causal_models_of_transformers() -> None:
    assert set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES) >= OFFERED
    assert len(OFFERED) > 100
    assert OFFERED > RECURRENT > {"mamba", "mamba2", "jamba", "lfm2", "qwen3_next"}


@pytest.mark.parametrize("kind", sorted(RECURRENT))
def test_recurrent_kinds_are_claimed_by_their_config(kind: str) -> None:
    made = claim({"model_type": kind})
    assert made is not None
    assert made.configuration().model_type == kind


@pytest.mark.parametrize("values", [{}, {"model_type": "gpt2"}, {"model_type": "bigram"}])
def test_models_of_others_are_left_to_them(values: dict[str, object]) -> None:
    assert claim(values) is None


def test_without_transformers_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name == "transformers" or name.startswith("transformers."):
            monkeypatch.setitem(sys.modules, name, None)
    assert claim({"model_type": "llama"}) is None
    assert "pip install transformers" in TransformersArchitecture.claims()


def test_code_of_a_checkpoint_is_not_run_and_noted() -> None:
    made = claim({"model_type": "phi3", "auto_map": {"AutoModelForCausalLM": "modeling.Phi3"}})
    assert made is not None
    assert "never run" in made._notes[0]  # noqa: SLF001 - kept until it fits weights


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [
        ("bloom", {"hidden_size": 16, "n_layer": 2, "n_head": 2}),
        ("diffllama", {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
                       "num_key_value_heads": 2, "intermediate_size": 16}),
    ],
)  # fmt: skip
def test_a_network_that_does_not_attend_as_expected_is_noticed(
    kind: str, sizes: dict[str, object]
) -> None:
    network = make_network(AutoConfig.for_model(kind, vocab_size=30, **sizes), torch.float32)
    model = TransformersLM(network, context_length=32)
    with pytest.raises(OptionError, match="cannot be fed by rows"):
        model.score(model.make_cache(2), [[3, 4], [5]], [1, 1])
