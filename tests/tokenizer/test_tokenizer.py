"""Tokenizer: files of every age, special tokens as ordinary text, errors in one line."""

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy

import jaxtyping
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers import Tokenizer as Library

from gpt2sdk.errors import TokenizerError
from gpt2sdk.tokenizer.tokenizer import Tokenizer

TEXTS = ["the cat sat on the mat", "the hat of the cat", "naïve café 😀 the the the"]
END = "<|endoftext|>"
ALPHABET = pre_tokenizers.ByteLevel.alphabet()


def byte_level():
    library = Library(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    library.train_from_iterator(TEXTS, trainer)
    return library


def write_json(folder, name, values):
    (folder / name).write_text(json.dumps(values), encoding="utf-8")


def write_pair(folder, vocab_name, merges_name):
    model = json.loads(byte_level().to_str())["model"]
    write_json(folder, vocab_name, model["vocab"])
    merges = "\n".join(" ".join(pair) for pair in model["merges"])
    (folder / merges_name).write_text(f"#version: 0.2\n{merges}\n", encoding="utf-8")


@pytest.fixture
def folder(tmp_path):
    byte_level().save(str(tmp_path / "tokenizer.json"))
    return tmp_path


@pytest.fixture
def unchecked():
    """Let wrong types through to the code: annotations are checked in tests only."""
    jaxtyping.config.update("jaxtyping_disable", True)  # noqa: FBT003 - not by name
    yield
    jaxtyping.config.update("jaxtyping_disable", False)  # noqa: FBT003


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    byte_level().save(str(folder / "tokenizer.json"))
    return Tokenizer.from_folder(folder)


@pytest.mark.parametrize("names", [("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe")])
def test_vocabulary_and_merges_are_the_same_tokenizer(tmp_path, tokenizer, names):
    write_pair(tmp_path, *names)
    pair = Tokenizer.from_folder(tmp_path)

    for text in TEXTS:
        assert tokenizer.encode(text) == pair.encode(text)
    assert {END: 0} == dict(pair.special_tokens) == dict(tokenizer.special_tokens)
    assert 0 == pair.eos_token_id == pair.bos_token_id


def test_a_special_token_in_a_text_is_text_unless_it_is_allowed(tokenizer):
    text = f"the{END}cat"
    plain = tokenizer.encode(text)
    allowed = tokenizer.encode(text, allow_special=True)

    assert 0 not in plain
    assert [*tokenizer.encode("the"), 0, *tokenizer.encode("cat")] == allowed
    assert text == tokenizer.decode(plain) == tokenizer.decode(allowed)
    assert plain == tokenizer.encode(text)


@given(st.text())
def test_any_text_comes_back(tokenizer, text):
    assert text == tokenizer.decode(tokenizer.encode(text))
    assert text == tokenizer.decode(tokenizer.encode(text), skip_special_tokens=True)


def test_spaces_before_punctuation_stay(folder, tokenizer):
    write_json(folder, "tokenizer_config.json", {"clean_up_tokenization_spaces": True})

    for one in (tokenizer, Tokenizer.from_folder(folder)):
        assert "y is ? do n't" == one.decode(one.encode("y is ? do n't"))


def test_the_settings_decide_on_the_space_before_a_text(folder, tokenizer):
    write_json(folder, "tokenizer_config.json", {"add_prefix_space": True})

    assert tokenizer.encode(" the") == Tokenizer.from_folder(folder).encode("the")
    assert tokenizer.encode(" the") != tokenizer.encode("the")


def test_truncation_and_padding_of_the_file_are_not_followed(tmp_path, tokenizer):
    library = byte_level()
    library.enable_truncation(2)
    library.enable_padding(length=50)
    library.save(str(tmp_path / "tokenizer.json"))

    assert tokenizer.encode(TEXTS[0]) == Tokenizer.from_folder(tmp_path).encode(TEXTS[0])


def test_added_tokens_of_the_settings_are_known(folder, tokenizer):
    first = tokenizer.vocab_size
    added = {
        str(first): {"content": "<pad>", "special": True, "normalized": False},
        str(first + 1): {"content": "the cat", "special": False},
    }
    write_json(folder, "tokenizer_config.json", {"added_tokens_decoder": added})
    larger = Tokenizer.from_folder(folder)

    assert {END: 0, "<pad>": first} == dict(larger.special_tokens)
    assert first + 2 == larger.vocab_size
    assert [first + 1] == larger.encode("the cat")
    assert "the cat" == larger.decode([first, first + 1], skip_special_tokens=True)


def test_added_tokens_of_a_file_of_their_own_are_known(tmp_path, tokenizer):
    write_pair(tmp_path, "vocab.json", "merges.txt")
    first = tokenizer.vocab_size
    write_json(tmp_path, "added_tokens.json", {"<b>": first + 1, "<a>": first})

    assert [first, first + 1] == Tokenizer.from_folder(tmp_path).encode("<a><b>")


@pytest.mark.parametrize(
    ("token", "text", "message"),
    [
        (5, END, r"the added token '<\|endoftext\|>' should be 5, but is 0: "),
        (5, "<pad>", r"the added token '<pad>' should be 5, but that is another token's id"),
        (10**6, "<pad>", r"token 1000000 stands behind \d+ ids without a token: "),
    ],
)
def test_an_id_that_an_added_token_cannot_have_is_an_error(folder, token, text, message):
    added = {str(token): {"content": text, "special": True}}
    write_json(folder, "tokenizer_config.json", {"added_tokens_decoder": added})

    with pytest.raises(TokenizerError, match=message) as error:
        Tokenizer.from_folder(folder)

    assert str(error.value).startswith(str(folder))


def test_two_added_tokens_of_one_id_are_an_error(tmp_path, tokenizer):
    write_pair(tmp_path, "vocab.json", "merges.txt")
    first = tokenizer.vocab_size
    write_json(tmp_path, "added_tokens.json", {"<a>": first, "<b>": first})

    with pytest.raises(TokenizerError, match=r"'<b>' should be \d+, but that is another token's"):
        Tokenizer.from_folder(tmp_path)


def added_entries(folder, *tokens):
    """Write added tokens into `tokenizer.json` as they are listed here."""
    document = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    document["added_tokens"] += [
        {"id": token, "content": text, "special": special, **flags}
        for token, text, special in tokens
    ]
    write_json(folder, "tokenizer.json", document)


def test_added_tokens_have_the_ids_that_are_stated(folder, tokenizer):
    first = tokenizer.vocab_size
    added_entries(folder, (first + 4, "<c>", True), (first + 1, "<b>", False), (first, "<a>", True))
    numbered = Tokenizer.from_folder(folder)

    assert {END: 0, "<a>": first, "<c>": first + 4} == dict(numbered.special_tokens)
    assert [first, first + 1, first + 4] == numbered.encode("<a><b><c>", allow_special=True)
    assert first + 5 == numbered.vocab_size


def test_gaps_between_ids_are_no_tokens_and_stay_when_saved(folder, tokenizer, tmp_path_factory):
    first, the = tokenizer.vocab_size, tokenizer.encode("the")
    added_entries(folder, (first + 3, "<c>", True))
    saved = tmp_path_factory.mktemp("saved")
    Tokenizer.from_folder(folder).save(saved)

    for one in (Tokenizer.from_folder(folder), Tokenizer.from_folder(saved)):
        assert "the<c>" == one.decode([first, *the, first + 1, first + 2, first + 3])
        assert (b"", b"", b"<c>") == one.token_bytes[first + 1 :]
        assert {END: 0, "<c>": first + 3} == dict(one.special_tokens)
    assert first + 3 == Library.from_file(str(saved / "tokenizer.json")).token_to_id("<c>")


def test_a_folder_with_prefix_spaces_gives_none_to_the_next(tmp_path):
    model = json.loads(byte_level().to_str())["model"]
    for name in ("spaced", "plain"):
        (tmp_path / name).mkdir()
        write_json(tmp_path / name, "vocab.json", model["vocab"])
        merges = "\n".join(" ".join(pair) for pair in model["merges"])
        (tmp_path / name / "merges.txt").write_text(merges, encoding="utf-8")
    write_json(tmp_path / "spaced", "tokenizer_config.json", {"add_prefix_space": True})

    spaced, plain = (Tokenizer.from_folder(tmp_path / name) for name in ("spaced", "plain"))
    assert spaced.encode("the") == plain.encode(" the")
    assert plain.encode("the") != plain.encode(" the")


@pytest.mark.parametrize("missing", [1, 299])
def test_an_added_token_may_fill_a_gap_in_the_vocabulary(tmp_path, missing):
    model = json.loads(byte_level().to_str())["model"]
    whole = model["vocab"]
    vocab = {
        text: token + (token >= missing) for text, token in whole.items() if text != END or token
    }
    write_json(tmp_path, "vocab.json", vocab)
    write_json(tmp_path, "added_tokens.json", {"<b>": missing, "<c>": len(vocab) + 3})
    merges = "\n".join(" ".join(pair) for pair in model["merges"])
    (tmp_path / "merges.txt").write_text(merges, encoding="utf-8")
    filled = Tokenizer.from_folder(tmp_path)

    assert [missing, len(vocab) + 3] == filled.encode("<b><c>")
    assert [vocab[token] for token in ("t", "h")] == filled.encode("t") + filled.encode("h")


@pytest.mark.parametrize(
    "entries",
    [[(5, "<a>", True)], [(900, "<a>", True), (900, "<b>", True)], [(5, END, True)]],
)
def test_an_id_in_the_file_that_is_another_tokens_is_an_error(folder, entries):
    added_entries(folder, *entries)

    with pytest.raises(TokenizerError, match=r"the added token '<.*>' should be \d+, but"):
        Tokenizer.from_folder(folder)


LETTERS = "¡ÂâĠÉéčŃ"


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("text", ["café", "čaj", "Ġx", "ÃÃ", "日本", "naïve  ", LETTERS])
def test_an_added_token_stands_for_its_text(folder, tokenizer, text, special):
    first = tokenizer.vocab_size
    added_entries(folder, (first, text, special))
    larger = Tokenizer.from_folder(folder)

    written = larger.encode(f"the {text}s", allow_special=True)
    assert first in written
    assert f"the {text}s" == larger.decode(written)
    assert text.encode() == larger.token_bytes[first]
    assert text == larger.token_text(first)


def test_a_letter_of_the_alphabet_stays_its_byte_when_it_is_listed_too(folder, tokenizer):
    space = tokenizer.encode(" ")
    added_entries(folder, (space[0], "Ġ", False))
    listed = Tokenizer.from_folder(folder)

    assert (" ", b" ") == (listed.decode(space), listed.token_bytes[space[0]])


def test_every_text_is_cut_the_same_way_each_time_whatever_dropout_the_file_has(folder, tokenizer):
    document = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    document["model"]["dropout"] = 0.5
    write_json(folder, "tokenizer.json", document)
    dropping = Tokenizer.from_folder(folder)

    assert {tuple(tokenizer.encode(TEXTS[0]))} == {
        tuple(dropping.encode(TEXTS[0])) for _ in range(20)
    }


@pytest.mark.parametrize("end", ["\n\n", "\n# made by hand\n", "\r\n\r\n", ""])
def test_empty_lines_and_comments_among_merges_are_passed_over(tmp_path, tokenizer, end):
    write_pair(tmp_path, "vocab.json", "merges.txt")
    merges = (tmp_path / "merges.txt").read_text(encoding="utf-8").removesuffix("\n")
    text = merges.replace("\n", "\r\n") if "\r" in end else merges
    (tmp_path / "merges.txt").write_text(f"# words\n\n{text}{end}", encoding="utf-8", newline="")

    assert tokenizer.encode(TEXTS[2]) == Tokenizer.from_folder(tmp_path).encode(TEXTS[2])


def test_a_merge_of_number_signs_is_no_comment(tmp_path):
    alphabet = {text: token for token, text in enumerate(sorted(ALPHABET))}
    write_json(tmp_path, "vocab.json", {**alphabet, "##": 256})
    (tmp_path / "merges.txt").write_text("#version: 0.2\n# #\n", encoding="utf-8")

    assert [256] == Tokenizer.from_folder(tmp_path).encode("##")


@pytest.mark.parametrize("name", ["vocab.json", "merges.txt", "tokenizer_config.json"])
def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path, tokenizer, name):
    write_pair(tmp_path, "vocab.json", "merges.txt")
    write_json(tmp_path, "tokenizer_config.json", {"bos_token": None})
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + content)

    marked = Tokenizer.from_folder(tmp_path)
    assert (None, 0) == (marked.bos_token_id, marked.eos_token_id)
    assert tokenizer.encode(TEXTS[2]) == marked.encode(TEXTS[2])


