"""What is saved begins and ends texts in transformers as it does here."""

import json

import pytest

from gpt2sdk import Generator, Tokenizer
from gpt2sdk.testing import save_tiny_model

transformers = pytest.importorskip("transformers")


@pytest.fixture
def folder(tmp_path):
    save_tiny_model(tmp_path / "tiny")
    return tmp_path / "tiny"


def change(file, **values):
    written = json.loads(file.read_text("utf-8")) | values
    file.write_text(json.dumps(written), encoding="utf-8")


def test_a_prompt_begins_with_bos_in_both(folder, tmp_path):
    change(folder / "tokenizer_config.json", add_bos_token=True)
    Tokenizer.from_folder(folder).save(folder)
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    ours = Generator.from_pretrained(folder)
    prompt = ours.generate("Once upon", max_new_tokens=1).usage.prompt_tokens

    assert [277, *ours.tokenizer.encode("Once upon")] == theirs.encode("Once upon")
    assert prompt == len(theirs.encode("Once upon"))
    theirs.save_pretrained(tmp_path / "again")
    assert Tokenizer.from_folder(tmp_path / "again").adds_bos


def test_all_end_tokens_end_a_text_in_both(folder, tmp_path):
    change(folder / "tokenizer_config.json", eos_token="on")  # noqa: S106 - a token
    change(folder / "generation_config.json", temperature=0.7, eos_token_id=277)
    ours = Generator.from_pretrained(folder)
    ours.save_pretrained(tmp_path / "saved")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "saved")

    assert {277, ours.tokenizer.eos_token_id} == ours.eos_token_ids
    assert ours.eos_token_ids == set(theirs.generation_config.eos_token_id)
    assert 0.7 == theirs.generation_config.temperature
