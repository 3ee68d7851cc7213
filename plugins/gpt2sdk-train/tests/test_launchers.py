"""What accelerate's launcher hands on to a run."""

import pytest
import torch
from accelerate import DistributedType
from accelerate.state import AcceleratorState, PartialState

from gpt2sdk import OptionError
from gpt2sdk.gpt2 import GPT2
from gpt2sdk_train import TrainingSettings, train

SETTINGS = TrainingSettings(steps=3, batch_size=4, micro_batch_size=2, max_grad_norm=0.0)


def forget():
    """Let accelerate read the environment anew."""
    AcceleratorState._reset_state(reset_partial_state=True)  # noqa: SLF001 - it has no other way


@pytest.fixture(autouse=True)
def forgotten():
    """Forget what tests before this one, and this one, set up."""
    forget()
    yield
    forget()


@pytest.fixture
def trained(config, tokenizer, documents, weights_of, tmp_path):
    """Return a function that trains a model, and gives its weights."""

    def run(name, settings=SETTINGS):
        model = GPT2(config)
        train(model, tokenizer, documents, settings, output=tmp_path / name)
        return weights_of(model)

    return run


def test_a_launchers_gradient_accumulation_changes_nothing(trained, monkeypatch):
    expected = trained("plain")
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")

    assert torch.equal(expected, trained("launched"))


@pytest.mark.parametrize("asked", ["bf16", "fp16"])
def test_a_launchers_precision_has_to_be_the_settings(trained, monkeypatch, asked, tmp_path):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", asked)

    with pytest.raises(OptionError, match=f"mixed_precision={asked}, the settings no: expected it"):
        trained("launched")
    assert not (tmp_path / "launched").exists()


def test_the_same_precision_twice_is_computed_once(trained, monkeypatch):
    settings = SETTINGS.model_copy(update={"mixed_precision": "bf16"})
    expected = trained("plain", settings)
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    forget()

    assert torch.equal(expected, trained("launched", settings))
    assert "no" == AcceleratorState().mixed_precision


@pytest.mark.parametrize(
    ("variable", "kind"),
    [
        ("ACCELERATE_USE_FSDP", "FSDP"),
        ("ACCELERATE_USE_DEEPSPEED", "DeepSpeed"),
        ("ACCELERATE_USE_MEGATRON_LM", "Megatron-LM"),
    ],
)
def test_sharding_is_refused(trained, monkeypatch, variable, kind):
    monkeypatch.setenv(variable, "true")

    with pytest.raises(OptionError, match=f"{kind} is not offered: expected one process, or"):
        trained("launched")


def test_other_devices_are_refused(trained, monkeypatch):
    state = PartialState(cpu=True)
    monkeypatch.setitem(vars(state), "distributed_type", DistributedType.MULTI_NPU)

    with pytest.raises(OptionError, match="MULTI_NPU is not offered"):
        trained("launched")


def test_what_accelerate_refuses_is_an_option_error(trained):
    from accelerate import Accelerator

    Accelerator(cpu=True, mixed_precision="bf16")

    with pytest.raises(OptionError, match="accelerate cannot be set up: AcceleratorState has"):
        trained("launched")
