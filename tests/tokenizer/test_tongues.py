"""Every kind of tokenizer: texts come back, tokens have bytes, streams show whole characters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as Library

from gpt2sdk.errors import TokenizerError
from gpt2sdk.tokenizer.detokenizer import Detokenizer
from gpt2sdk.tokenizer.tokenizer import Tokenizer

KINDS = ["byte-level", "llama", "metaspace-llama", "gemma", "unigram", "unigram-bytes"]
KINDS += ["word-piece", "word-piece-plain"]
WORDS = ["fox", "the owl", " ", "  ", "\n", "naïve", "😀", "日本", "</s>", "<s>", "<0x41>", "[SEP]"]
WORDS += ["<unk>", "’s", ".", ", ", "don't", "<|im_end|>", "é", "\u0301", "▁", "##ing"]

texts = st.lists(st.sampled_from(WORDS), max_size=8).map("".join) | st.text(
    alphabet=st.characters(exclude_categories=["Cs"]), max_size=20
)


def pieces(tokenizer, tokens, prompt=()):
    detokenizer = Detokenizer(tokenizer)
    state, found = detokenizer.start(prompt), []
    for token in tokens:
        state, text = detokenizer.step(state, token)
        found.append(text)
    return [*found, detokenizer.finish(state)]


def ids(tokenizer, *words):
    return [tokenizer._library.token_to_id(word) for word in words]  # noqa: SLF001 - by spelling


# What SentencePiece's own sign for a blank becomes is a blank, in every implementation.
@given(texts)
@pytest.mark.parametrize("kind", ["byte-level", "llama", "gemma"])
def test_any_text_comes_back(tongues, kind, text):
    sign = "▁" if kind != "byte-level" else "\0"
    text = text.replace(sign, "")

    assert text == tongues[kind].decode(tongues[kind].encode(text))


@given(texts)
@pytest.mark.parametrize("kind", ["metaspace-llama", "unigram-bytes"])
def test_metaspace_loses_no_more_than_the_blanks_before_a_text(tongues, kind, text):
    text = text.replace("▁", "")
    decoded = tongues[kind].decode(tongues[kind].encode(text))

    assert text.lstrip(" ") == decoded.lstrip(" ")
    assert text.endswith(decoded)


@given(st.lists(st.sampled_from(["fox", "owl", "lantern", "Évening", "unheard"]), min_size=1))
@pytest.mark.parametrize("kind", ["unigram", "word-piece", "word-piece-plain"])
def test_words_of_the_alphabet_come_back(tongues, kind, words):
    known = [word for word in words if "É" not in word]
    text = " ".join(known)

    assert text == tongues[kind].decode(tongues[kind].encode(text))


@given(texts)
@pytest.mark.parametrize("kind", KINDS)
def test_text_decodes_as_in_the_library(tongues, kind, text):
    tokenizer = tongues[kind]
    tokens = tokenizer.encode(text)
    library = tokenizer._library  # noqa: SLF001 - what is compared with

    assert library.decode(tokens, skip_special_tokens=False) == tokenizer.decode(tokens)
    assert library.decode(tokens, skip_special_tokens=True) == tokenizer.decode(
        tokens, skip_special_tokens=True
    )


@given(st.lists(st.integers(0, 600), max_size=20))
@pytest.mark.parametrize("kind", KINDS)
def test_any_tokens_decode_as_in_the_library_where_they_are_characters(tongues, kind, tokens):
    tokenizer = tongues[kind]
    decoded = tokenizer.decode(tokens)

    if "\ufffd" not in decoded:
        assert tokenizer._library.decode(tokens, skip_special_tokens=False) == decoded  # noqa: SLF001


@given(texts, st.integers(0, 10))
@pytest.mark.parametrize("kind", KINDS)
def test_pieces_are_the_whole_text_and_have_no_half_characters(tongues, kind, text, noise):
    tokenizer = tongues[kind]
    tokens = tokenizer.encode(text)
    tokens.insert(min(noise, len(tokens)), tokenizer.eos_token_id)
    found = pieces(tokenizer, tokens)
    whole = tokenizer.decode(tokens, skip_special_tokens=True)

    assert whole == "".join(found)
    assert whole.count("\ufffd") == "".join(found).count("\ufffd")


@given(st.lists(st.integers(0, 600), max_size=20))
@pytest.mark.parametrize("kind", KINDS)
def test_pieces_of_any_tokens_are_the_whole_text(tongues, kind, tokens):
    tokenizer = tongues[kind]

    assert tokenizer.decode(tokens, skip_special_tokens=True) == "".join(pieces(tokenizer, tokens))


@given(st.lists(st.integers(3, 600), min_size=1, max_size=12), st.integers(0, 12))
@pytest.mark.parametrize("kind", KINDS)
def test_a_continuation_is_what_the_table_says(tongues, kind, tokens, cut):
    tokenizer = tongues[kind]
    table, silent = tokenizer.token_bytes, set(tokenizer.special_tokens.values())
    prompt = tokenizer.encode("the fox")
    spelled = b"".join(
        table[token] for token in tokens if token < len(table) and token not in silent
    )

    assert spelled.decode(errors="replace") == "".join(pieces(tokenizer, tokens, prompt))


@pytest.mark.parametrize("kind", KINDS)
def test_a_continued_text_keeps_its_blank_and_a_new_one_has_none(tongues, kind):
    tokenizer = tongues[kind]
    whole = tokenizer.encode("the fox")
    (cut,) = [
        cut
        for cut in range(1, len(whole))
        if tokenizer.decode(whole[:cut]) == "the"
        and tokenizer.decode(whole) != tokenizer.decode(whole[:cut])
    ][:1]

    assert " fox" == "".join(pieces(tokenizer, whole[cut:], whole[:cut]))
    assert "the fox" == "".join(pieces(tokenizer, whole))
    if tokenizer.adds_bos:
        assert "the fox" == "".join(pieces(tokenizer, whole, [tokenizer.bos_token_id]))


@given(texts)
@pytest.mark.parametrize(
    "kind", ["byte-level", "llama", "metaspace-llama", "gemma", "unigram-bytes"]
)
def test_any_continuation_comes_back_with_its_blanks(tongues, kind, text):
    tokenizer = tongues[kind]
    text = text.replace("▁", "")
    tokens = tokenizer.encode_continuation(text)

    assert text == tokenizer.decode_continuation(tokens)
    assert "fox" + text == tokenizer.decode([*tokenizer.encode("fox"), *tokens])
    assert tokenizer.eos_token_id not in tokens


@pytest.mark.parametrize("kind", KINDS)
def test_a_continuation_may_have_special_tokens_where_they_are_allowed(tongues, kind):
    tokenizer = tongues[kind]
    ends = {token: text for text, token in tokenizer.special_tokens.items()}
    text = f" the{ends[tokenizer.eos_token_id]}"
    allowed = tokenizer.encode_continuation(text, allow_special=True)

    assert tokenizer.eos_token_id == allowed[-1]
    assert tokenizer.eos_token_id not in tokenizer.encode_continuation(text)
    assert " the" == tokenizer.decode_continuation(allowed, skip_special_tokens=True)


def test_a_byte_level_prefix_space_is_for_the_beginning_only(tongues, tmp_path):
    tongues["byte-level"].save(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"add_prefix_space": true}')
    tokenizer = Tokenizer.from_folder(tmp_path)

    assert " the" == tokenizer.decode(tokenizer.encode("the"))
    assert "the" == tokenizer.decode(tokenizer.encode_continuation("the"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_token_has_bytes(tongues, kind):
    tokenizer = tongues[kind]
    prompt = tokenizer.encode("fox")
    before = tokenizer.decode(prompt).encode()

    assert tokenizer.vocab_size == len(tokenizer.token_bytes)
    for token, spelled in enumerate(tokenizer.token_bytes):
        whole = tokenizer.spelling.join([*prompt, token])
        assert before + spelled == whole


def test_byte_pieces_are_bytes_and_blanks_belong_to_words(tongues):
    llama = tongues["llama"]
    found = [llama.token_bytes[each] for each in ids(llama, "<0x0A>", "▁", "t", "<s>")]

    assert [b"\n", b" ", b"t", b"<s>"] == found
    assert b"<|im_end|>" == tongues["byte-level"].token_bytes[2]


def test_the_first_word_piece_has_no_blank_and_cleanup_joins_punctuation(tongues):
    tidy, plain = tongues["word-piece"], tongues["word-piece-plain"]

    assert "the fox, the owl." == tidy.decode(tidy.encode("the fox, the owl."))
    assert "the fox , the owl ." == plain.decode(plain.encode("the fox, the owl."))
    assert (b",", b" ,") == tuple(each.token_bytes[ids(each, ",")[0]] for each in (tidy, plain))


@given(texts)
@pytest.mark.parametrize("kind", KINDS)
def test_no_text_becomes_a_special_token_but_the_unknown(tongues, kind, text):
    tokenizer = tongues[kind]
    special = {
        token for text, token in tokenizer.special_tokens.items() if "unk" not in text.lower()
    }

    assert not special & set(tokenizer.encode(text))


@pytest.mark.parametrize("kind", KINDS)
def test_every_special_token_can_be_text_and_token(tongues, kind):
    tokenizer = tongues[kind]
    for text, token in tokenizer.special_tokens.items():
        assert [token] == [
            each for each in tokenizer.encode(text, allow_special=True) if each == token
        ]
        if "unk" not in text.lower():
            assert token not in tokenizer.encode(f"fox {text}owl")


def test_a_byte_that_is_spelled_out_is_text(tongues):
    tokenizer = tongues["unigram-bytes"]
    (byte,) = ids(tokenizer, "<0x41>")
    library = tokenizer._library  # noqa: SLF001 - where it is not

    assert byte in library.encode("fox <0x41>", add_special_tokens=False).ids
    assert byte not in tokenizer.encode("fox <0x41>")
    assert "fox <0x41>" == tokenizer.decode(tokenizer.encode("fox <0x41>"))


def test_a_decoder_that_does_not_spell_token_by_token_is_refused(tmp_path):
    for decoder, name in [
        (decoders.BPEDecoder(), "BPEDecoder"),
        (decoders.CTC(), "CTC"),
        (decoders.Replace(Regex("a+"), "b"), "Replace of a regular expression"),
        (decoders.Sequence([decoders.Fuse(), decoders.Strip(" ", 0, 1)]), "Strip"),
        (decoders.Sequence([decoders.Fuse(), decoders.WordPiece()]), "WordPiece"),
    ]:
        library = Library(models.BPE({"a": 0}, []))
        library.decoder = decoder
        library.save(str(tmp_path / "tokenizer.json"))

        with pytest.raises(TokenizerError, match=f"a BPE, has the decoder {name} in a place"):
            Tokenizer.from_folder(tmp_path)


def test_a_byte_level_decoder_may_be_one_of_several(tongues, tmp_path):
    library = Library.from_str(tongues["byte-level"]._library.to_str())  # noqa: SLF001
    library.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Fuse()])
    library.save(str(tmp_path / "tokenizer.json"))
    several = Tokenizer.from_folder(tmp_path)

    assert "byte-level BPE" == several.kind
    assert tongues["byte-level"].token_bytes == several.token_bytes
    assert "né 😀" == several.decode(several.encode("né 😀"))


def test_without_a_decoder_tokens_are_words(tmp_path):
    library = Library(models.WordLevel({"[UNK]": 0, "fox": 1, "owl": 2}, unk_token="[UNK]"))  # noqa: S106
    library.pre_tokenizer = pre_tokenizers.Whitespace()
    library.save(str(tmp_path / "tokenizer.json"))
    words = Tokenizer.from_folder(tmp_path)

    assert "fox owl fox" == words.decode([1, 2, 1])
    assert [b" fox", b" owl"] == list(words.token_bytes[1:])
    assert ["fox", " owl", ""] == pieces(words, [1, 2])


def test_steps_before_fusing_change_tokens_and_those_behind_it_the_text(tmp_path):
    library = Library(models.BPE({"▁a": 0, "▁": 1, "▁▁b": 2}, []))
    library.decoder = decoders.Sequence(
        [decoders.Strip("▁", 1, 0), decoders.Replace("▁", " "), decoders.Fuse()]
    )
    library.save(str(tmp_path / "tokenizer.json"))
    each = Tokenizer.from_folder(tmp_path)
    library.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 2, 0)]
    )
    library.save(str(tmp_path / "tokenizer.json"))
    whole = Tokenizer.from_folder(tmp_path)

    assert (b"a", b"", b" b") == each.token_bytes
    assert "   b a" == whole.decode([1, 1, 1, 2, 0])
    for tokens in ([0, 2], [1, 2, 0], [1, 1, 1, 0], [2, 1], [1], []):
        for one in (each, whole):
            expected = one._library.decode(tokens)  # noqa: SLF001
            assert expected == one.decode(tokens) == "".join(pieces(one, tokens))


def test_kinds_have_names(tongues):
    assert [
        "byte-level BPE",
        "BPE with byte fallback",
        "BPE with byte fallback",
        "BPE with byte fallback",
        "Unigram",
        "Unigram with byte fallback",
        "WordPiece",
        "WordPiece",
    ] == [tongues[kind].kind for kind in KINDS]


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_tokenizer_is_the_same(tongues, tmp_path, kind):
    tongues[kind].save(tmp_path)
    read = Tokenizer.from_folder(tmp_path)
    text = "the fox  asked </s> 😀 the owl"

    assert tongues[kind].encode(text) == read.encode(text)
    assert tongues[kind].token_bytes == read.token_bytes
    assert tongues[kind].adds_bos == read.adds_bos


def test_an_id_that_no_token_has_does_not_begin_a_text(tmp_path):
    library = Library(models.BPE({"▁a": 0, "▁b": 4}, []))
    library.decoder = decoders.Metaspace()
    library.save(str(tmp_path / "tokenizer.json"))
    gaps = Tokenizer.from_folder(tmp_path)

    assert "a b" == gaps.decode([2, 9, 0, 3, 4])
    assert ["", "", "a", "", " b", ""] == pieces(gaps, [2, 9, 0, 3, 4])