def test_a_byte_order_mark_is_no_part_of_a_whole_tokenizer_or_of_a_word(folder, tmp_path_factory):
    whole = folder / "tokenizer.json"
    whole.write_bytes(b"\xef\xbb\xbf" + whole.read_bytes())
    words = tmp_path_factory.mktemp("words")
    (words / "vocab.txt").write_text("\ufeff[PAD]\n[UNK]\nplay\n", encoding="utf-8")

    assert "the" == Tokenizer.from_folder(folder).decode(
        Tokenizer.from_folder(folder).encode("the")
    )
    assert 0 == Tokenizer.from_folder(words).special_tokens["[PAD]"]


@pytest.mark.parametrize("lines", [2, 5])
def test_merges_that_were_cut_short_are_an_error(tmp_path, lines):
    write_pair(tmp_path, "vocab.json", "merges.txt")
    merges = (tmp_path / "merges.txt").read_text(encoding="utf-8").splitlines()
    (tmp_path / "merges.txt").write_text("\n".join(merges[:-lines]), encoding="utf-8")

    message = rf"merges.txt: no merge makes {lines} tokens of the vocabulary, such as "
    with pytest.raises(TokenizerError, match=message):
        Tokenizer.from_folder(tmp_path)


@pytest.mark.parametrize("where", ["added_tokens.json", "tokenizer_config.json", None])
def test_what_no_merge_could_make_may_stand_in_the_vocabulary(tmp_path, tokenizer, where):
    write_pair(tmp_path, "vocab.json", "merges.txt")
    vocab = json.loads((tmp_path / "vocab.json").read_text(encoding="utf-8"))
    word = "<mask>" if where is None else "mask"
    write_json(tmp_path, "vocab.json", {**vocab, word: len(vocab)})
    if where is not None:
        written = {word: len(vocab)} if where.startswith("added") else {"mask_token": word}
        write_json(tmp_path, where, written)

    assert tokenizer.vocab_size + 1 == Tokenizer.from_folder(tmp_path).vocab_size


