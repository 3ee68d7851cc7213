"""What files say next is proposed; files that cannot be read are named before work starts."""

import pytest

from gpt2sdk import Generator, OptionError
from gpt2sdk.testing import Letters, TableModel, make_rows
from gpt2sdk_drafters import corpus as module
from gpt2sdk_drafters.corpus import CorpusRun
from gpt2sdk_drafters.suffix_array import SuffixArray

LETTERS = Letters()


@pytest.fixture
def generator():
    """Return a generator that writes letters."""
    return Generator(TableModel(29), LETTERS, decoder=LETTERS, eos_token_ids=[28])


def call(generator, **options):
    return generator.generate("ab", drafter="corpus", max_new_tokens=8, **options)


def proposed(text, history, count):
    index = SuffixArray(LETTERS.encode(text), 29)
    rows = make_rows([LETTERS.encode(each) for each in history])
    return [
        LETTERS.decode([token for token in line if token >= 0])
        for line in CorpusRun(index).propose(rows, count).tolist()
    ]


def test_what_follows_in_the_text_is_proposed():
    text = "the king said to the cat who sat"

    assert ["g sa", "t w", ""] == proposed(text, ["a kin", "my ca", "z"], 4)


def test_a_proposal_is_as_long_as_what_was_found():
    text = "the king said to the cat"

    assert ["g"] == proposed(text, ["zzn"], 4)
    assert ["ng"] == proposed(text, ["zki"], 4)


def test_files_are_one_corpus_and_their_ends_are_not_joined(tmp_path):
    for name, text in {"one": "abc", "two": "cab"}.items():
        (tmp_path / name).write_text(text)
    files = tuple(module.file_of(str(tmp_path / name)) for name in ("one", "two"))
    run = CorpusRun(module.index_of(files, LETTERS, 29))
    rows = make_rows([LETTERS.encode("c"), LETTERS.encode("zb")])

    assert [[0], [2]] == run.propose(rows, 1).tolist()


def test_files_are_read_once_until_they_change(generator, tmp_path, monkeypatch):
    path = tmp_path / "text"
    path.write_text("abcabc")
    read = []
    monkeypatch.setattr(
        module, "read_text", lambda path, real=module.read_text: read.append(path) or real(path)
    )
    call(generator, corpus=str(path))
    call(generator, corpus=str(path))
    assert 1 == len(read)

    path.write_text("abcabcabc")
    call(generator, corpus=str(path))
    assert 2 == len(read)


def test_files_that_cannot_be_read_are_named(generator, tmp_path):
    (tmp_path / "binary").write_bytes(b"ab\xff")
    (tmp_path / "empty").write_text("")
    for name, why in (
        ("missing", "No such file"),
        ("binary", "no UTF-8 at byte 2"),
        ("empty", "nothing is in"),
        (".", "Is a directory"),
    ):
        with pytest.raises(OptionError, match=why) as caught:
            call(generator, corpus=str(tmp_path / name))
        assert "corpus expects" in str(caught.value)


def test_there_is_at_least_one_path(generator):
    with pytest.raises(OptionError, match="at least one path"):
        call(generator, corpus=[])
