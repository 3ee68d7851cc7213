"""Quantized models are not trained, adapters beside their matrices are."""

import pytest
import torch

from gpt2sdk import Generator, OptionError
from gpt2sdk_train import Adapters, LoRA, Objective, TrainingSettings, train

pytest.importorskip("gpt2sdk_quantization", reason="what quantizes comes from there")

TARGETS = ("*.attn.*", "*.mlp.*")
TEXT = "Three blind mice. See how they run. They all ran after the farmer's wife. " * 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from gpt2sdk.testing import save_tiny_model

    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_tiny_model(folder)
    return folder


@pytest.fixture(params=["int8", "int4"])
def quantized(request, folder):
    return Generator.from_pretrained(folder, quantization=request.param)


def test_a_quantized_model_is_refused_before_any_work(quantized, tmp_path):
    with pytest.raises(OptionError, match="what is quantized cannot be trained"):
        train(quantized.model, quantized.tokenizer, [TEXT], output=tmp_path / "run")

    assert not (tmp_path / "run").exists()


def test_an_adapter_beside_quantized_matrices_learns(quantized, folder, tmp_path):
    before = quantized.score(TEXT).perplexity
    Adapters(quantized.model).add("mice", LoRA(rank=4, targets=TARGETS))
    settings = TrainingSettings(steps=30, batch_size=2, learning_rate=1e-2)
    result = train(quantized.model, quantized.tokenizer, [TEXT], settings, output=tmp_path)

    assert quantized.score(TEXT).perplexity < 0.7 * before
    plain = Generator.from_pretrained(folder)
    Adapters(plain.model).load(result.folder, "mice")
    assert plain.score(TEXT).perplexity < 0.8 * before


def test_the_loss_of_a_quantized_model_is_that_of_its_scores(quantized):
    tokens = quantized.tokenizer.encode(TEXT)[:40]
    loss = Objective(quantized.model)(torch.tensor([tokens]))
    score = quantized.score(tokens, bos=False)

    assert loss.item() == pytest.approx(score.nats / score.token_count, rel=1e-2)


def test_an_adapter_is_not_merged_into_quantized_matrices(quantized):
    adapters = Adapters(quantized.model)
    adapters.add("mice", LoRA(rank=4))

    with pytest.raises(OptionError, match="cannot be merged into quantized matrices"):
        adapters.merge()
    assert not adapters.merged
    adapters.remove("mice")