@pytest.mark.parametrize("value", ["</s>", {"content": "</s>", "lstrip": False}])
def test_special_tokens_of_the_map_are_known(folder, tokenizer, value):
    write_json(folder, "special_tokens_map.json", {"eos_token": value})
    named = Tokenizer.from_folder(folder)

    assert tokenizer.vocab_size == named.eos_token_id == named.special_tokens["</s>"]
    assert 0 == named.bos_token_id
    assert named.eos_token_id not in named.encode("</s>")
    assert [named.eos_token_id] == named.encode("</s>", allow_special=True)


def test_the_settings_win_over_the_map_and_may_say_that_there_is_none(folder):
    write_json(folder, "special_tokens_map.json", {"eos_token": "</s>"})
    write_json(folder, "tokenizer_config.json", {"eos_token": None, "bos_token": END})
    named = Tokenizer.from_folder(folder)

    assert (None, 0) == (named.eos_token_id, named.bos_token_id)


def test_listed_special_tokens_are_special(folder):
    write_json(folder, "tokenizer_config.json", {"additional_special_tokens": ["<x>", "the"]})
    listed = Tokenizer.from_folder(folder)

    assert {END, "<x>", "the"} == set(listed.special_tokens)


def test_whether_texts_begin_with_a_token_is_said_and_left_to_the_caller(folder, tokenizer):
    write_json(folder, "tokenizer_config.json", {"add_bos_token": True})
    adding = Tokenizer.from_folder(folder)

    assert (False, True) == (tokenizer.adds_bos, adding.adds_bos)
    assert tokenizer.encode("the") == adding.encode("the")


