"""Best of n: the rows are those of `sample`, so its completions are the oracle."""

import math

import pytest

from gpt2sdk import GenerationError, Generator, OptionError
from gpt2sdk.testing import Letters, TableModel

LETTERS = Letters("abcdefghij.")
END = 11


def make_generator():
    model = TableModel(END + 1, order=3, bias={END: 0.5})
    return Generator(model, LETTERS, decoder=LETTERS, eos_token_ids=[END])


def sampled(count, **options):
    """Return each prompt's completions by `sample`, with the model's log-probabilities."""
    result = make_generator().generate(
        ["a", "bc", "dd"], num_return_sequences=count, logprobs=0, **options
    )
    made = {}
    for one in result.completions:
        made.setdefault(one.prompt_index, []).append(one)
    return made


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_the_best_of_what_sample_draws_are_returned(temperature):
    options = {"max_new_tokens": 10, "seed": 3, "temperature": temperature, "stop": ["c"]}
    result = make_generator().generate(
        ["a", "bc", "dd"], strategy="best_of_n", best_of=6, num_return_sequences=2, **options
    )
    for place, drawn in sampled(6, **options).items():
        means = [math.fsum(one.logprobs) / len(one.tokens) for one in drawn]
        best = sorted(zip(means, (one.tokens for one in drawn), strict=True), reverse=True)[:2]
        made = [one for one in result.completions if one.prompt_index == place]
        assert [tokens for _, tokens in best] == [one.tokens for one in made]
        assert pytest.approx([mean for mean, _ in best], abs=1e-5) == [one.score for one in made]


def test_a_scorer_is_given_texts_as_they_are_handed_in():
    seen = []

    def scorer(text):
        seen.append(text)
        return text.count("a") - len(text)

    options = {"max_new_tokens": 10, "seed": 3, "stop": ["c", "h"]}
    result = make_generator().generate(
        ["a", "bc", "dd"], strategy="best_of_n", best_of=6, scorer=scorer, **options
    )
    drawn = sampled(6, **options)
    assert sorted(one.text for made in drawn.values() for one in made) == sorted(seen)
    for place, made in drawn.items():
        best = max(made, key=lambda one: one.text.count("a") - len(one.text))
        found = result.completions[place]
        assert (best.tokens, best.text.count("a") - len(best.text)) == (found.tokens, found.score)


@pytest.mark.parametrize("score", [math.nan, math.inf, "good", None])
def test_what_is_no_finite_number_is_refused(score):
    with pytest.raises(GenerationError, match=r"scorer returned .*: expected a finite number"):
        make_generator().generate("a", strategy="best_of_n", scorer=lambda text: score)


def test_more_completions_than_are_drawn_are_refused():
    with pytest.raises(OptionError, match="only 3 completions are drawn"):
        make_generator().generate("a", strategy="best_of_n", best_of=3, num_return_sequences=4)
