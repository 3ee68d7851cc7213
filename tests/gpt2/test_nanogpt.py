"""A nanoGPT checkpoint is loaded by itself: its sizes are in the weight file."""

import pytest
import torch

from gpt2sdk.config import GPT2Config
from gpt2sdk.errors import CheckpointError
from gpt2sdk.gpt2.checkpoint import open_checkpoint
from gpt2sdk.gpt2.nanogpt import NANOGPT_NOTE
from gpt2sdk.loading import open_model
from gpt2sdk.plugins.registry import Registry

ARGS = {
    "n_layer": 2,
    "n_head": 2,
    "n_embd": 8,
    "block_size": 10,
    "bias": False,
    "vocab_size": 23,
    "dropout": 0.2,
}


def state(*, bias, prefix="_orig_mod."):
    """What nanoGPT's `model.state_dict()` holds: matrices as `nn.Linear` has them."""
    shapes = {"transformer.wte.weight": (23, 8), "transformer.wpe.weight": (10, 8)}
    layers = {"attn.c_attn": (24, 8), "attn.c_proj": (8, 8), "mlp.c_fc": (32, 8)}
    layers |= {"mlp.c_proj": (8, 32), "ln_1": (8,), "ln_2": (8,)}
    names = {f"transformer.h.{i}.{name}": shape for i in range(2) for name, shape in layers.items()}
    names["transformer.ln_f"] = (8,)
    for name, shape in names.items():
        shapes[f"{name}.weight"] = shape
        if bias:
            shapes[f"{name}.bias"] = shape[:1]
    generator = torch.Generator().manual_seed(0)
    made = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    made["lm_head.weight"] = made["transformer.wte.weight"]
    return {prefix + name: value for name, value in made.items()}


def write(folder, *, bias=False, **changes):
    """What nanoGPT's `train.py` saves."""
    file = folder / "ckpt.pt"
    content = {
        "model": state(bias=bias),
        "optimizer": {"state": {0: {"step": torch.tensor(5.0)}}, "param_groups": [{"lr": 1e-3}]},
        "model_args": ARGS | {"bias": bias} | changes,
        "iter_num": 2000,
        "best_val_loss": torch.tensor(1.5),
        "config": {"dataset": "shakespeare_char"},
    }
    torch.save(content, file)
    return file


@pytest.mark.parametrize("bias", [True, False])
def test_the_sizes_are_those_of_the_file(tmp_path, bias):
    checkpoint = open_checkpoint(write(tmp_path, bias=bias))

    assert checkpoint.architecture.config == GPT2Config(
        n_layer=2,
        n_head=2,
        n_embd=8,
        n_positions=10,
        vocab_size=23,
        activation_function="gelu",
        resid_pdrop=0.2,
        embd_pdrop=0.2,
        attn_pdrop=0.2,
        bos_token_id=None,
        eos_token_id=None,
    )
    noted = "the checkpoint has no biases of its matrices and layer norms: they are zeros"
    assert [noted] * (not bias) == [note for note in checkpoint.notes if "biases" in note]
    name = "h.1.mlp.c_fc.weight"
    read = checkpoint.read(name, device=torch.device("cpu"), dtype=torch.float32)
    assert torch.equal(state(bias=bias)[f"_orig_mod.transformer.{name}"], read)


def test_the_activation_that_is_assumed_is_noted(tmp_path):
    (note,) = [note for note in open_checkpoint(write(tmp_path)).notes if "gelu" in note]

    assert note.startswith("the sizes are nanoGPT's model_args, with activation_function='gelu'")


def test_a_config_beside_the_file_wins(tmp_path):
    file = write(tmp_path)
    config = GPT2Config(n_layer=2, n_head=1, n_embd=8, n_positions=10, vocab_size=23)
    (tmp_path / "config.json").write_text(config.model_dump_json(exclude={"extra", "dtype"}))

    assert (1, "gelu_new") == (
        open_checkpoint(file).architecture.config.n_head,
        open_checkpoint(file).architecture.config.activation_function,
    )


def test_texts_end_with_the_end_token_of_gpt2s_vocabulary(tmp_path):
    from gpt2sdk.gpt2.nanogpt import nanogpt_config

    assert (50256,) == nanogpt_config(ARGS | {"vocab_size": 50304}, tmp_path).written_end_tokens
    assert None is nanogpt_config(ARGS | {"vocab_size": 65}, tmp_path).eos_token_id


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"block_size": None},
            r"ckpt\.pt: expected nanoGPT's model_args to name block_size, found",
        ),
        ({"n_head": 3}, r"ckpt\.pt: n_head=3: expected a divisor of n_embd=8"),
        (
            {"n_layer": 3},
            r"ckpt\.pt: the weights do not fit the config \(the weights have n_layer=2",
        ),
    ],
)
def test_sizes_that_do_not_fit_are_one_line_with_the_file(tmp_path, changes, message):
    with pytest.raises(CheckpointError, match=message):
        open_checkpoint(write(tmp_path, **changes))


def test_a_file_of_another_trainer_needs_a_config(tmp_path):
    torch.save({"model": state(bias=True)}, tmp_path / "ckpt.pt")

    with pytest.raises(CheckpointError, match=r"expected a config\.json in the folder, found none"):
        open_checkpoint(tmp_path / "ckpt.pt")


def test_a_loader_knows_it_by_its_sizes(tmp_path):
    opened = open_model(write(tmp_path, vocab_size=23), registry=Registry())

    assert open_checkpoint(tmp_path / "ckpt.pt").architecture == opened.architecture
    (note,) = [note for note in opened.notes if "gelu" in note]
    assert NANOGPT_NOTE == note


def test_a_loader_names_sizes_that_are_absent(tmp_path):
    with pytest.raises(CheckpointError, match="expected nanoGPT's model_args to name block_size"):
        open_model(write(tmp_path, block_size=None), registry=Registry())