def test_what_is_saved_reads_back_the_same(folder, tmp_path_factory):
    first = Tokenizer.from_folder(folder).vocab_size
    settings = {
        "add_prefix_space": True,
        "model_max_length": 99,
        "chat_template": "{{ x }}",
        "added_tokens_decoder": {str(first): {"content": "<pad>", "special": True}},
        "pad_token": "<pad>",
    }
    write_json(folder, "tokenizer_config.json", settings)
    saved = tmp_path_factory.mktemp("saved")
    before = Tokenizer.from_folder(folder)
    before.save(saved)
    after = Tokenizer.from_folder(saved)

    for text in TEXTS:
        assert before.encode(text) == after.encode(text)
    assert dict(before.special_tokens) == dict(after.special_tokens)
    written = json.loads((saved / "tokenizer_config.json").read_text())
    assert settings == {key: written[key] for key in settings}
    assert ("GPT2Tokenizer", END) == (written["tokenizer_class"], written["eos_token"])


def test_an_id_that_no_token_has_has_no_text(tokenizer):
    the = tokenizer.encode("the")

    assert "the" == tokenizer.decode([tokenizer.vocab_size, *the, 10**6])
    assert "" == tokenizer.token_text(tokenizer.vocab_size)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("tokens", [[-1], [2**40], ["the"], [1.5], [None]])
