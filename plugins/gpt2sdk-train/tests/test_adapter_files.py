"""An adapter's files: held against their own config and the model, or explained."""

import json
import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from gpt2sdk import CheckpointError
from gpt2sdk.gpt2 import GPT2
from gpt2sdk_train import Adapters, LoRA

WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model.transformer."


@pytest.fixture
def still(config):
    """Return a model in evaluation mode."""
    return GPT2(config).eval()


@pytest.fixture
def saved(config, tmp_path):
    """Return the folder of an adapter."""
    adapters = Adapters(GPT2(config))
    adapters.add("tone")
    adapters.save("tone", tmp_path / "tone")
    return tmp_path / "tone"


def configure(folder, **change):
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))


def retensor(folder, change):
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS)


def refused(model, folder):
    """Return the message that loading ends with; the model is then as it was."""
    names = [name for name, _ in model.named_modules()]
    with pytest.raises(CheckpointError) as caught:
        Adapters(model).load(folder, "tone")
    assert names == [name for name, _ in model.named_modules()]
    assert Adapters(model).names == ()
    assert "weights_only" not in str(caught.value)
    assert len(str(caught.value)) < 700
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"peft_type": "IA3"}, 'expected an adapter with "peft_type": "LORA", found "IA3"'),
        ({"peft_type": None}, 'expected an adapter with "peft_type": "LORA", it has none'),
        ({"use_qalora": True}, "use_qalora=True is not offered"),
        ({"alora_invocation_tokens": [1]}, "alora_invocation_tokens=[1] is not offered"),
        ({"target_parameters": ["w"]}, "target_parameters=['w'] is not offered"),
        ({"layer_replication": [[0, 1]]}, "layer_replication=[[0, 1]] is not offered"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights='pissa' is not offered, since it"),
        ({"of_a_later_peft": 2}, "of_a_later_peft=2 is not offered"),
        ({"lora_alpha": 0}, "adapter_config.json: alpha should be greater than 0, got 0"),
        ({"lora_alpha": "big"}, "adapter_config.json: alpha should be a valid number, got 'big'"),
        ({"bias": "some"}, "bias='some': expected one of none, all, lora_only"),
        ({"target_modules": "(c_attn"}, "target_modules: '(c_attn' is no regular expression"),
        ({"trainable_token_indices": [290]}, "expected tokens from 0 to 289"),
        ({"trainable_token_indices": {"lm_head": [1]}}, "of lm_head are not offered: expected wte"),
    ],
    ids=lambda value: str(next(iter(value.items()))) if isinstance(value, dict) else "",
)
def test_what_would_change_the_result_is_refused_by_name(still, saved, change, message):
    configure(saved, **change)

    assert message in refused(still, saved)


