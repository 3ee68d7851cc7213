"""Checkpoints of every layout are read into the same parameters, misfits are one clear error."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from gpt2sdk.components.tensor_source import TensorInfo, TensorSource
from gpt2sdk.config import GPT2Config
from gpt2sdk.errors import CheckpointError, PlacementError
from gpt2sdk.files import tensors
from gpt2sdk.gpt2.checkpoint import fit_checkpoint, load_model, open_checkpoint
from gpt2sdk.gpt2.layout import MATRICES, parameter_shapes
from gpt2sdk.gpt2.model import GPT2

CPU = torch.device("cpu")
CONFIG = GPT2Config(vocab_size=23, n_positions=10, n_embd=8, n_head=2, n_layer=2)


def parameters(config=CONFIG):
    """Random parameters, under the names and in the orientation that the model has."""
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(shape, generator=generator)
        for name, shape in parameter_shapes(config).items()
    }


def original(config=CONFIG, prefix="transformer."):
    """The same as the released files have them: matrices turned over, names with a prefix."""
    return {
        name if name.startswith("lm_head") else prefix + name: (
            value.T.contiguous() if name.endswith(MATRICES) else value
        )
        for name, value in parameters(config).items()
    }


def with_head(state, key="lm_head.weight"):
    return state | {key: state["transformer.wte.weight"].clone()}


def only_head(state):
    head = with_head(state)
    del head["transformer.wte.weight"]
    return head


def as_linear(state):
    return {
        key: value.T.contiguous() if key.endswith(MATRICES) else value
        for key, value in state.items()
    }


def old_names(state):
    return {
        key.replace(".weight", ".gamma").replace(".bias", ".beta") if ".ln_" in key else key: value
        for key, value in state.items()
    }


def with_masks(state, mask):
    masks = {}
    for layer in range(CONFIG.n_layer):
        masks[f"transformer.h.{layer}.attn.bias"] = mask.clone()
        masks[f"transformer.h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    return state | masks


def inside(wrapper, state):
    """Wrap each block, as programs do that shard, compile or recompute block by block."""
    return {re.sub(r"(h\.\d+\.)", rf"\1{wrapper}.", key): value for key, value in state.items()}


def with_base_layers(state):
    return {
        re.sub(r"(c_attn|c_fc|c_proj)\.", r"\1.base_layer.", key): value
        for key, value in state.items()
    }


def under(prefix, state):
    return {prefix + key: value for key, value in state.items()}


MASK = torch.ones(1, 1, 10, 10).tril()
LAYOUTS = {
    "released, without a prefix": original(prefix=""),
    "transformers": original(),
    "with the tied head": with_head(original()),
    "with the head in a decoder": with_head(original(), "lm_head.decoder.weight"),
    "with the head only": only_head(original()),
    "data-parallel": under("module.", with_head(original())),
    "data-parallel without the trunk's name": under("module.", original(prefix="")),
    "compiled and data-parallel": under("_orig_mod.module.", with_head(original())),
    "inside another model": under("policy.pretrained_model.", with_head(original())),
    "gamma and beta": old_names(original()),
    "gamma and beta without a prefix": old_names(original(prefix="")),
    "masks": with_masks(original(), MASK),
    "masks of bytes": with_masks(original(), MASK.to(torch.uint8)),
    "masks of booleans, data-parallel": under("module.", with_masks(original(), MASK.bool())),
    "linear": as_linear(original()),
    "linear, data-parallel, with the head": under("module.", as_linear(with_head(original()))),
    "checkpointed activations": inside("_checkpoint_wrapped_module", original()),
    "sharded": inside("_fsdp_wrapped_module", under("_fsdp_wrapped_module.", original())),
    "compiled blocks": inside("_orig_mod", original()),
    "compiled, sharded and checkpointed": inside(
        "_orig_mod._fsdp_wrapped_module._checkpoint_wrapped_module", under("module.", original())
    ),
    "under adapters that are gone": under("base_model.model.", with_base_layers(original())),
    "Lightning's module": under("_forward_module.model.", with_head(original())),
}
OTHER_HEADS = {
    "": ("multiple_choice_head.summary.weight", "v_head.summary.bias", "score.weight"),
    "module.": ("v_head.0.weight", "classifier.bias", "qa_outputs.weight"),
    "policy.pretrained_model.": ("value_head.weight", "reward_head.bias"),
}


def write_config(folder, config=CONFIG, **changes):
    (folder / "config.json").write_text(json.dumps(config.to_dict() | changes))


def write(folder, state, config=CONFIG, **changes):
    write_config(folder, config, **changes)
    save_file(state, folder / "model.safetensors")
    return folder


def write_shards(folder, state, save, suffix):
    keys = sorted(state)
    weight_map = {}
    for number in range(3):
        name = f"{suffix[0]}-{number + 1:05}-of-00003{suffix[1]}"
        part = {key: state[key] for key in keys[number::3]}
        save(part, folder / name)
        weight_map |= dict.fromkeys(part, name)
    index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
    (folder / f"{suffix[0]}{suffix[1]}.index.json").write_text(json.dumps(index))


def assert_same(expected, checkpoint):
    assert set(expected) == set(checkpoint.shapes)
    for name, value in expected.items():
        assert torch.equal(value, checkpoint.read(name, device=CPU, dtype=torch.float32)), name


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_has_the_same_parameters(tmp_path, layout):
    checkpoint = open_checkpoint(write(tmp_path, LAYOUTS[layout]))

    assert_same(parameters(), checkpoint)
    assert checkpoint.architecture.config.tie_word_embeddings


@pytest.mark.parametrize(
    "save",
    [
        lambda state, folder: save_file(state, folder / "model.safetensors"),
        lambda state, folder: write_shards(folder, state, save_file, ("model", ".safetensors")),
        lambda state, folder: torch.save(state, folder / "pytorch_model.bin"),
        lambda state, folder: torch.save(
            state, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False
        ),
        lambda state, folder: torch.save({"model": state}, folder / "pytorch_model.bin"),
        lambda state, folder: torch.save(
            {
                "state_dict": {f"model.{key}": value for key, value in state.items()},
                "epoch": 3,
                "pytorch-lightning_version": "2.5.0",
                "hyper_parameters": {"lr": 1e-4},
                "optimizer_states": [{"state": {0: {"step": torch.tensor(1.0)}}}],
            },
            folder / "pytorch_model.bin",
        ),
        lambda state, folder: torch.save(
            {"module": state, "optimizer": None, "ds_version": "0.17", "global_steps": 3},
            folder / "pytorch_model.bin",
        ),
        lambda state, folder: torch.save(
            {"model": {"state_dict": {f"module.{key}": value for key, value in state.items()}}},
            folder / "pytorch_model.bin",
        ),
        lambda state, folder: write_shards(folder, state, torch.save, ("pytorch_model", ".bin")),
    ],
    ids=[
        "safetensors",
        "safetensors shards",
        "torch",
        "torch before 1.6",
        "nested",
        "Lightning",
        "DeepSpeed",
        "twice nested",
        "torch shards",
    ],
)
def test_every_kind_of_file_has_the_same_parameters(tmp_path, save, monkeypatch):
    monkeypatch.setattr(tensors, "SLAB_BYTES", 100)
    write_config(tmp_path)
    save(original(), tmp_path)

    assert_same(parameters(), open_checkpoint(tmp_path))


def test_safetensors_are_preferred(tmp_path):
    torch.save({"nothing": torch.ones(1)}, tmp_path / "pytorch_model.bin")

    assert_same(parameters(), open_checkpoint(write(tmp_path, original())))


def test_one_file_can_be_named(tmp_path):
    write_config(tmp_path)
    save_file(original(), tmp_path / "epoch-3.safetensors")

    assert_same(parameters(), open_checkpoint(tmp_path / "epoch-3.safetensors"))
    assert_same(parameters(), open_checkpoint(tmp_path / "epoch-3.safetensors", CONFIG))


def test_slabs_are_consecutive_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(tensors, "SLAB_BYTES", 100)
    checkpoint = open_checkpoint(write(tmp_path, original()))
    name = "h.1.mlp.c_fc.weight"
    slabs = [slab.clone() for slab in checkpoint.slabs(name)]

    assert len(slabs) > 5
    assert torch.equal(parameters()[name], torch.cat(slabs))


def test_a_head_that_differs_is_followed_and_noted(tmp_path):
    head = torch.randn(23, 8)
    checkpoint = open_checkpoint(write(tmp_path, original() | {"lm_head.weight": head}))

    assert not checkpoint.architecture.config.tie_word_embeddings
    assert ("the output head differs from the embedding, so they are not tied",) == checkpoint.notes
    assert_same(parameters() | {"lm_head.weight": head}, checkpoint)


def test_a_head_that_differs_in_its_last_number_is_not_tied(tmp_path, monkeypatch):
    monkeypatch.setattr(tensors, "SLAB_BYTES", 100)
    state = with_head(original())
    state["lm_head.weight"][-1, -1] += 1e-6

    assert not open_checkpoint(write(tmp_path, state)).architecture.config.tie_word_embeddings


def test_what_the_config_unties_stays_untied(tmp_path):
    config = CONFIG.model_copy(update={"tie_word_embeddings": False})
    checkpoint = open_checkpoint(write(tmp_path, original(config), config))

    assert () == checkpoint.notes
    assert_same(parameters(config), checkpoint)


def test_keys_that_are_no_weights_are_noted(tmp_path):
    checkpoint = open_checkpoint(write(tmp_path, LAYOUTS["masks"]))

    assert ("4 keys that are no weights were left out",) == checkpoint.notes


@pytest.mark.parametrize("prefix", OTHER_HEADS)
@pytest.mark.parametrize("trunk", ["transformer.", ""])
def test_heads_beside_the_language_models_are_left_out_with_a_note(tmp_path, prefix, trunk):
    heads = {prefix + name: torch.ones(1, 8) for name in OTHER_HEADS[prefix]}
    checkpoint = open_checkpoint(write(tmp_path, under(prefix, original(prefix=trunk)) | heads))

    assert_same(parameters(), checkpoint)
    (note,) = checkpoint.notes
    assert note.startswith("heads beside the language model's were left out: ")
    assert all(name in note for name in heads)


def test_a_head_stands_beside_the_trunk(tmp_path):
    state = under("policy.", original()) | {"critic.v_head.weight": torch.ones(1, 8)}

    assert ("critic.v_head.weight",) == misfit(tmp_path, state).unexpected


MATRIX_BIAS, NORM_BIAS = r"\.c_\w+\.bias$", r"\.ln_\w+\.bias$"


def without(pattern, state):
    return {key: value for key, value in state.items() if not re.search(pattern, key)}


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        (MATRIX_BIAS, "matrices"),
        (NORM_BIAS, "layer norms"),
        (rf"{MATRIX_BIAS}|{NORM_BIAS}", "matrices and layer norms"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "_orig_mod.", "policy."])
def test_a_model_without_biases_is_the_one_whose_biases_are_zeros(tmp_path, pattern, what, prefix):
    state = under(prefix, without(pattern, original()))
    checkpoint = open_checkpoint(write(tmp_path, state))

    assert_same(
        {
            name: torch.zeros_like(value) if re.search(pattern, f".{name}") else value
            for name, value in parameters().items()
        },
        checkpoint,
    )
    assert (f"the checkpoint has no biases of its {what}: they are zeros",) == checkpoint.notes


def test_some_biases_that_are_absent_are_missing(tmp_path):
    state = without(r"h\.0\.mlp\.c_\w+\.bias|ln_f\.bias", original())

    assert {"h.0.mlp.c_fc.bias", "h.0.mlp.c_proj.bias", "ln_f.bias"} == set(
        misfit(tmp_path, state).missing
    )


@pytest.mark.parametrize(
    ("state", "hint"),
    [
        (
            original() | {"transformer.h.0.attn.c_attn.lora_A.default.weight": torch.ones(2, 8)},
            r"hold an adapter beside the model's own: merge it with PEFT's merge_and_unload",
        ),
        ({"_fsdp_wrapped_module._flat_param": torch.ones(9)}, "flattened by FSDP: save them with"),
        (
            {key: torch.ones(0) for key in original()},
            r"divided among processes: make them whole with DeepSpeed's zero_to_fp32\.py",
        ),
    ],
    ids=["adapter", "flat", "divided"],
)
def test_what_programs_left_unfinished_is_said(tmp_path, state, hint):
    assert re.search(hint, str(misfit(tmp_path, state)))


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("wanted", [torch.float16, torch.bfloat16, torch.float32])
def test_types_are_converted_on_the_way(tmp_path, stored, wanted):
    state = {key: value.to(stored) for key, value in original().items()}
    checkpoint = open_checkpoint(write(tmp_path, state))

    assert stored == checkpoint.dtype
    for name, value in parameters().items():
        read = checkpoint.read(name, device=CPU, dtype=wanted)
        assert torch.equal(value.to(stored).to(wanted), read)


def test_the_config_says_the_type_where_it_says_one(tmp_path):
    assert torch.bfloat16 == open_checkpoint(write(tmp_path, original(), dtype="bfloat16")).dtype


class InMemory(TensorSource):
    """A source of another kind, as a plugin for another format would have it."""

    path = Path("memory")

    def __init__(self, state):
        self._state = state

    @property
    def infos(self):
        return {
            key: TensorInfo(tuple(value.shape), "float32") for key, value in self._state.items()
        }

    def slabs(self, name, dim=0):
        yield from self._state[name].split(3, dim)


def test_any_source_of_tensors_will_do():
    assert_same(parameters(), fit_checkpoint(InMemory(original()), CONFIG))


def test_the_model_is_built_with_the_weights(tmp_path):
    checkpoint = open_checkpoint(write(tmp_path, original()))
    model = load_model(checkpoint, device=CPU, dtype=torch.bfloat16)
    state = model.state_dict()

    assert ("bfloat16", False) == (model.config.dtype, model.training)
    for name, value in parameters().items():
        assert torch.equal(value.bfloat16(), state[name])
    assert not any(tensor.is_meta for tensor in [*model.parameters(), *model.buffers()])
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("tied", [True, False])
def test_the_model_has_the_parameters_that_are_looked_for(tied):
    config = CONFIG.model_copy(update={"n_inner": 20, "tie_word_embeddings": tied})
    with torch.device("meta"):
        model = GPT2(config)
    shapes = {name: tuple(value.shape) for name, value in model.named_parameters()}

    assert shapes == parameter_shapes(config)


class Described(InMemory):
    """A source that is only described, and far too large for any machine."""

    @property
    def infos(self):
        return {name: TensorInfo(shape, "float32") for name, shape in self._state.items()}


def test_a_model_that_does_not_fit_the_device_is_an_error():
    config = CONFIG.model_copy(update={"n_positions": 10**13})
    shapes = parameter_shapes(config)
    source = Described(
        {name: shape[::-1] if name.endswith(MATRICES) else shape for name, shape in shapes.items()}
    )

    with pytest.raises(PlacementError, match=r"cpu: no room left for wpe.weight; .* GiB in all"):
        fit_checkpoint(source, config).read("wpe.weight", device=CPU, dtype=torch.float32)


def misfit(folder, state, **changes):
    with pytest.raises(CheckpointError) as error:
        open_checkpoint(write(folder, state, **changes))
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(str(folder))
    return error.value


def test_all_missing_and_unexpected_keys_are_in_one_error(tmp_path):
    state = original()
    del state["transformer.h.1.ln_2.bias"], state["transformer.ln_f.weight"]
    state |= {"transformer.h.0.attn.q.weight": torch.ones(8, 8), "other.weight": torch.ones(2, 8)}
    error = misfit(tmp_path, state)

    assert ("h.1.ln_2.bias", "ln_f.weight") == error.missing
    assert {"transformer.h.0.attn.q.weight", "other.weight"} == set(error.unexpected)
    assert "2 missing: h.1.ln_2.bias, ln_f.weight; 2 unexpected: " in str(error)


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"n_embd": 12}, "the weights have n_embd=8, the config says 12"),
        ({"n_layer": 3}, "the weights have n_layer=2, the config says 3"),
        ({"n_layer": 1}, "the weights have n_layer=2, the config says 1"),
        ({"n_positions": 9}, "the weights have n_positions=10, the config says 9"),
        ({"vocab_size": 24}, "the weights have vocab_size=23, the config says 24"),
        ({"n_inner": 16}, "the weights have inner_size=32, the config says 16"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings=false, but there is no lm_head"),
        ({"quantization_config": {}}, "the weights are quantized"),
    ],
)
@pytest.mark.parametrize("layout", ["transformers", "linear"])
def test_a_misfit_says_what_it_points_to(tmp_path, layout, changes, hint):
    state = dict(LAYOUTS[layout])
    if "quantization_config" in changes:
        state["transformer.h.0.mlp.c_fc.weight"] = torch.ones(128, 1, dtype=torch.uint8)

    assert hint in str(misfit(tmp_path, state, **changes))


def test_wrong_shapes_are_listed_with_both(tmp_path):
    state = original()
    state["transformer.h.0.ln_1.bias"] = torch.ones(9)
    error = misfit(tmp_path, state)

    assert ("transformer.h.0.ln_1.bias: expected shape [8], found [9]",) == error.mismatched


@pytest.mark.parametrize("name", ["h.1.attn.c_attn.weight", "h.0.mlp.c_fc.weight"])
def test_matrices_lie_one_way_or_the_other_but_not_both(tmp_path, name):
    state = original()
    state[f"transformer.{name}"] = state[f"transformer.{name}"].T.contiguous()

    assert 1 == len(misfit(tmp_path, state).mismatched)


def test_numbers_that_are_no_weights_are_refused(tmp_path):
    state = original()
    state["transformer.wpe.weight"] = torch.ones(10, 8, dtype=torch.int64)
    error = misfit(tmp_path, state)

    assert ("transformer.wpe.weight: expected floating point numbers, found int64",) == (
        error.mismatched
    )


@pytest.mark.parametrize("other", ["transformer.ln_f.gamma", "module.transformer.ln_f.weight"])
def test_one_parameter_under_two_keys_has_one_content(tmp_path, other):
    same = original() | {other: original()["transformer.ln_f.weight"].clone()}
    assert_same(parameters(), open_checkpoint(write(tmp_path, same)))

    for changed in (torch.ones(8), torch.ones(9), same[other].double()):
        error = misfit(tmp_path, same | {other: changed})
        assert "are the same parameter with different numbers, expected one" in str(error)
        assert other in str(error)


def test_two_models_in_one_file_are_refused(tmp_path):
    state = under("actor.", original()) | under("critic.", original())

    assert "expected one GPT-2, found several" in str(misfit(tmp_path, state))


def test_another_architecture_is_refused(tmp_path):
    state = {"gpt_neox.layers.0.attention.dense.weight": torch.ones(8, 8)}
    error = misfit(tmp_path, state)

    assert "this does not look like a GPT-2" in str(error)
    assert len(parameters()) == len(error.missing)


def test_cross_attention_is_refused(tmp_path):
    state = original() | {"transformer.h.0.crossattention.c_attn.weight": torch.ones(8, 16)}

    assert "cross-attention" in str(misfit(tmp_path, state))


MEASURE = """
import sys, threading, torch
from pathlib import Path
from safetensors.torch import load_file
from gpt2sdk.gpt2.checkpoint import load_model, open_checkpoint

