"""Runs on a CUDA device."""

import pytest
import torch

from gpt2sdk.gpt2 import GPT2
from gpt2sdk_train import Adapters, LoRA, Stepped, train

pytestmark = pytest.mark.gpu


@pytest.fixture
def losses(config, tokenizer, documents, settings, tmp_path):
    """Return a function that trains a model, and gives the losses of its steps."""
    still = config.model_copy(update={"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0})

    def run(device, *, adapter=False, **changes):
        model = GPT2(still).to(device)
        if adapter:
            Adapters(model).add("tone", LoRA(targets="*"))
        events = []
        train(
            model,
            tokenizer,
            documents,
            settings.model_copy(update=changes),
            output=tmp_path / f"{device}{adapter}{sorted(changes.items())}",
            validation=documents[:2],
            observers=[events.append],
        )
        assert device == model.device.type
        return [event.loss for event in events if isinstance(event, Stepped)]

    return run


@pytest.mark.parametrize("adapter", [False, True], ids=["full", "lora"])
def test_a_gpu_adds_micro_batches_up(losses, adapter):
    expected = losses("cuda", adapter=adapter)

    assert expected == pytest.approx(losses("cuda", adapter=adapter, micro_batch_size=1), abs=1e-3)
    assert expected[-1] < expected[0]


def test_bf16_learns_on_a_gpu(losses):
    plain, half = losses("cuda"), losses("cuda", mixed_precision="bf16")

    assert plain != half
    assert plain == pytest.approx(half, abs=0.1)


def test_dropout_on_a_gpu_follows_from_the_seed(
    config, tokenizer, documents, settings, weights_of, tmp_path
):
    def trained(name):
        model = GPT2(config).to("cuda")
        train(model, tokenizer, documents, settings, output=tmp_path / name)
        return weights_of(model)

    torch.manual_seed(1)
    assert torch.allclose(trained("one"), trained("other"), atol=1e-5)
