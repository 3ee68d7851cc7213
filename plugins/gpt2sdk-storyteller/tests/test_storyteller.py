"""What is shipped is what the model card says: sizes, figures, samples."""

import re
import tomllib
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, GPT2LMHeadModel

from gpt2sdk import Generator
from gpt2sdk_storyteller.storyteller import Storyteller

FOLDER = Storyteller().resolve("storyteller")
CARD = (FOLDER / "README.md").read_text(encoding="utf-8")
UNSEEN = Path(__file__).parents[4] / "shared" / "data" / "fairy_tales" / "valid.txt"
SAMPLE = re.compile(r"\*\*Seed (\d)\*\*\n\n> \*\*(.+?)\*\*(.*?)(?=\n\n\*\*Seed|\Z)", re.DOTALL)


@pytest.fixture(scope="module")
def storyteller():
    return Generator.from_pretrained("storyteller")


def test_it_answers_for_its_own_name_only():
    assert ("storyteller",) == Storyteller().names()
    assert Storyteller().resolve("gpt2") is None


def test_it_is_small():
    assert 20e6 > sum(file.stat().st_size for file in FOLDER.iterdir())


def test_everything_in_the_folder_is_packaged():
    project = Path(__file__).parents[1] / "pyproject.toml"
    tables = tomllib.loads(project.read_text())["tool"]["setuptools"]

    assert "model/*" in tables["package-data"]["gpt2sdk_storyteller"]
    assert all(entry.is_file() for entry in FOLDER.iterdir())


def test_the_samples_of_the_card_are_what_its_seeds_give(storyteller):
    samples = SAMPLE.findall(CARD)

    assert ["1", "2", "3", "4", "5"] == [seed for seed, _, _ in samples]
    for seed, prompt, text in samples:
        result = storyteller.generate(
            prompt, seed=int(seed), temperature=0.8, top_p=0.95, max_new_tokens=120
        )
        assert text.replace("\n> ", "\n").strip() == result.text.strip()


def test_a_question_in_quotes_is_answered_in_quotes(storyteller):
    result = storyteller.generate(
        '"Who are you?" asked the prince.',
        num_return_sequences=20,
        temperature=0.8,
        top_p=0.95,
        max_new_tokens=25,
        seed=1,
    )
    answered = sum(text.lstrip().startswith('"') for text in result.texts)

    assert answered >= 12


def test_words_are_words_of_the_tales(storyteller):
    text = " ".join(
        storyteller.generate("Once upon a time", num_return_sequences=4, seed=3, top_p=0.9).texts
    )
    if not UNSEEN.is_file():
        pytest.skip("the fairy tales of ../shared are not here")
    known = set(re.findall(r"[a-z]+", UNSEEN.with_name("train.txt").read_text().lower()))
    words = re.findall(r"[a-z]+", text.lower())

    assert sum(word in known for word in words) >= 0.98 * len(words)


@pytest.mark.slow
def test_bits_per_byte_are_those_of_the_card(storyteller):
    if not UNSEEN.is_file():
        pytest.skip("the fairy tales of ../shared are not here")
    said = float(re.search(r"bits per byte on unseen tales \| ([\d.]+)", CARD)[1])
    tales = [tale.strip("\n") for tale in UNSEEN.read_text("utf-8").split("\n<|endoftext|>\n")]
    scores = storyteller.score([tale for tale in tales if tale])
    nbytes = sum(score.nbytes for score in scores)

    assert said <= 1.42
    assert sum(score.bits for score in scores) / nbytes == pytest.approx(said, abs=1e-3)


def test_transformers_computes_the_same_logits(storyteller):
    tokens = storyteller.tokenizer.encode("Once upon a time there was a king")
    peer = GPT2LMHeadModel.from_pretrained(FOLDER, dtype=torch.float32)
    with torch.no_grad():
        expected = peer(torch.tensor([tokens])).logits
        actual = storyteller.model(torch.tensor([tokens])).logits

    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-4)
    assert tokens == AutoTokenizer.from_pretrained(FOLDER).encode(
        "Once upon a time there was a king"
    )
