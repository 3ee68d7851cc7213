"""Checkpoints go from transformers to here and back, with the same logits."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from gpt2sdk.gpt2.activations import ACTIVATIONS
from gpt2sdk.gpt2.checkpoint import load_model, open_checkpoint
from gpt2sdk.gpt2.export import save_pretrained

transformers = pytest.importorskip("transformers")

CPU = torch.device("cpu")
TOKENS = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6], [2, 7, 1, 8, 2, 8, 1, 8]])


def reference_model(**changes):
    sizes = {"vocab_size": 61, "n_positions": 32, "n_embd": 48, "n_layer": 3, "n_head": 4}
    torch.manual_seed(0)
    config = transformers.GPT2Config(**sizes, initializer_range=0.3, **changes)
    model = transformers.GPT2LMHeadModel(config).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("bias") or "ln_" in name:
            torch.nn.init.normal_(parameter, mean=float("weight" in name), std=0.1)
    return model


def expected(model):
    with torch.no_grad():
        return model(TOKENS).logits.float()


def ours(folder, dtype=None):
    checkpoint = open_checkpoint(folder)
    return checkpoint, load_model(checkpoint, device=CPU, dtype=dtype or checkpoint.dtype)


def assert_same_logits(reference, model):
    with torch.no_grad():
        torch.testing.assert_close(reference, model(TOKENS).logits, rtol=1e-5, atol=1e-5)


def rewrite(folder, change):
    """Change the tensors of a saved model as older or other programs would have them."""
    file = folder / "model.safetensors"
    save_file({key: value.clone() for key, value in change(load_file(file)).items()}, file)


def masks(state):
    return state | {
        f"transformer.h.{layer}.attn.{name}": value
        for layer in range(3)
        for name, value in {
            "bias": torch.ones(1, 1, 32, 32, dtype=torch.uint8).tril(),
            "masked_bias": torch.tensor(-1e4),
        }.items()
    }


def linear(state):
    ends = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
    return {
        key: value.T.contiguous() if key.endswith(ends) else value for key, value in state.items()
    }


CHANGES = {
    "as saved": lambda state: state,
    "no prefix": lambda state: {
        key.removeprefix("transformer."): value for key, value in state.items()
    },
    "data-parallel": lambda state: {f"module.{key}": value for key, value in state.items()},
    "tied head": lambda state: state | {"lm_head.weight": state["transformer.wte.weight"]},
    "DialoGPT": lambda state: (
        masks(state) | {"lm_head.decoder.weight": state["transformer.wte.weight"]}
    ),
    "head only": lambda state: {
        "lm_head.weight" if "wte" in key else key: value for key, value in state.items()
    },
    "gamma and beta": lambda state: {
        key.replace(".weight", ".gamma").replace(".bias", ".beta") if "ln_" in key else key: value
        for key, value in state.items()
    },
    "linear": linear,
    "wrapped blocks": lambda state: {
        f"module.{key}".replace(".attn.", "._checkpoint_wrapped_module.attn."): value
        for key, value in state.items()
    },
    "value head": lambda state: state | {"v_head.summary.weight": torch.ones(1, 48)},
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_layout_has_the_logits_of_transformers(tmp_path, change):
    reference = reference_model()
    reference.save_pretrained(tmp_path)
    rewrite(tmp_path, CHANGES[change])

    assert_same_logits(expected(reference), ours(tmp_path)[1])


@pytest.mark.parametrize("change", ["no prefix", "tied head", "DialoGPT", "head only"])
def test_layouts_that_transformers_reads_it_reads_alike(tmp_path, change):
    reference_model().save_pretrained(tmp_path)
    rewrite(tmp_path, CHANGES[change])
    theirs = transformers.GPT2LMHeadModel.from_pretrained(tmp_path)

    assert_same_logits(expected(theirs), ours(tmp_path)[1])


@pytest.mark.parametrize(
    "changes",
    [
        {"n_inner": 40},
        {"n_inner": 48},
        {"tie_word_embeddings": False},
        {"activation_function": "relu", "layer_norm_epsilon": 1e-3},
        {"scale_attn_by_inverse_layer_idx": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("shard", ["50GB", "40KB"])
def test_what_transformers_saved_has_its_logits(tmp_path, changes, shard):
    reference = reference_model(**changes)
    reference.save_pretrained(tmp_path, max_shard_size=shard)

    assert_same_logits(expected(reference), ours(tmp_path)[1])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_has_the_logits_of_transformers(tmp_path, name):
    if name not in transformers.activations.ACT2CLS:
        pytest.skip(f"this version of transformers has no {name}")
    reference = reference_model(activation_function=name)
    reference.save_pretrained(tmp_path)

    assert_same_logits(expected(reference), ours(tmp_path)[1])


@pytest.mark.parametrize("biased", [True, False])
def test_what_nanogpt_saves_has_the_logits_of_the_same_network(tmp_path, biased):
    """NanoGPT's network is GPT-2's with the exact GELU; without biases, with zeros for them."""
    reference = reference_model(activation_function="gelu")
    if not biased:
        for name, parameter in reference.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.zeros_(parameter)
    state = {
        f"_orig_mod.{key}": value
        for key, value in linear(reference.state_dict()).items()
        if biased or not key.endswith("bias")
    }
    config = reference.config
    sizes = {"n_layer": config.n_layer, "n_head": config.n_head, "n_embd": config.n_embd}
    sizes |= {"block_size": config.n_positions, "vocab_size": config.vocab_size, "dropout": 0.0}
    content = {"model": state, "model_args": sizes | {"bias": biased}, "iter_num": 9}
    torch.save(content, tmp_path / "ckpt.pt")

    assert_same_logits(expected(reference), ours(tmp_path / "ckpt.pt")[1])


def test_a_head_of_its_own_wins_over_the_config_as_in_transformers(tmp_path):
    reference_model(tie_word_embeddings=False).save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"tie_word_embeddings": True}))
    theirs = transformers.GPT2LMHeadModel.from_pretrained(tmp_path)
    checkpoint, model = ours(tmp_path)

    assert_same_logits(expected(theirs), model)
    assert not checkpoint.architecture.config.tie_word_embeddings


def test_a_model_without_a_head_is_tied(tmp_path):
    reference = reference_model()
    reference.transformer.save_pretrained(tmp_path)

    assert_same_logits(expected(reference), ours(tmp_path)[1])


def compiled_by_block(model):
    for layer, block in enumerate(model.transformer.h):
        model.transformer.h[layer] = torch.compile(block)
    return torch.compile(model)


def with_adapters(model):
    peft = pytest.importorskip("peft")
    return peft.get_peft_model(
        model, peft.LoraConfig(r=2, target_modules=["c_attn", "c_fc"], fan_in_fan_out=True)
    )


# What others' programs say of each other is theirs.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(
    "wrap",
    [torch.nn.DataParallel, compiled_by_block, with_adapters],
    ids=lambda wrap: wrap.__name__,
)
def test_the_state_of_a_model_that_others_wrapped_is_the_models(tmp_path, wrap):
    reference = reference_model()
    reference.config.save_pretrained(tmp_path)
    logits = expected(reference)
    state = {
        key: value.clone()
        for key, value in wrap(reference).state_dict().items()
        if "lora_" not in key
    }
    torch.save({"state_dict": state}, tmp_path / "last.ckpt")

    torch.testing.assert_close(
        logits, expected(ours(tmp_path / "last.ckpt")[1]), rtol=1e-5, atol=1e-5
    )


def test_a_classifier_is_read_as_the_language_model_that_transformers_reads(tmp_path):
    torch.manual_seed(1)
    classifier = transformers.GPT2ForSequenceClassification(reference_model().config)
    classifier.save_pretrained(tmp_path)
    theirs = transformers.GPT2LMHeadModel.from_pretrained(tmp_path)
    checkpoint, model = ours(tmp_path)

    assert_same_logits(expected(theirs), model)
    assert ("heads beside the language model's were left out: score.weight",) == checkpoint.notes


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("most", [10**9, 40_000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_transformers_loads_what_is_saved_bit_for_bit(tmp_path, tied, most, dtype):
    reference = reference_model(tie_word_embeddings=tied, eos_token_id=[3, 4], n_inner=40).to(dtype)
    reference.save_pretrained(tmp_path / "theirs")
    checkpoint, model = ours(tmp_path / "theirs")
    save_pretrained(
        model, checkpoint.architecture.config, None, tmp_path / "ours", max_shard_size=most
    )
    again, report = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "ours", output_loading_info=True
    )

    assert {dtype} == {parameter.dtype for parameter in again.parameters()}
    assert torch.equal(expected(reference), expected(again))
    assert not any(report[kind] for kind in report)
    assert [3, 4] == again.generation_config.eos_token_id
    assert reference.config.to_diff_dict() == again.config.to_diff_dict() | {
        key: value
        for key, value in reference.config.to_diff_dict().items()
        if key in {"_name_or_path", "transformers_version", "architectures"}
    }


def test_a_packed_model_is_saved_plain(tmp_path):
    reference = reference_model(n_inner=8192)
    reference.save_pretrained(tmp_path / "theirs")
    checkpoint, model = ours(tmp_path / "theirs")
    model.prepare()
    save_pretrained(model, checkpoint.architecture.config, None, tmp_path / "ours")
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "ours")

    assert torch.equal(expected(reference), expected(again))
