"""The real vocabulary: ids as in transformers and OpenAI's own algorithm, exact round trips."""

import json
import random
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt2sdk.errors import TokenizerError
from gpt2sdk.tokenizer.detokenizer import Detokenizer
from gpt2sdk.tokenizer.tokenizer import Tokenizer

transformers = pytest.importorskip("transformers")
regex = pytest.importorskip("regex")

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "gpt2_tokenizer"
END = "<|endoftext|>"
COUNT = 10_000

pytestmark = pytest.mark.skipif(
    not (FOLDER / "encoder.json").exists(),
    reason="needs the released vocabulary (encoder.json, vocab.bpe) beside the repository",
)

# First and last code points of scripts and symbols.
RANGES = [
    (0x20, 0x7E), (0x20, 0x7E), (0xA0, 0x24F), (0x370, 0x3FF), (0x400, 0x4FF), (0x590, 0x5FF),
    (0x600, 0x6FF), (0x900, 0x97F), (0xE00, 0xE7F), (0x1100, 0x11FF), (0x3040, 0x30FF),
    (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0x1F300, 0x1FAFF), (0x0, 0x1F), (0x7F, 0x9F),
    (0x300, 0x36F), (0x2000, 0x206F), (0xE000, 0xE0FF), (0xFFF0, 0xFFFF), (0x1D400, 0x1D7FF),
    (0x10FF00, 0x10FFFF),
]  # fmt: skip
PHRASES = [
    "The quick brown fox", "isn't it? We've I'll they're", "3.14159e-10", "def f(x):\n\treturn x",
    "👩\u200d👩\u200d👧\u200d👦", "🏳\ufe0f\u200d🌈", "👍🏽", "e\u0301", "\u200d", "\ufeff",
    "\r\n\r\n", "     ", "\t\t \n ", "\u3000\u00a0\u2028", "Привет, мир!", "שלום", "مرحبا",
    "नमस्ते", "สวัสดี", "你好世界", "こんにちは", "안녕하세요", "Ġ", "Ċ", "\x00", "ﬁ", "İ", "ß",
    "'S 'RE", "<|endoftext", "<| endoftext |>", "www.example.org/a?b=c&d",
]  # fmt: skip


def text(chance):
    """Make one string: words of one script, phrases, long runs of blanks, or any characters."""
    parts = []
    for _ in range(chance.randint(0, 8)):
        first, last = chance.choice(RANGES)
        kind = chance.random()
        if kind < 0.4:
            parts.append(
                "".join(chr(chance.randint(first, last)) for _ in range(chance.randint(1, 8)))
            )
        elif kind < 0.8:
            parts.append(chance.choice(PHRASES))
        elif kind < 0.9:
            parts.append(chance.choice(" \n\t\u00a0") * chance.randint(1, 60))
        else:
            parts.append(chr(chance.randrange(0x110000)))
        parts.append(chance.choice(["", " ", " ", "  ", "\n"]))
    return "".join(parts).encode(errors="ignore").decode()


@pytest.fixture(scope="module")
def texts():
    chance = random.Random(20190214)  # noqa: S311 - test data
    return ["", *(text(chance) for _ in range(COUNT - 1))]


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.from_folder(FOLDER)


@pytest.fixture(scope="module")
def reference():
    return transformers.GPT2Tokenizer(
        vocab=str(FOLDER / "encoder.json"), merges=str(FOLDER / "vocab.bpe")
    )


@pytest.fixture(scope="module")
def original():
    """Return OpenAI's encoder, after its paper: split by a pattern, then merge by rank."""
    ids = json.loads((FOLDER / "encoder.json").read_text(encoding="utf-8"))
    lines = (FOLDER / "vocab.bpe").read_text(encoding="utf-8").split("\n")[1:-1]
    ranks = {tuple(line.split()): rank for rank, line in enumerate(lines)}
    pattern = regex.compile(
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    )
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    letter = {byte: chr(byte) for byte in shown}
    letter |= {byte: chr(256 + place) for place, byte in enumerate(hidden)}

    @cache
    def merged(word):
        parts = list(word)
        while len(parts) > 1:
            best = min(pairwise(parts), key=lambda pair: ranks.get(pair, len(ranks)))
            if best not in ranks:
                break
            place, joined = 0, []
            while place < len(parts):
                whole = tuple(parts[place : place + 2]) == best
                joined.append("".join(parts[place : place + 1 + whole]))
                place += 1 + whole
            parts = joined
        return [ids[part] for part in parts]

    def encode(text):
        words = ("".join(letter[byte] for byte in word.encode()) for word in pattern.findall(text))
        return [token for word in words for token in merged(word)]

    return encode


def test_ids_are_those_of_transformers(tokenizer, reference, texts):
    expected = reference(texts)["input_ids"]

    assert expected == [tokenizer.encode(text) for text in texts]


def test_ids_are_those_of_the_original_algorithm(tokenizer, original, texts):
    for text in texts[:2000]:
        assert original(text) == tokenizer.encode(text)


def test_every_text_comes_back_exactly(tokenizer, texts):
    for text in texts:
        assert text == tokenizer.decode(tokenizer.encode(text))


def test_a_text_comes_back_exactly_token_by_token(tokenizer, texts):
    detokenizer = Detokenizer(tokenizer)
    for text in texts:
        state, written = detokenizer.start(), ""
        for token in tokenizer.encode(text):
            state, piece = detokenizer.step(state, token)
            written += piece
        assert text == written + detokenizer.finish(state)


