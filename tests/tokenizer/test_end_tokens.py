"""Which tokens end a text, whoever names them."""

import json

import pytest

from gpt2sdk import Generator
from gpt2sdk.config import GPT2Config
from gpt2sdk.gpt2.model import GPT2
from gpt2sdk.loading import open_model
from gpt2sdk.plugins.registry import default_registry
from gpt2sdk.testing import save_tiny_model
from gpt2sdk.testing.tiny import tiny_tokenizer
from gpt2sdk.tokenizer.end_tokens import find_end_tokens
from gpt2sdk.tokenizer.tokenizer import Tokenizer

# Of the tiny vocabulary: a word, the end of a text and two more.
WORD, END, STOP, UNUSED = 258, 277, 278, 279
SIZES = {"vocab_size": 280, "n_positions": 16, "n_embd": 8, "n_layer": 1, "n_head": 1}


@pytest.fixture
def speaking(tmp_path):
    """Return a function that makes a tokenizer with an end token, or without one."""

    def make(eos):
        tiny_tokenizer().save(tmp_path)
        settings = {"eos_token": eos, "additional_special_tokens": ["<stop>"]}
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
        return Tokenizer.from_folder(tmp_path)

    return make


def config(written="nothing", generation=None):
    named = {} if written == "nothing" else {"eos_token_id": written}
    return GPT2Config(**SIZES, **named, generation=generation or {})


@pytest.mark.parametrize(
    ("eos", "written", "generation", "expected"),
    [
        ("<stop>", "nothing", {}, (STOP,)),
        ("<stop>", None, {"eos_token_id": None}, (STOP,)),
        ("<stop>", END, {}, (STOP, END)),
        (None, END, {}, (END,)),
        (None, (END, STOP), {}, (END, STOP)),
        (None, "nothing", {}, ()),
        (None, END, {"eos_token_id": [STOP]}, (STOP, END)),
        ("<stop>", WORD, {}, (STOP,)),
        ("<stop>", WORD, {"eos_token_id": WORD}, (STOP, WORD)),
        (None, UNUSED, {}, (UNUSED,)),
        (None, 50256, {"eos_token_id": [50256, 280]}, ()),
    ],
)
def test_all_that_are_written_count_but_ordinary_words(
    speaking, eos, written, generation, expected
):
    assert expected == find_end_tokens(config(written, generation), speaking(eos)).ids


def test_where_sources_differ_a_note_says_so(speaking):
    end, stop = speaking("<|endoftext|>"), speaking("<stop>")

    assert () == find_end_tokens(config(END, {"eos_token_id": END}), end).notes
    assert () == find_end_tokens(config(), end).notes
    assert (
        "end tokens differ: the tokenizer 278, the config 277; a text ends at each of them",
    ) == find_end_tokens(config(END), stop).notes


def test_a_word_that_ends_nothing_is_named_in_a_note(speaking):
    (note,) = find_end_tokens(config(WORD), speaking("<stop>")).notes

    assert (
        "the config's end token 258 is the ordinary word ' the', and ends no text: if it should, "
        "name it in generation_config.json"
    ) == note


@pytest.mark.parametrize("token", [0, 200, WORD, 270])
def test_what_text_is_cut_into_is_a_word(token):
    assert tiny_tokenizer().is_word(token)


def test_what_text_is_never_cut_into_is_no_word(tmp_path, speaking):
    speaking("<stop>")
    written = json.loads((tmp_path / "tokenizer.json").read_text())
    written["model"]["vocab"]["<s>"] = UNUSED
    (tmp_path / "tokenizer.json").write_text(json.dumps(written))
    tokenizer = Tokenizer.from_folder(tmp_path)

    assert [False] * 4 == [tokenizer.is_word(token) for token in (END, STOP, UNUSED, 280)]


def test_a_map_of_special_tokens_names_the_end_where_no_settings_do(tmp_path, speaking):
    speaking(None)
    (tmp_path / "tokenizer_config.json").write_text("{}")
    (tmp_path / "special_tokens_map.json").write_text('{"eos_token": {"content": "<stop>"}}')
    tokenizer = Tokenizer.from_folder(tmp_path)

    assert (STOP, END) == find_end_tokens(config(END, {"eos_token_id": [END]}), tokenizer).ids


def test_both_constructors_and_the_files_agree(tmp_path):
    folder = tmp_path / "tiny"
    save_tiny_model(folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"eos_token": "on"}))
    (folder / "generation_config.json").write_text('{"eos_token_id": [7]}')
    loaded = Generator.from_pretrained(folder, device="cpu", runner="torch")
    put_together = Generator(loaded.model, loaded.tokenizer)
    opened = open_model(folder, registry=default_registry())
    found = find_end_tokens(opened.checkpoint.architecture.config, opened.tokenizer())

    assert {7, END, loaded.tokenizer.eos_token_id} == loaded.eos_token_ids
    assert loaded.eos_token_ids == put_together.eos_token_ids == set(found.ids)
    assert loaded.notes == put_together.notes == found.notes


@pytest.mark.parametrize("token", [END, STOP])
def test_rows_end_at_each_of_them(token):
    generator = Generator(GPT2(config((END, STOP)), seed=0).eval(), tiny_tokenizer())
    result = generator.generate("the", logit_bias={token: 1e9}, max_new_tokens=3)

    assert "end_token" == result.completions[0].finish_reason