@pytest.mark.parametrize(
    "change",
    [
        {"init_lora_weights": "eva", "eva_config": {"rho": 2.0, "tau": 0.99}},
        {"of_a_later_peft": None, "another": []},
        {"fan_in_fan_out": False, "inference_mode": False, "task_type": None},
        {"megatron_core": "megatron.core", "loftq_config": {}, "revision": "main"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_is_of_no_matter_is_read_over(still, saved, change):
    configure(saved, **change)
    Adapters(still).load(saved)

    assert Adapters(still).names == ("tone",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"target_modules": ["c_attn", "c_fc"]},
            "4 missing: h.0.mlp.c_fc.lora_A.weight, h.0.mlp.c_fc.lora_B.weight, h.1",
        ),
        ({"target_modules": ["h.0.attn.c_attn"]}, "2 not asked for: h.1.attn.c_attn"),
        ({"layers_to_transform": [0]}, "2 not asked for: h.1.attn.c_attn.lora_A"),
        ({"exclude_modules": ["c_attn"]}, "4 not asked for: h.0.attn.c_attn.lora_A"),
        ({"target_modules": ["q_proj"]}, "4 not asked for: h.0.attn.c_attn.lora_A"),
        ({"use_dora": True}, "2 missing: h.0.attn.c_attn.lora_magnitude_vector, h.1"),
        ({"lora_bias": True}, "2 missing: h.0.attn.c_attn.lora_B.bias, h.1.attn"),
        ({"bias": "lora_only"}, "2 missing: h.0.attn.c_attn.bias, h.1.attn.c_attn.b"),
        ({"modules_to_save": ["ln_f"]}, "2 missing: ln_f.bias, ln_f.weight"),
        ({"trainable_token_indices": [1]}, "missing: wte.token_adapter.trainable_tokens_delta"),
        ({"r": 4}, "the rank of h.0.attn.c_attn is 4, but its tensors have 8"),
        ({"rank_pattern": {"h.1.attn.c_attn": 2}}, "rank of h.1.attn.c_attn is 2, but its"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_tensors_are_held_against_the_config(still, saved, change, message):
    configure(saved, **change)

    assert message in refused(still, saved)


def test_a_block_without_its_tensors_is_named(still, saved):
    def drop(tensors):
        for letter in "AB":
            del tensors[f"{PREFIX}h.1.attn.c_attn.lora_{letter}.weight"]

    retensor(saved, drop)
    message = refused(still, saved)

    assert "asks for all of the model's 2 blocks, and it has none of block 1" in message
    configure(saved, layers_to_transform=[0])
    Adapters(still).load(saved)
    assert list(Adapters(still).parts("tone")) == ["h.0.attn.c_attn"]


def test_a_damaged_checkpoint_leaves_the_adapter_as_it_is(still, saved):
    adapters = Adapters(still)
    adapters.load(saved, "tone")
    before = [
        tensor.clone()
        for part in adapters.parts("tone").values()
        for tensor in part.stored().values()
    ]
    retensor(saved, lambda tensors: tensors.pop(f"{PREFIX}h.1.attn.c_attn.lora_A.weight"))

    with pytest.raises(CheckpointError, match=r"1 missing: h.1.attn.c_attn.lora_A"):
        adapters.restore("tone", saved)
    after = [
        tensor for part in adapters.parts("tone").values() for tensor in part.stored().values()
    ]
    assert all(map(torch.equal, before, after))


def test_values_of_another_adapter_are_refused(config, still, saved, tmp_path):
    other = Adapters(GPT2(config))
    other.add("other", LoRA(rank=3))
    other.save("other", tmp_path / "other")
    adapters = Adapters(still)
    adapters.load(saved, "tone")

    with pytest.raises(CheckpointError, match=r"expected the adapter that is here, but h.0.attn"):
        adapters.restore("tone", tmp_path / "other")


def test_layers_to_transform_that_are_not_there_are_named(still, saved):
    def drop(tensors):
        for name in list(tensors):
            if "h.0." in name:
                del tensors[name]

    configure(saved, layers_to_transform=[0, 1])
    retensor(saved, drop)

    assert "layers_to_transform asks for block 0, and it has nothing of that" in refused(
        still, saved
    )


def test_half_a_pair_is_refused(still, saved):
    retensor(saved, lambda tensors: tensors.pop(f"{PREFIX}h.0.attn.c_attn.lora_B.weight"))

    assert "1 missing: h.0.attn.c_attn.lora_B.weight" in refused(still, saved)


def test_two_adapters_in_one_file_are_refused(still, saved):
    def double(tensors):
        name = f"{PREFIX}h.0.attn.c_attn.lora_A"
        tensors[f"{name}.default.weight"] = tensors[f"{name}.weight"].clone()

    retensor(saved, double)

    assert "are the same tensor, expected one: it holds several adapters" in refused(still, saved)


def test_an_adapter_of_another_model_says_of_which(config, saved):
    wider = GPT2(config.model_copy(update={"n_embd": 32}))
    fewer = GPT2(config.model_copy(update={"n_layer": 1}))
    more = GPT2(config.model_copy(update={"n_layer": 3}))

    assert "since it is for n_embd=16, and this one has n_embd=32" in refused(wider, saved)
    assert "it has blocks up to 1, the model has 1 blocks" in refused(fewer, saved)
    assert "the model's 3 blocks, and it has none of block 2" in refused(more, saved)


@pytest.mark.parametrize("name", ["transformer.wte.weight", "lm_head.weight"])
def test_a_resized_table_says_so(still, saved, name):
    table = torch.zeros(293, 16)
    retensor(saved, lambda tensors: tensors.update({f"base_model.model.{name}": table}))

    message = refused(still, saved)
    assert "its vocabulary was resized to 293 tokens, and this one has 290" in message


def test_an_adapter_of_a_classifier_says_so(still, saved):
    retensor(
        saved, lambda tensors: tensors.update({"base_model.model.score.weight": torch.ones(2, 16)})
    )

    assert "it is for another task than text" in refused(still, saved)


CONTENTS = {
    "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
    "page": b"<!DOCTYPE html><html><body>Not found</body></html>",
    "nothing": b"",
    "short": b"short",
    "foreign": pickle.dumps({"a": pickle.Pickler}, protocol=2),
}


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
@pytest.mark.parametrize("content", CONTENTS)
def test_files_that_are_something_else_are_explained(still, saved, content, kind):
    (saved / WEIGHTS).unlink()
    file = saved / f"adapter_model.{kind}"
    file.write_bytes(CONTENTS[content])
    message = refused(still, saved)

    assert message.startswith(f"{file}: cannot be read: it ")
    assert "\n" not in message
    assert (content == "pointer") == ("it is a Git LFS pointer" in message)


def test_folders_that_are_something_else_are_explained(still, saved, tmp_path):
    shutil.copytree(saved, tmp_path / "named" / "default")
    shutil.copytree(saved, tmp_path / "run" / "checkpoint-10")
    shutil.copytree(saved, tmp_path / "run" / "checkpoint-20")
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")

    inside = f"but adapters in it: give one of {tmp_path / 'named' / 'default'}"
    assert refused(still, tmp_path / "named").endswith(inside)
    assert refused(still, tmp_path / "run").endswith(
        f"{tmp_path / 'run' / 'checkpoint-10'}, {tmp_path / 'run' / 'checkpoint-20'}"
    )
    assert "found a model: give the adapter's folder" in refused(still, model)
    assert "found no such folder" in refused(still, tmp_path / "absent")
    assert "found a file: give the folder" in refused(still, saved / WEIGHTS)
    (saved / WEIGHTS).unlink()
    assert f"expected {WEIGHTS} or adapter_model.bin, found neither" in refused(still, saved)


def test_a_config_that_is_a_pointer_is_explained(still, saved):
    (saved / "adapter_config.json").write_bytes(CONTENTS["pointer"])

    assert "adapter_config.json: expected JSON" in refused(still, saved)


def test_old_names_of_tensors_are_known(still, saved):
    def rename(tensors):
        for name in list(tensors):
            middle = ".lora_A", ".lora_B"
            for each in middle:
                if each in name:
                    tensors[name.replace(each, f"{each}.default")] = tensors.pop(name)

    retensor(saved, rename)
    Adapters(still).load(saved)

    assert len(Adapters(still).parts("tone")) == 2


def test_a_full_disk_leaves_the_adapter_before(config, saved, monkeypatch):
    adapters = Adapters(GPT2(config))
    adapters.add("tone", seed=7)
    before = (saved / "adapter_model.safetensors").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(CheckpointError, match="cannot be written: No space left on device"):
        adapters.save("tone", saved)
    assert before == (saved / "adapter_model.safetensors").read_bytes()
    assert 2 == len(list(saved.iterdir()))
