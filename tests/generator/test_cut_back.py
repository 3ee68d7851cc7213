"""Processors that cut prompts back: what is cut off, and what becomes of it."""

from typing import Annotated, ClassVar

import pytest
from pydantic import Field

from gpt2sdk import ContextOverflowError, Generator, LogitsProcessor, Stage
from gpt2sdk.testing import Letters, TableModel

LETTERS = Letters()
ASKED = []


class CutBack(LogitsProcessor):
    """Cuts off so many letters, and lets rows write what they like."""

    stage: ClassVar[Stage] = Stage.CONSTRAIN

    cut_off: Annotated[int, Field(description="How many.")] = 0

    def cut_back(self, prompts, vocabulary, vocab_size):
        ASKED.append((self.cut_off, [tuple(prompt) for prompt in prompts], vocab_size))
        assert vocabulary is LETTERS
        return [self.cut_off] * len(prompts)

    def process(self, logits, rows):
        return logits


@pytest.fixture
def generator():
    ASKED.clear()
    return Generator(TableModel(28, context_length=12), LETTERS, decoder=LETTERS)


def written(generator, prompts, *processors, **options):
    result = generator.generate(
        prompts, processors=list(processors), strategy="greedy", max_new_tokens=5, **options
    )
    return result, [LETTERS.decode(completion.tokens) for completion in result.completions]


def test_rows_begin_where_the_prompt_was_cut_and_their_text_where_it_ended(generator):
    _, plain = written(generator, ["ab", "a"])

    result, tokens = written(generator, ["abc", "abcd"], CutBack(cut_off=1), CutBack(cut_off=3))

    assert [plain[1], plain[1]] == tokens
    assert [plain[1][2:], plain[1][3:]] == result.texts  # a prompt keeps one token
    assert 2 == result.usage.prompt_tokens


def test_a_prompt_of_one_token_stays(generator):
    _, plain = written(generator, ["a"])
    result, _ = written(generator, ["a"], CutBack(cut_off=2))

    assert plain == result.texts


def test_all_prompts_are_asked_about_at_once(generator):
    written(generator, ["abc", "de"], CutBack(cut_off=1))

    assert [(1, [(0, 1, 2), (3, 4)], 28)] == ASKED


def test_what_is_cut_off_makes_room(generator):
    with pytest.raises(ContextOverflowError):
        written(generator, "abcdefghi")
    result, _ = written(generator, "abcdefghi", CutBack(cut_off=2))

    assert 5 == len(result.completions[0].tokens)


def test_strategies_see_the_text_behind_the_prompt(generator):
    result, tokens = written(generator, "abc", CutBack(cut_off=2), stop=["q"])
    beams = generator.generate(
        "abc", processors=[CutBack(cut_off=2)], strategy="beam", num_beams=2, max_new_tokens=5
    )

    assert tokens[0][2:] == result.text
    assert LETTERS.decode(beams.completions[0].tokens)[2:] == beams.text
