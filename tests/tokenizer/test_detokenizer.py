"""Detokenizer: pieces joined are the whole text, states are values, no half characters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as Library

from gpt2sdk.tokenizer.detokenizer import Detokenizer, TextState
from gpt2sdk.tokenizer.tokenizer import Tokenizer

END = "<|endoftext|>"
ALPHABET = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)


def letters(text):
    """Spell a text as a byte-level vocabulary does, one letter per byte."""
    return ALPHABET.pre_tokenize_str(text)[0][0]


def opened(library, folder):
    library.save(str(folder / "tokenizer.json"))
    return Tokenizer.from_folder(folder)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """One token per byte, some that cut characters in the middle, one that ends a text."""
    smile, cafe = letters("😀"), letters("café")
    words = [*sorted(ALPHABET.alphabet()), smile[:3], smile[1:], cafe[:4], cafe[4:] + smile[:1]]
    vocab = {word: token for token, word in enumerate(dict.fromkeys(words))}
    library = Library(models.BPE(vocab, []))
    library.pre_tokenizer = ALPHABET
    library.decoder = decoders.ByteLevel()
    library.add_special_tokens([AddedToken(END, normalized=False, special=True)])
    return opened(library, tmp_path_factory.mktemp("bytes"))


@pytest.fixture(scope="module")
def detokenizer(tokenizer):
    return Detokenizer(tokenizer)


def pieces(detokenizer, tokens, prompt=()):
    """Return the text of each step, and at the end what `finish` says."""
    state, texts = detokenizer.start(prompt), []
    for token in tokens:
        state, text = detokenizer.step(state, token)
        texts.append(text)
    return [*texts, detokenizer.finish(state)]


def ids(tokenizer, *words):
    return [tokenizer._library.token_to_id(word) for word in words]  # noqa: SLF001 - by spelling


token_lists = st.lists(st.integers(0, 262), max_size=40)


@given(token_lists)
def test_pieces_are_the_whole_text(tokenizer, detokenizer, tokens):
    assert tokenizer.decode(tokens, skip_special_tokens=True) == "".join(
        pieces(detokenizer, tokens)
    )


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=30))
def test_no_piece_of_a_text_has_half_a_character(tokenizer, detokenizer, text):
    texts = pieces(detokenizer, tokenizer.encode(text))

    assert text == "".join(texts)
    assert "" == texts[-1]
    assert text.count("\ufffd") == sum(piece.count("\ufffd") for piece in texts)


def test_a_character_comes_with_its_last_byte(tokenizer, detokenizer):
    first, rest = ids(tokenizer, letters("😀")[:3], letters("😀")[3:])

    assert ["", "😀", ""] == pieces(detokenizer, [first, rest])


def test_a_token_may_end_one_character_and_begin_another(tokenizer, detokenizer):
    cafe, middle, smile = ids(
        tokenizer, letters("café")[:4], letters("café")[4:] + letters("😀")[:1], letters("😀")[1:]
    )

    assert ["caf", "é", "😀", ""] == pieces(detokenizer, [cafe, middle, smile])


def test_a_cut_character_is_marked_when_it_is_certain_that_it_is_cut(tokenizer, detokenizer):
    smile, a = ids(tokenizer, letters("😀")[:3], "a")

    assert ["", "\ufffda", ""] == pieces(detokenizer, [smile, a])
    assert ["a", "", "\ufffd"] == pieces(detokenizer, [a, smile])


def test_special_tokens_have_no_text_and_cut_nothing(tokenizer, detokenizer):
    first, rest, end = *ids(tokenizer, letters("😀")[:3], letters("😀")[3:]), tokenizer.eos_token_id

    assert ["", "", "😀", "", ""] == pieces(detokenizer, [first, end, rest, end])


def test_an_id_that_no_token_has_changes_nothing(tokenizer, detokenizer):
    state, _ = detokenizer.step(detokenizer.start(), ids(tokenizer, letters("😀")[:3])[0])

    assert (state, "") == detokenizer.step(state, tokenizer.vocab_size + 7)


@given(token_lists, token_lists, token_lists)
def test_rows_go_on_from_one_state_without_each_other(tokenizer, detokenizer, shared, one, other):
    state, text = detokenizer.start(), ""
    for token in shared:
        state, piece = detokenizer.step(state, token)
        text += piece
    before = hash(state)

    for tokens in (one, other):
        row, written = state, text
        for token in tokens:
            row, piece = detokenizer.step(row, token)
            written += piece
        expected = tokenizer.decode(shared + tokens, skip_special_tokens=True)
        assert expected == written + detokenizer.finish(row)

    assert before == hash(state)


def test_states_are_equal_when_what_is_to_come_is(tokenizer, detokenizer):
    a, b = ids(tokenizer, "a", "b")

    assert (
        detokenizer.step(detokenizer.start(), a)[0] == detokenizer.step(detokenizer.start(), b)[0]
    )
    with pytest.raises(AttributeError):
        detokenizer.start().unfinished = b"x"


@given(token_lists)
def test_a_state_stays_small(detokenizer, tokens):
    state = detokenizer.start()
    for token in tokens:
        state, _ = detokenizer.step(state, token)
        assert len(state.unfinished) <= 3


@pytest.fixture(scope="module")
def pieces_of_sentences(tmp_path_factory):
    """A tokenizer in SentencePiece's manner: spaces belong to words, bytes stand for the rest."""
    hexes = [f"<0x{byte:02X}>" for byte in range(256)]
    words = ["<unk>", "</s>", *hexes, "▁", "▁hello", "▁world", "s", "▁you"]
    vocab = {word: token for token, word in enumerate(words)}
    library = Library(models.BPE(vocab, [], byte_fallback=True, unk_token="<unk>"))  # noqa: S106
    library.normalizer = normalizers.Replace(" ", "▁")
    library.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    library.add_special_tokens([AddedToken("</s>", normalized=False, special=True)])
    return opened(library, tmp_path_factory.mktemp("sentences"))


