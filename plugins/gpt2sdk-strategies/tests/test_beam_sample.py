"""Beam sampling, against a reference with whole histories, and against exact probabilities."""

import itertools
import math
from collections import Counter

import pytest
import torch

from gpt2sdk import Generator, OptionError
from gpt2sdk.testing import Letters, TableModel, make_rows

LETTERS = Letters("abcd")
END = 4


def make_model(**options):
    return TableModel(END + 1, **{"order": 2, "bias": {END: 0.5}, "seed": 2, **options})


def make_generator(**options):
    return Generator(make_model(**options), LETTERS, decoder=LETTERS, eos_token_ids=[END])


def exponentials(seed, lane, draws):
    """Return the numbers of one row's next tokens."""
    rows = make_rows([[0]], seed=seed)
    rows.records[0].lane, rows.records[0].draws = lane, draws
    return rows.exponentials(range(END + 1), "beam_sample")[0].tolist()


def reference(prompt, seed, *, num_beams, length_penalty, early_stopping, room, heat):
    """Return the completions of a prompt with their scores, best first."""
    model = make_model()
    running, bank = [(0.0, [])], []
    for length in range(1, room + 1):
        found = []
        for lane, (score, new) in enumerate(running):
            logits = model.score(model.make_cache(1), [[*prompt, *new]], [1]).logits
            numbers = exponentials(seed, lane, length - 1)
            # As in transformers, temperature acts on log-probabilities, which stay as they are.
            for token, value in enumerate((logits.log_softmax(-1) / heat)[0].tolist()):
                total = score + value
                found.append((total - math.log(numbers[token]), total, [*new, token]))
        found = sorted(found, key=lambda each: -each[0])[: 2 * num_beams]
        over = [new[-1] == END or length == room for _, _, new in found]
        bank += [
            (total / length**length_penalty, new)
            for (_, total, new), end in zip(found[:num_beams], over, strict=False)
            if end
        ]
        bank = sorted(bank, key=lambda each: -each[0])[:num_beams]
        going = [(total, new) for (_, total, new), end in zip(found, over, strict=True) if not end]
        running = going[:num_beams]
        if not running:
            break
        if len(bank) == num_beams:
            hope = max(score for score, _ in running) / length**length_penalty
            if early_stopping or hope <= bank[-1][0]:
                break
    return bank


@pytest.mark.parametrize("num_beams", [1, 3])
def test_a_batch_gives_each_prompt_its_reference(num_beams):
    prompts = ["a", "bc", "dab", "c"] * 3
    for early_stopping, length_penalty, heat in itertools.product([False, True], [1.0, 0.0], [0.7]):
        rule = {"early_stopping": early_stopping, "length_penalty": length_penalty}
        result = make_generator().generate(
            prompts,
            strategy="beam_sample",
            num_beams=num_beams,
            num_return_sequences=num_beams,
            temperature=heat,
            max_new_tokens=7,
            seed=list(range(len(prompts))),
            **rule,
        )
        made = {place: [] for place in range(len(prompts))}
        for one in result.completions:
            made[one.prompt_index].append((one.tokens, one.score))
        for seed, prompt in enumerate(prompts):
            expected = reference(
                LETTERS.encode(prompt), seed, num_beams=num_beams, room=7, heat=heat, **rule
            )
            assert [tuple(new) for _, new in expected] == [tokens for tokens, _ in made[seed]]
            assert pytest.approx([score for score, _ in expected], abs=1e-4) == [
                score for _, score in made[seed]
            ]


@pytest.mark.slow
def test_candidates_are_drawn_without_replacement_in_proportion():
    # With room for one token, the first two candidates are the two completions.
    count, model = 4000, make_model()
    p = model.score(model.make_cache(1), [[0]], [1]).logits.softmax(-1)[0].tolist()
    result = make_generator().generate(
        ["a"] * count,
        strategy="beam_sample",
        num_beams=2,
        num_return_sequences=2,
        max_new_tokens=1,
        seed=list(range(count)),
        batch_size=1000,
    )
    found = Counter(one.tokens[0] for one in result.completions)
    for token in range(END + 1):
        others = [p[other] for other in range(END + 1) if other != token]
        expected = p[token] + sum(other * p[token] / (1 - other) for other in others)
        spread = math.sqrt(expected * (1 - expected) / count)
        assert abs(found[token] / count - expected) < 4 * spread


def test_without_company_of_other_tokens_it_finds_what_beam_finds():
    # Where one token has all the probability, there is nothing to draw.
    def only(logits, rows):
        return logits.index_fill(1, torch.tensor([0, 2, 3, 4]), -torch.inf)

    options = {"processors": [only], "max_new_tokens": 4}
    drawn = make_generator().generate("a", strategy="beam_sample", seed=1, **options)
    assert drawn.text == make_generator().generate("a", strategy="beam", **options).text == "bbbb"


def test_more_completions_than_beams_are_refused():
    with pytest.raises(OptionError, match="only 2 beams are followed"):
        make_generator().generate("a", strategy="beam_sample", num_beams=2, num_return_sequences=3)
