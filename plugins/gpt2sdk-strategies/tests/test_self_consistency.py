"""Self-consistency: votes of what `sample` draws, and rows that are begun, ended and cut short."""

from collections import Counter

import pytest
import torch

from gpt2sdk import GenerationError, Generator, OptionError
from gpt2sdk.testing import Letters, TableModel
from gpt2sdk_strategies.poll import beta_confidence

LETTERS = Letters("abcdefghij.")
END = 11


def make_generator(scale=1.0):
    model = TableModel(END + 1, order=3, bias={END: 0.5}, scale=scale)
    return Generator(model, LETTERS, decoder=LETTERS, eos_token_ids=[END])


def scripted(*texts):
    """Make a processor that lets each lane write its text, an end token for `$`."""

    def script(logits, rows):
        forced = torch.full_like(logits, -torch.inf)
        grown = (rows.lengths - rows.prompt_lengths).tolist()
        for row, (lane, at) in enumerate(zip(rows.lane.tolist(), grown, strict=True)):
            token = "abcdefghij.$".index((texts[lane] + "$")[at])
            forced[row, token] = logits[row, token]
        return forced

    return script


def voted(*texts, **options):
    """Return the answers with their shares, and the usage; a `-` is no answer."""
    result = make_generator().generate(
        "a",
        strategy="self_consistency",
        answer=lambda text: None if "e" in text else text[0],
        processors=[scripted(*texts)],
        budget=len(texts),
        num_return_sequences=len(texts),
        max_new_tokens=20,
        **options,
    )
    return [(each.text, round(each.score, 3)) for each in result.completions], result.usage


def test_the_answer_with_most_votes_wins_and_the_score_is_its_share():
    found, _ = voted("bb", "c", "b", "cee", "d", "b")

    assert [("bb", 0.6), ("c", 0.2), ("d", 0.2)] == found


def test_where_nobody_has_an_answer_the_first_completion_is_returned():
    assert [("ee", 0.0)] == voted("ee", "be")[0]


@pytest.mark.parametrize(
    ("texts", "drawn", "found"),
    [
        ("bbcccccc", 2, [("b", 1.0)]),
        ("bcbbcccc", 4, [("b", 0.75), ("c", 0.25)]),
        ("bcbccccc", 8, [("c", 0.75), ("b", 0.25)]),
        ("bcdcbc", 6, [("c", 0.5), ("b", 0.333), ("d", 0.167)]),
    ],
)
def test_as_many_again_are_drawn_until_there_is_a_supermajority(texts, drawn, found):
    answers, usage = voted(*texts, stop_rule="supermajority")

    assert found == answers
    # The prompt is read once; each row is fed its letter, and takes the end token. A row that
    # begins later reads the prompt's last token again, to know what comes next.
    assert 1 + drawn + (drawn - 2) == usage.tokens_fed


def test_one_vote_settles_nothing():
    # Of the first two, one has no answer; of the first four one has b, and two have c.
    answers, usage = voted("b", "e", "c", "c", "c", "c", stop_rule="supermajority")

    assert [("c", 0.8), ("b", 0.2)] == answers
    assert 1 + 6 + 4 == usage.tokens_fed


def test_more_completions_than_are_drawn_are_refused():
    with pytest.raises(OptionError, match="only 2 completions are drawn: raise budget"):
        make_generator().generate(
            "a", strategy="self_consistency", budget=2, num_return_sequences=5
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"confidence": 0.9}, "confidence counts with stop_rule=\"beta\", but stop_rule is 'all'"),
        ({"supermajority": 0.5}, 'supermajority counts with stop_rule="supermajority"'),
        ({"supermajority": 0.5, "stop_rule": "beta"}, "but stop_rule is 'beta'"),
        ({"confidence": 0.9, "stop_rule": "supermajority"}, "leave confidence out"),
    ],
)
def test_an_option_of_another_rule_is_refused(options, message):
    with pytest.raises(OptionError, match=message):
        make_generator().generate("a", strategy="self_consistency", **options)


def test_rows_are_cut_short_once_the_lead_is_sure():
    # Votes come in one by one; b leads by 4 to 0 after four, when 31/32 > 0.95.
    answers, usage = voted("b", "bb", "bbb", "bbbb", "c" * 9, "c" * 9, stop_rule="beta")

    assert [("b", 1.0)] == answers
    assert 1 + (1 + 2 + 3 + 4) + 2 * 4 == usage.tokens_fed


def test_the_lead_counts_the_second_answer():
    # 3 to 1: the posterior is Beta(4, 2), so that P(p > 1/2) = 26/32.
    assert 0.8125 == beta_confidence(3, 1)
    assert 0.5 == beta_confidence(2, 2)
    exact = torch.distributions.Beta(6.0, 3.0).sample((200_000,)).gt(0.5).float().mean()
    assert abs(float(exact) - beta_confidence(5, 2)) < 0.01


def test_what_votes_is_what_sample_draws():
    prompts, options = ["a", "bc", "dd"], {"max_new_tokens": 9, "seed": 4, "stop": ["h"]}
    drawn = make_generator().generate(prompts, num_return_sequences=8, **options)
    result = make_generator().generate(
        prompts, strategy="self_consistency", answer=len, budget=8, **options
    )
    for place in range(3):
        texts = [one.text for one in drawn.completions if one.prompt_index == place]
        votes = Counter(map(len, texts))
        winner = max(votes, key=votes.get)
        found = result.completions[place]
        assert next(text for text in texts if len(text) == winner) == found.text
        assert votes[winner] / 8 == found.score


def test_new_rows_draw_what_was_not_drawn_before():
    result = make_generator(scale=0.3).generate(
        "a",
        strategy="self_consistency",
        budget=16,
        stop_rule="supermajority",
        supermajority=1.0,
        num_return_sequences=16,
        max_new_tokens=9,
        eos_token_id=None,
        seed=1,
    )
    assert 16 == len({one.text for one in result.completions})


def test_an_answer_that_cannot_be_compared_is_refused():
    with pytest.raises(GenerationError, match=r"answer returned \[.*hashable"):
        make_generator().generate("a", strategy="self_consistency", answer=list, max_new_tokens=3)
