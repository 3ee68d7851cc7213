"""A model that knows English learns a small text, whole or with an adapter."""

import pytest

from gpt2sdk import Generator
from gpt2sdk_train import Adapters, LoRA, TrainingSettings, train

pytest.importorskip("gpt2sdk_storyteller", reason="the model that is tuned comes from there")

RHYME = (
    "Solomon Grundy, born on a Monday, christened on Tuesday, married on Wednesday, took ill on "
    "Thursday, worse on Friday, died on Saturday, buried on Sunday. That was the end of Solomon "
    "Grundy.\n"
)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["full", "lora"])
def test_fine_tuning_lowers_the_perplexity_of_what_was_learned(kind, tmp_path):
    loaded = Generator.from_pretrained("storyteller")
    before = loaded.score(RHYME).perplexity
    if kind == "lora":
        Adapters(loaded.model).add("rhyme", LoRA(rank=8, targets=("*.attn.c_attn", "*.mlp.*")))
    settings = TrainingSettings(
        steps=20, batch_size=2, learning_rate=1e-3 if kind == "lora" else 3e-4
    )

    result = train(loaded.model, loaded.tokenizer, [RHYME], settings, output=tmp_path)

    tuned = Generator.from_pretrained(result.folder if kind == "full" else "storyteller")
    if kind == "lora":
        Adapters(tuned.model).load(result.folder, "rhyme")
    assert tuned.score(RHYME).perplexity < 0.5 * before