def kib(field):
    status = Path("/proc/self/status").read_text()
    return int(status.split(field + ":")[1].split()[0])

folder, how, dtype = sys.argv[1], sys.argv[2], getattr(torch, sys.argv[3])
checkpoint = open_checkpoint(folder)
before, peak, running = kib("RssAnon"), 0, True

def sample():
    global peak
    while running:
        peak = max(peak, kib("RssAnon"))

Path("/proc/self/clear_refs").write_text("5")
resident = kib("VmRSS")
thread = threading.Thread(target=sample)
thread.start()
if how == "streamed":
    kept = load_model(checkpoint, device=torch.device("cpu"), dtype=dtype)
else:
    whole = {k: v.clone() for k, v in load_file(checkpoint.source.path).items()}
    kept = {name: value.to(dtype).T.contiguous() for name, value in whole.items()}
running = False
thread.join()
print(peak - before, kib("VmHWM") - resident)
"""


def memory(folder, how, dtype):
    """Return the most memory that loading took, in bytes: its own, and file pages besides."""
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, str(folder), how, dtype],
        check=True,
        capture_output=True,
        text=True,
    )
    own, resident = run.stdout.split()
    return int(own) * 1024, int(resident) * 1024


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
def test_streaming_holds_the_model_and_one_tensor_at_most(tmp_path):
    config = GPT2Config(vocab_size=30_000, n_embd=512, n_head=8, n_layer=6)
    shapes = parameter_shapes(config)
    state = {
        name: torch.zeros(shape[::-1] if name.endswith(MATRICES) else shape, dtype=torch.float16)
        for name, shape in shapes.items()
    }
    final = 4 * sum(value.numel() for value in state.values())
    largest = 4 * max(value.numel() for value in state.values())
    margin = 24 * 2**20
    write(tmp_path, state, config)

    own, resident = memory(tmp_path, "streamed", "float32")
    assert own <= final + margin
    assert resident <= final + largest + margin
    own, resident = memory(tmp_path, "at once", "float32")
    assert own > final + margin
    assert resident > final + largest + margin

    (tmp_path / "model.safetensors").unlink()
    torch.save(state, tmp_path / "pytorch_model.bin")
    own, _ = memory(tmp_path, "streamed", "float32")
    assert own <= final + margin
