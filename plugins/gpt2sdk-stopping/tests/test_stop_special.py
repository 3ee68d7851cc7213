"""Stop strings with special tokens, and stop strings that begin in the prompt."""

import pytest
import torch
from tokenizers import AddedToken

from gpt2sdk import Generator
from gpt2sdk.testing import TableModel, tiny_tokenizer

START, END = "<|im_start|>", "<|im_end|>"


@pytest.fixture(scope="module")
def generator():
    texts = {"tokenizer.json": with_special(tiny_tokenizer())}
    tokenizer = type(tiny_tokenizer()).from_texts(texts)
    return Generator(TableModel(tokenizer.vocab_size), tokenizer, eos_token_ids=[])


def with_special(tokenizer):
    """Return the tokenizer's file with two more special tokens."""
    library = tokenizer._files.library  # noqa: SLF001 - no other way to enlarge it
    library.add_special_tokens([AddedToken(text, normalized=False) for text in (START, END)])
    return library.to_str()


def saying(tokens):
    """Make every row say these tokens, the last one for ever."""

    def forced(logits, rows):
        places = (rows.lengths - rows.prompt_lengths).clamp(max=len(tokens) - 1)
        chosen = torch.tensor(tokens)[places]
        return torch.full_like(logits, -1e9).scatter(1, chosen[:, None], 0.0)

    return forced


def said(generator, written, *, prompt="a", **options):
    """Return what comes of a text, special tokens in it included, and what was streamed of it."""
    tokens = generator.tokenizer.encode(written, allow_special=True)
    options |= {"processors": [saying(tokens)], "max_new_tokens": len(tokens)}
    prompts = [generator.tokenizer.encode(prompt, allow_special=True)]
    done = generator.generate(prompts, **options).completions[0]
    pieces = [delta.text for delta in generator.stream(prompts, **options)]
    assert done.text == "".join(pieces)
    return done.text, done.finish_reason, generator.tokenizer.decode(done.tokens)


@pytest.mark.parametrize(
    ("stop", "written", "text", "tokens"),
    [
        (END, f"the{END} and on", "the", f"the{END}"),
        (END, f"{END} and on", "", END),
        (["\n", END], f"the{END}\n", "the", f"the{END}"),
        (f"{END}\n", f"the{END} the{END}\nand", "the the", f"the{END} the{END}\n"),
        (f"\n{START}the", f"a\n{START}in\n{START}the x", "a\nin", f"a\n{START}in\n{START}the"),
        (f"{END}{START}", f"the{END}{START} x", "the", f"the{END}{START}"),
    ],
)
def test_a_special_token_in_a_stop_text_is_that_token(generator, stop, written, text, tokens):
    assert (text, "stop_string", tokens) == said(generator, written, stop=stop)


def test_the_spelling_of_a_special_token_stops_as_well(generator):
    spelled = generator.tokenizer.encode(f"the{END}")
    options = {"processors": [saying(spelled)], "max_new_tokens": len(spelled), "stop": END}

    assert "the" == generator.generate("a", **options).text


@pytest.mark.parametrize("stop", ["end", "<", f"x{END}", f"{END}x", START])
def test_a_special_token_is_no_letters_of_a_stop_text(generator, stop):
    assert ("the on", "length", f"the{END} on") == said(generator, f"the{END} on", stop=stop)


def test_a_character_of_several_tokens_is_one_of_a_stop_text(generator):
    assert ("the ", "stop_string", "the 漢") == said(generator, "the 漢字", stop="漢")


@pytest.mark.parametrize(
    ("prompt", "stop", "written", "spans", "text", "reason"),
    [
        ("User", "User:", ": Hi", True, "", "stop_string"),
        ("User", "User:", ": Hi", False, ": Hi", "length"),
        ("User", ["User:", "Hi"], " Hi", True, " ", "stop_string"),
        ("User: ", "User:", "Hi", True, "Hi", "length"),
        ("aXb", ["aXbc", "X"], "d", True, "d", "length"),
        (f"the{END}", f"{END}\n", "\na", True, "", "stop_string"),
        (f"the{END}", f"the{END}the", "the", True, "", "stop_string"),
        ("User", "User:", "x User: y", True, "x ", "stop_string"),
    ],
)
def test_a_stop_text_may_begin_in_the_prompt(generator, prompt, stop, written, spans, text, reason):
    found = said(generator, written, prompt=prompt, stop=stop, stop_spans_prompt=spans)

    assert (text, reason) == found[:2]


def test_a_stop_text_may_begin_with_a_character_that_the_prompt_began(generator):
    tokens = generator.tokenizer.encode("b漢字")
    options = {"processors": [saying(tokens[2:])], "max_new_tokens": 5, "stop_spans_prompt": True}

    assert "" == generator.generate([tokens[:2]], stop="b漢", **options).text
    assert "漢" == generator.generate([tokens[:2]], stop="字", **options).text