def test_spaces_of_sentence_pieces_are_kept(pieces_of_sentences):
    tokens = ids(pieces_of_sentences, "▁hello", "▁world", "s", "</s>", "▁", "▁you")
    texts = pieces(Detokenizer(pieces_of_sentences), tokens)

    assert ["hello", " world", "s", "", " ", " you", ""] == texts
    assert pieces_of_sentences.decode(tokens, skip_special_tokens=True) == "".join(texts)


def test_a_continued_text_keeps_the_space_before_its_first_word(pieces_of_sentences):
    detokenizer = Detokenizer(pieces_of_sentences)
    hello, world, end = ids(pieces_of_sentences, "▁hello", "▁world", "</s>")

    assert ["world", ""] == pieces(detokenizer, [world])
    assert [" world", ""] == pieces(detokenizer, [world], prompt=[hello] * 9 + [end])


def test_bytes_of_sentence_pieces_wait_for_their_character(pieces_of_sentences):
    hello = ids(pieces_of_sentences, "▁hello")
    smile = ids(pieces_of_sentences, *(f"<0x{byte:02X}>" for byte in "😀".encode()))
    detokenizer = Detokenizer(pieces_of_sentences)

    assert ["hello", "", "", "", "😀", "hello", ""][:5] == pieces(detokenizer, hello + smile)[:5]
    assert "hello😀😀s" == "".join(
        pieces(detokenizer, hello + smile + smile + ids(pieces_of_sentences, "s"))
    )
    assert "\ufffd" == pieces(detokenizer, hello + smile[:2])[-1]


def test_bytes_that_never_become_a_character_do_not_wait_for_ever(pieces_of_sentences):
    broken = ids(pieces_of_sentences, "<0x80>") * 30
    detokenizer = Detokenizer(pieces_of_sentences)
    state = detokenizer.start()
    for token in broken:
        state, _ = detokenizer.step(state, token)
        assert len(state.unfinished) <= 3

    assert 30 == "".join(pieces(detokenizer, broken)).count("\ufffd")


def test_word_pieces_are_joined_to_words(tmp_path):
    words = ["[UNK]", "[SEP]", "play", "##ing", "chess", "!"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    word_pieces = Tokenizer.from_folder(tmp_path)

    assert ["play", "ing", " chess", "", " !", ""] == pieces(
        Detokenizer(word_pieces), ids(word_pieces, "play", "##ing", "chess", "[SEP]", "!")
    )


def test_a_state_is_small_and_immutable():
    assert TextState() == TextState(b"", 0, begun=True, blanks=0)
    assert not hasattr(TextState(), "__dict__")


def test_a_character_that_the_prompt_begins_comes_whole(tokenizer, detokenizer):
    first, rest, a = ids(tokenizer, letters("😀")[:3], letters("😀")[3:], "a")
    end = tokenizer.eos_token_id

    assert ["😀", "a", ""] == pieces(detokenizer, [rest, a], prompt=[a, first])
    assert ["😀", ""] == pieces(detokenizer, [rest], prompt=[a, first, end])


def test_a_character_that_the_prompt_begins_and_nobody_ends_is_the_prompts(tokenizer, detokenizer):
    half, more, a = ids(tokenizer, letters("😀")[:1], letters("😀")[1], "a")

    assert ["a", ""] == pieces(detokenizer, [a], prompt=[a, half])
    assert [""] == pieces(detokenizer, [], prompt=[a, half])
    assert ["", "\ufffda", ""] == pieces(detokenizer, [more, a], prompt=[half])
    assert ["", "\ufffd"] == pieces(detokenizer, [more], prompt=[half])


@given(token_lists, token_lists)
def test_a_prompt_that_ends_with_a_character_changes_nothing(
    detokenizer, tokenizer, prompt, tokens
):
    whole = [*prompt, *ids(tokenizer, "a")]

    assert pieces(detokenizer, tokens) == pieces(detokenizer, tokens, prompt=whole)


@given(st.text(min_size=1, max_size=9), st.integers(0, 30))
def test_a_text_that_is_cut_anywhere_shows_whole_characters(tokenizer, detokenizer, text, cut):
    tokens = tokenizer.encode(text)
    cut = min(cut, len(tokens))
    shown = "".join(pieces(detokenizer, tokens[cut:], prompt=tokens[:cut]))

    assert text.endswith(shown)
    assert text[: len(text) - len(shown)] == tokenizer.decode(tokens[:cut]).removesuffix("\ufffd")


def test_a_prompt_of_sentence_pieces_may_end_inside_a_character(pieces_of_sentences):
    hello = ids(pieces_of_sentences, "▁hello")
    smile = ids(pieces_of_sentences, *(f"<0x{byte:02X}>" for byte in "😀".encode()))
    detokenizer = Detokenizer(pieces_of_sentences)

    assert "😀 hello" == "".join(pieces(detokenizer, smile[2:] + hello, prompt=hello + smile[:2]))
    assert " hello" == "".join(pieces(detokenizer, hello, prompt=hello + smile[:2]))
    assert "" == "".join(pieces(detokenizer, [], prompt=hello + smile[:3]))