def test_what_is_no_token_id_is_an_error(tokenizer, tokens):
    with pytest.raises(TokenizerError, match=r"^expected token ids, whole numbers of 0 or more"):
        tokenizer.decode(tokens)


def test_a_lone_surrogate_is_an_error_that_says_where(tokenizer):
    with pytest.raises(TokenizerError, match=r"lone surrogate '\\ud83d' at character 3"):
        tokenizer.encode("the\ud83d")


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("text", [None, b"the", 3])
def test_what_is_no_text_is_an_error(tokenizer, text):
    with pytest.raises(TokenizerError, match="expected a text, got a"):
        tokenizer.encode(text)


def test_every_token_has_its_bytes(tokenizer):
    table = tokenizer.token_bytes

    assert tokenizer.vocab_size == len(table)
    for token, spelled in enumerate(table):
        assert tokenizer.token_text(token) == spelled.decode(errors="replace")
    assert END.encode() == table[0]


def test_added_tokens_have_their_bytes_too(folder):
    names = ["the cat", "naïve", "Ġ", "日本"]
    library = Library.from_file(str(folder / "tokenizer.json"))
    library.add_tokens([AddedToken(name, normalized=False) for name in names])
    library.save(str(folder / "tokenizer.json"))
    larger = Tokenizer.from_folder(folder)

    for token in range(larger.vocab_size):
        assert larger.token_text(token) == larger.token_bytes[token].decode(errors="replace")


def test_threads_share_a_tokenizer(folder):
    shared = Tokenizer.from_folder(folder)
    text = f"{TEXTS[0]}{END}" * 20
    expected = {allow: shared.encode(text, allow_special=allow) for allow in (False, True)}
    fresh = Tokenizer.from_folder(folder)

    with ThreadPoolExecutor(8) as threads:
        calls = [
            (allow, threads.submit(fresh.encode, text, allow_special=allow))
            for _ in range(100)
            for allow in (False, True)
        ]

    assert expected[False] != expected[True]
    assert all(expected[allow] == call.result() for allow, call in calls)


