"""Stochastic beams, against Gumbel numbers of all completions, and exact probabilities."""

import math
from collections import Counter

import pytest
import torch

from gpt2sdk import GenerationError, Generator
from gpt2sdk.rng import purpose_key, uniform
from gpt2sdk.testing import Letters, TableModel, make_rows

LETTERS = Letters("ab")
END = 2


def make_model(seed=5):
    return TableModel(END + 1, order=2, seed=seed)


def make_generator():
    return Generator(make_model(), LETTERS, decoder=LETTERS, eos_token_ids=[END])


def logprobs(prompt, new):
    model = make_model()
    logits = model.score(model.make_cache(1), [[*prompt, *new]], [1]).logits
    return logits.double().log_softmax(-1)[0].tolist()


def completions(prompt, room, new=(), total=0.0):
    """Yield every completion, with its log-probability."""
    for token, value in enumerate(logprobs(prompt, new)):
        longer = (*new, token)
        if token == END or len(longer) == room:
            yield longer, total + value
        else:
            yield from completions(prompt, room, longer, total + value)


def reference(prompt, seed, *, beams, room):
    """Follow the beams of one prompt, computing everything from whole histories."""
    noise = uniform(seed, 0, 0, purpose_key("stochastic_beam/root"))
    running = [(-math.log(-math.log(noise)), 0.0, ())]
    for draws in range(room):
        found = []
        for lane, (number, total, new) in enumerate(running):
            if new[-1:] == (END,):
                found.append((number, total, new))
                continue
            rows = make_rows([[0]], seed=seed)
            rows.records[0].lane, rows.records[0].draws = lane, draws
            times = rows.exponentials(range(END + 1), "stochastic_beam")[0].tolist()
            values = [total + value for value in logprobs(prompt, new)]
            gumbels = [value - math.log(time) for value, time in zip(values, times, strict=True)]
            top = max(gumbels)
            for token, gumbel in enumerate(gumbels):
                mass = math.exp(-number) - math.exp(-top) + math.exp(-gumbel)
                found.append((-math.log(mass), values[token], (*new, token)))
        running = sorted(found, reverse=True)[:beams]
    return running


def test_a_batch_gives_each_prompt_its_reference():
    prompts = ["a", "ba", "bb", "aab"] * 4
    result = make_generator().generate(
        prompts,
        strategy="stochastic_beam",
        num_beams=4,
        num_return_sequences=4,
        max_new_tokens=5,
        seed=list(range(16)),
        logprobs=0,
    )
    made = {place: [] for place in range(16)}
    for one in result.completions:
        made[one.prompt_index].append(one)
    for seed, prompt in enumerate(prompts):
        expected = reference(LETTERS.encode(prompt), seed, beams=4, room=5)
        assert [new for _, _, new in expected] == [each.tokens for each in made[seed]]
        numbers = [number for number, _, _ in expected]
        assert pytest.approx(numbers, abs=1e-4) == [each.score for each in made[seed]]
        totals = [total for _, total, _ in expected]
        assert pytest.approx(totals, abs=1e-4) == [
            sum(each.processed_logprobs) for each in made[seed]
        ]


def drawn(count, beams, **options):
    return make_generator().generate(
        ["a"] * count,
        strategy="stochastic_beam",
        num_beams=beams,
        num_return_sequences=beams,
        max_new_tokens=2,
        seed=list(range(count)),
        batch_size=1000,
        **options,
    )


@pytest.mark.slow
def test_completions_are_included_as_often_as_without_replacement():
    count = 4000
    p = {new: math.exp(total) for new, total in completions([0], 2)}
    result = drawn(count, 2)
    first = Counter(one.tokens for one in result.completions if one.sample_index == 0)
    both = Counter(one.tokens for one in result.completions)
    for new, share in p.items():
        others = (p[other] * share / (1 - p[other]) for other in p if other != new)
        for found, expected in ((first[new], share), (both[new], share + sum(others))):
            spread = math.sqrt(expected * (1 - expected) / count)
            assert abs(found / count - expected) < 4 * spread


@pytest.mark.slow
def test_the_weights_of_the_documentation_add_up_to_one_on_average():
    result = drawn(2000, 3, logprobs=0)
    weights = {}
    for one in result.completions:
        weights.setdefault(one.prompt_index, []).append((sum(one.processed_logprobs), one.score))
    sums = []
    for made in weights.values():
        limit = made[-1][1]
        sums.append(sum(math.exp(t) / -math.expm1(-math.exp(t - limit)) for t, _ in made[:-1]))
    mean = torch.tensor(sums)
    assert abs(mean.mean() - 1) < 4 * mean.std() / math.sqrt(len(sums))


def test_no_two_completions_are_alike_and_there_are_no_more_than_exist():
    # Of two tokens without an end there are 4, and of 3 tokens with one 1 + 2 * 3 = 7.
    result = drawn(3, 9)
    for place in range(3):
        made = [one.tokens for one in result.completions if one.prompt_index == place]
        assert 7 == len(made) == len({*made})
        scores = [one.score for one in result.completions if one.prompt_index == place]
        assert sorted(scores, reverse=True) == scores


def test_a_prompt_that_has_no_way_on_says_what_ruled_it_out():
    def only_ab(logits, rows):
        allowed = {1: 0, 2: 1}
        for at, length in enumerate(rows.lengths.tolist()):
            kept = torch.arange(END + 1) == allowed.get(length, -1)
            logits[at, ~kept] = -torch.inf
        return logits

    with pytest.raises(GenerationError, match="only_ab left it no token to choose from") as caught:
        make_generator().generate(
            [[0], [1]],
            strategy="stochastic_beam",
            num_beams=2,
            max_new_tokens=4,
            processors=[only_ab],
        )

    found = [(each.tokens, each.finish_reason) for each in caught.value.partial.completions]
    assert found == [((0, 1), "error"), ((0, 1), "error")]
