"""Thinking budgets: when a passage begins and ends, and what is forced."""

import pytest
import torch

from gpt2sdk import Generator, OptionError
from gpt2sdk.testing import Letters, TableModel, make_rows, process, tiny_tokenizer
from gpt2sdk.testing.trial import open_session
from gpt2sdk_sampling.thinking_budget import ThinkingBudget

LETTERS = Letters()
TOKENIZER = tiny_tokenizer()


def forced(text, prompt="x", **options):
    """Return the letter that must follow a prompt and a text, or nothing."""
    options = {"thinking_budget": 2, "thinking_budget_end": "z"} | options
    history = LETTERS.encode(prompt + text)
    rows = make_rows([history], prompt_lengths=[len(prompt)])
    found = process(ThinkingBudget(**options), [[0.0] * 28], rows)[0].isfinite()
    return LETTERS.decode(found.nonzero()[:, 0].tolist()) if not found.all() else ""


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("", {}, ""),
        ("a", {}, ""),
        ("ab", {}, "z"),
        ("abz", {}, ""),
        ("abzcd", {}, ""),
        ("az", {}, ""),
        ("azbc", {}, ""),
        ("", {"thinking_budget": 0}, "z"),
        ("ab", {"thinking_budget_message": "so"}, "s"),
        ("abs", {"thinking_budget_message": "so"}, "o"),
        ("abso", {"thinking_budget_message": "so"}, "z"),
        ("absoz", {"thinking_budget_message": "so"}, ""),
        ("abs", {"thinking_budget_message": "s", "thinking_budget_end": ()}, ""),
        ("ab", {"thinking_budget_end": ["z", "b"]}, ""),
        ("abx", {}, "z"),  # a strategy said something else
        ("ab", {"thinking_budget_end": [[25], [1, 2]]}, "z"),
        ("ab", {"thinking_budget_end": [25]}, "z"),
        # Behind a start, each time that it is written.
        ("abcd", {"thinking_budget_start": "th"}, ""),
        ("tha", {"thinking_budget_start": "th"}, ""),
        ("thab", {"thinking_budget_start": "th"}, "z"),
        ("thaz", {"thinking_budget_start": "th"}, ""),
        ("thazthab", {"thinking_budget_start": "th"}, "z"),
        ("thabzcdthef", {"thinking_budget_start": "th"}, "z"),
        ("th", {"thinking_budget_start": "th", "thinking_budget": 0}, "z"),
    ],
)
def test_what_is_forced(text, options, expected):
    assert expected == forced(text, **options)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [("tha", ""), ("thab", "z"), ("thabcd", "z"), ("thabcz", ""), ("thabczthe", ""), ("bt", "")],
)
def test_a_passage_may_begin_in_the_prompt(prompt, expected):
    assert expected == forced("", prompt, thinking_budget_start="th")


def test_a_start_may_lie_across_the_prompts_end():
    assert "z" == forced("hab", "xt", thinking_budget_start="th")


def test_tags_are_found_however_they_are_cut():
    """The end is written byte by byte, and as it is cut by itself."""
    budget = ThinkingBudget(
        thinking_budget=9, thinking_budget_end="and the", thinking_budget_message="x"
    )
    for tokens in (TOKENIZER.encode("and the"), list(b"and the")):
        ids = [TOKENIZER.encode(chr(each))[0] for each in tokens] if tokens[0] == 97 else tokens
        session = open_session(
            [make_rows([[5]]).records[0].prompt], vocab_size=TOKENIZER.vocab_size
        )
        session.vocabulary = TOKENIZER
        run = budget.start(session)
        for token in ids:
            session.append([token])
        assert ["done"] == [place.phase for place in run.places[session.rows]]


def test_what_was_ruled_out_is_not_forced():
    session = open_session([make_rows([[0]]).records[0].prompt], vocab_size=28)
    run = ThinkingBudget(thinking_budget=0, thinking_budget_end="b").start(session)
    logits = torch.zeros(1, 28).index_fill(1, torch.tensor([1]), -torch.inf)

    assert run.process(logits, session.rows).isneginf().all()


@pytest.mark.parametrize(
    "strategy", [{}, {"strategy": "beam", "num_beams": 3}, {"drafter": "prompt_lookup"}], ids=str
)
def test_passages_end_in_time_in_a_batch(strategy):
    generator = Generator(TableModel(28, scale=1.0), LETTERS, decoder=LETTERS)
    budget = {"thinking_budget": [3, 5, None], "thinking_budget_message": "so", "seed": 3}

    texts = generator.generate(
        ["a", "bc", "d"], thinking_budget_end="q", max_new_tokens=12, **budget, **strategy
    ).texts

    assert ["soq", "soq"] == [texts[0][3:6], texts[1][5:8]]
    assert "soq" not in texts[2]


def test_a_budget_needs_something_to_force():
    with pytest.raises(OptionError, match="thinking_budget has nothing to force"):
        process(ThinkingBudget(thinking_budget=1, thinking_budget_end=()), [[0.0] * 28])
    with pytest.raises(OptionError, match="thinking_budget_end names token 99"):
        process(ThinkingBudget(thinking_budget=1, thinking_budget_end=[99]), [[0.0] * 28])