def test_any_tokens_have_the_text_of_transformers(tokenizer, reference):
    chance = random.Random(1)  # noqa: S311 - test data
    detokenizer = Detokenizer(tokenizer)
    for _ in range(500):
        tokens = [chance.randrange(50257) for _ in range(chance.randrange(50))] + [50256]
        for skip in (False, True):
            expected = reference.decode(tokens, skip_special_tokens=skip)
            assert expected == tokenizer.decode(tokens, skip_special_tokens=skip)
        state, written = detokenizer.start(), ""
        for token in tokens:
            state, piece = detokenizer.step(state, token)
            written += piece
        assert expected == written + detokenizer.finish(state)


def test_special_tokens_in_a_text_are_those_of_transformers_when_allowed(
    tokenizer, reference, original
):
    for text in (END, f"a{END}", f"{END} b", f"a {END}{END}\nb", "<|endoftext", f" {END}"):
        assert reference(text)["input_ids"] == tokenizer.encode(text, allow_special=True)
        assert original(text) == tokenizer.encode(text)


def test_a_space_before_a_text_is_that_of_transformers(tmp_path):
    for source, name in (("encoder.json", "vocab.json"), ("vocab.bpe", "merges.txt")):
        (tmp_path / name).write_bytes((FOLDER / source).read_bytes())
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True})
    )
    reference = transformers.AutoTokenizer.from_pretrained(tmp_path)
    tokenizer = Tokenizer.from_folder(tmp_path)

    for text in ("Hello", " Hello", "", "\nHello", "你好"):
        assert reference(text)["input_ids"] == tokenizer.encode(text)


def test_transformers_reads_what_is_saved(tokenizer, reference, texts, tmp_path):
    tokenizer.save(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)

    assert reference(texts[:300])["input_ids"] == theirs(texts[:300])["input_ids"]
    assert (50256, 50256, 50256) == (
        theirs.eos_token_id,
        theirs.bos_token_id,
        theirs.unk_token_id,
    )
    assert [50256] == theirs(END)["input_ids"]


@pytest.mark.parametrize("added", [{}, {"pad_token": "<pad>"}])
def test_what_transformers_saved_is_read(texts, tmp_path, added):
    theirs = transformers.GPT2Tokenizer(
        vocab=str(FOLDER / "encoder.json"), merges=str(FOLDER / "vocab.bpe"), **added
    )
    theirs.add_tokens(["naïve word"])
    theirs.save_pretrained(tmp_path)
    tokenizer = Tokenizer.from_folder(tmp_path)

    assert len(theirs) == tokenizer.vocab_size
    assert set(theirs.all_special_ids) == set(tokenizer.special_tokens.values())
    for text in [*texts[:300], "a naïve word"]:
        assert theirs(text)["input_ids"] == tokenizer.encode(text, allow_special=True)


ADDED = ["café", "čaj", "Ġxyz", "ÃÃ", "the cat", "日本", "<tool>", "naïve  "]
SPECIAL = ["<|im_end|>", "«fin»"]


@pytest.fixture(scope="module")
def enlarged(tmp_path_factory):
    """Return a tokenizer with added tokens, as transformers saved it, and transformers' own."""
    folder = tmp_path_factory.mktemp("enlarged")
    theirs = transformers.GPT2Tokenizer(
        vocab=str(FOLDER / "encoder.json"), merges=str(FOLDER / "vocab.bpe")
    )
    theirs.add_tokens(ADDED)
    theirs.add_special_tokens({"additional_special_tokens": SPECIAL})
    theirs.save_pretrained(folder)
    return Tokenizer.from_folder(folder), theirs


@given(st.lists(st.sampled_from([*ADDED, *SPECIAL, " ", "a", "漢", "Ġ", "naïve"]) | st.text()))
def test_added_tokens_are_cut_as_by_transformers_and_come_back(enlarged, parts):
    tokenizer, theirs = enlarged
    text = "".join(parts).encode(errors="ignore").decode()
    tokens = tokenizer.encode(text, allow_special=True)
    detokenizer = Detokenizer(tokenizer)
    state, written = detokenizer.start(), ""
    for token in tokens:
        state, piece = detokenizer.step(state, token)
        written += piece

    assert theirs(text)["input_ids"] == tokens
    assert text == tokenizer.decode(tokens) == tokenizer.decode(tokenizer.encode(text))
    assert tokenizer.decode(tokens, skip_special_tokens=True) == written + detokenizer.finish(state)


def test_transformers_gives_added_tokens_the_same_ids_after_saving(enlarged, tmp_path):
    tokenizer, theirs = enlarged
    tokenizer.save(tmp_path)
    again = transformers.AutoTokenizer.from_pretrained(tmp_path)

    assert theirs.get_added_vocab() == again.get_added_vocab()


def test_merges_of_the_original_files_make_all_of_its_words(tmp_path):
    merges = (FOLDER / "vocab.bpe").read_text(encoding="utf-8").split("\n")
    (tmp_path / "vocab.json").write_bytes((FOLDER / "encoder.json").read_bytes())
    (tmp_path / "merges.txt").write_text("\n".join(merges[:-2]), encoding="utf-8")

    with pytest.raises(TokenizerError, match=r"makes 1 tokens of the vocabulary, such as 'Ġgazed'"):
        Tokenizer.from_folder(tmp_path)
