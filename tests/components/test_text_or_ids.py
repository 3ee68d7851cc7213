"""Tokens that users write, as texts or ids."""

from typing import Annotated

import pytest
from pydantic import Field, TypeAdapter

from gpt2sdk import LogitsProcessor, OneOrMore, OptionError, TextOrIds, tokens_of
from gpt2sdk.testing import Letters, make_rows
from gpt2sdk.testing.trial import open_session

LETTERS = Letters()


class Naming(LogitsProcessor):
    """Has options of both kinds."""

    naming: Annotated[tuple[TextOrIds, ...], OneOrMore, Field(description="Names.")] = ()

    def process(self, logits, rows):
        return logits


@pytest.fixture
def session():
    return open_session([make_rows([[0]]).records[0].prompt], vocab_size=28)


@pytest.mark.parametrize(
    ("written", "expected"),
    [("ab", ("ab",)), (["ab", "c"], ("ab", "c")), ([[1, 2], "c"], ((1, 2), "c")), ([], ())],
)
def test_one_text_stands_for_a_list_of_it(written, expected):
    assert expected == Naming(naming=written).naming


@pytest.mark.parametrize("wrong", ["", [[]], [[-1]], [[True]], [3], [None]])
def test_what_is_neither_text_nor_ids_is_refused(wrong):
    with pytest.raises(OptionError, match="should be a text or a list of token ids, not empty"):
        Naming(naming=wrong)


def test_anything_but_a_text_is_left_to_the_type():
    assert ((1,), (2,)) == TypeAdapter(
        Annotated[tuple[tuple[int, ...], ...], OneOrMore]
    ).validate_python(((1,), (2,)))


def test_texts_become_tokens(session):
    assert tuple(LETTERS.encode("ab")) == tokens_of("ab", session, "naming")
    assert (3, 27) == tokens_of((3, 27), session, "naming")


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ((3, 28), "naming names token 28: expected an id below 28"),
        ((-1,), "naming names token -1: expected an id of 0 or more"),
        ((), r"naming has no tokens in \(\): expected one or more"),
    ],
)
def test_tokens_that_the_model_lacks_are_refused(session, written, message):
    with pytest.raises(OptionError, match=message):
        tokens_of(written, session, "naming")