@pytest.mark.parametrize("copy", [deepcopy, lambda one: pickle.loads(pickle.dumps(one))])  # noqa: S301 - its own bytes
def test_a_copy_is_the_same_tokenizer(tokenizer, copy):
    sent = copy(tokenizer)

    assert tokenizer.encode(f"the{END}") == sent.encode(f"the{END}")
    assert dict(tokenizer.special_tokens) == dict(sent.special_tokens)


def word_piece(folder, settings=None):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing", "你", "好", "!"]
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    write_json(folder, "tokenizer_config.json", settings or {})
    return Tokenizer.from_folder(folder)


def test_a_list_of_words_is_read_as_word_pieces(tmp_path):
    words = word_piece(tmp_path)

    assert [5, 6, 7, 8, 9] == words.encode("Playing 你好!")
    assert [1] == words.encode("zebra")
    assert "playing 你 好 !" == words.decode([5, 6, 7, 8, 9])
    assert "你" == words.decode([2, 7, 3], skip_special_tokens=True)
    assert 3 not in words.encode("[SEP]")
    assert [3] == words.encode("[SEP]", allow_special=True)
    assert (b" play", b"ing", None) == (*words.token_bytes[5:7], words.eos_token_id)


def test_word_pieces_follow_the_settings(tmp_path):
    words = word_piece(tmp_path, {"do_lower_case": False, "eos_token": "[SEP]"})

    assert [1] == words.encode("Playing")
    assert 3 == words.eos_token_id


def test_a_tokenizer_of_another_kind_works_too(tmp_path):
    library = Library(models.WordLevel({"<unk>": 0, "▁a": 1, "▁b": 2}, unk_token="<unk>"))  # noqa: S106
    library.normalizer = normalizers.Lowercase()
    library.pre_tokenizer = pre_tokenizers.Metaspace()
    library.decoder = decoders.Metaspace()
    library.save(str(tmp_path / "tokenizer.json"))
    other = Tokenizer.from_folder(tmp_path)
    saved = tmp_path / "saved"
    saved.mkdir()
    other.save(saved)

    assert [1, 2, 1] == other.encode("A b a") == Tokenizer.from_folder(saved).encode("A b a")
    assert "a b a" == other.decode([1, 2, 1])
    assert "PreTrainedTokenizerFast" in (saved / "tokenizer_config.json").read_text()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"expected tokenizer.json, vocab.json with merges.txt, or vocab.txt; found none$"),
        ({"vocab.json": "{}"}, "found none"),
        ({"spiece.model": "x"}, "found the SentencePiece model spiece.model: convert it once with"),
        ({"tokenizer.json": "{"}, r"tokenizer.json: expected JSON"),
        ({"tokenizer.json": "{}"}, r"tokenizer.json: is not a tokenizer's file: "),
        ({"vocab.json": "[]", "merges.txt": ""}, r"vocab.json: expected a JSON object"),
        (
            {"vocab.json": '{"a": -1}', "merges.txt": ""},
            r"vocab.json: is not a tokenizer's file: the token 'a' has the id -1, expected",
        ),
        (
            {"vocab.json": '{"a": 0, "b": 1}', "merges.txt": "#version: 0.2\na b\n"},
            r"merges.txt: is not a tokenizer's file: line 2 is 'a b', expected two tokens",
        ),
        ({"vocab.txt": "a", "tokenizer_config.json": "{"}, r"tokenizer_config.json: expected JSON"),
    ],
)
def test_what_cannot_be_read_is_one_line_with_its_path(tmp_path, files, message):
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    with pytest.raises(TokenizerError, match=message) as error:
        Tokenizer.from_folder(tmp_path)

    assert str(error.value).startswith(str(tmp_path))
    assert "\n" not in str(error.value)
