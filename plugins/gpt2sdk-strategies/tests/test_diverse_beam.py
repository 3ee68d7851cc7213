"""Diverse beams, against transformers' rule written out for whole histories."""

import itertools
import random
from collections import Counter

import pytest
import torch

from gpt2sdk import Generator, OptionError
from gpt2sdk.testing import Letters, TableModel

LETTERS = Letters("abcdefghij.")
END = 11


def make_model():
    return TableModel(END + 1, order=3, bias={END: 1.0})


def make_generator():
    return Generator(make_model(), LETTERS, decoder=LETTERS, eos_token_ids=[END])


def reference(prompt, *, beams, groups, penalty, length_penalty, early_stopping, room, stop=()):
    """Return all completions that may be handed in, with their scores, best first."""
    model, size = make_model(), beams // groups

    def over(new):
        text = LETTERS.decode(new)
        return new[-1] == END or any(each in text for each in stop) or len(new) >= room

    running = [[(0.0, [])] for _ in range(groups)]
    banks = [[] for _ in range(groups)]
    for length in range(1, room + 1):
        taken = Counter()
        for group in range(groups):
            found = []
            for score, new in running[group]:
                logits = model.score(model.make_cache(1), [[*prompt, *new]], [1]).logits
                for token, value in enumerate(logits.log_softmax(-1)[0].tolist()):
                    found.append((score + value - penalty * taken[token], [*new, token]))
            found = sorted(found, key=lambda each: -each[0])[: 2 * size]
            banks[group] += [
                (s / length**length_penalty, new) for s, new in found[:size] if over(new)
            ]
            banks[group] = sorted(banks[group], key=lambda each: -each[0])[:size]
            taken.update([new[-1] for _, new in found if new[-1] != END][:size])
            running[group] = [each for each in found if not over(each[1])][:size]
            if len(banks[group]) == size and running[group]:
                full = early_stopping == "never" and length_penalty > 0
                hope = running[group][0][0] / (room if full else length) ** length_penalty
                if early_stopping is True or hope <= banks[group][-1][0]:
                    running[group] = []
    return sorted(itertools.chain(*banks), key=lambda each: -each[0])


@pytest.mark.parametrize("stop", [[], ["ab", "c."]], ids=["", "stop"])
@pytest.mark.parametrize(("beams", "groups"), [(4, 2), (4, 4), (6, 3)])
def test_a_ragged_batch_gives_each_prompt_its_reference(beams, groups, stop):
    chance = random.Random(7)  # noqa: S311 - test data
    prompts = ["".join(chance.choices("abcdefghij", k=chance.randint(1, 8))) for _ in range(8)]
    rooms = [14, 3, 9, 1] * 2
    for early_stopping, length_penalty in itertools.product([False, True, "never"], [1.0, -0.2]):
        rule = {"early_stopping": early_stopping, "length_penalty": length_penalty}
        result = make_generator().generate(
            prompts,
            strategy="diverse_beam",
            num_beams=beams,
            num_beam_groups=groups,
            diversity_penalty=0.8,
            num_return_sequences=beams,
            max_new_tokens=rooms,
            stop=stop,
            **rule,
        )
        made = {place: [] for place in range(len(prompts))}
        for one in result.completions:
            made[one.prompt_index].append(one)
        for place, prompt in enumerate(prompts):
            expected = reference(
                LETTERS.encode(prompt),
                beams=beams,
                groups=groups,
                penalty=0.8,
                room=rooms[place],
                stop=stop,
                **rule,
            )
            assert [tuple(new) for _, new in expected] == [each.tokens for each in made[place]]
            scores = [score for score, _ in expected]
            assert pytest.approx(scores, rel=1e-5, abs=1e-5) == [each.score for each in made[place]]


def test_a_later_group_avoids_the_tokens_of_the_earlier_ones():
    table = torch.tensor([0.5, 0.3, 0.2]).log()

    def by_the_table(logits, rows):
        return table.expand_as(logits)

    letters = Letters("abc")
    generator = Generator(TableModel(3), letters, decoder=letters, eos_token_ids=[])
    options = {
        "strategy": "diverse_beam",
        "num_beams": 3,
        "num_beam_groups": 3,
        "num_return_sequences": 3,
        "max_new_tokens": 2,
        "length_penalty": 0.0,
        "processors": [by_the_table],
    }
    # log 0.5 - 1 < log 0.3 and log 0.5 - 1 < log 0.2 < log 0.3 - 0.6: a, then b, then c.
    result = generator.generate("a", diversity_penalty=1.0, **options)
    assert ["aa", "bb", "cc"] == result.texts
    assert ["aa"] * 3 == generator.generate("a", diversity_penalty=0.0, **options).texts


def test_one_group_is_beam_search():
    options = {"num_beams": 3, "num_return_sequences": 3, "max_new_tokens": 9}
    plain = make_generator().generate(["a", "bc"], strategy="beam", **options)
    grouped = make_generator().generate(
        ["a", "bc"], strategy="diverse_beam", num_beam_groups=1, **options
    )

    assert [(each.tokens, each.score) for each in plain.completions] == [
        (each.tokens, each.score) for each in grouped.completions
    ]


@pytest.mark.parametrize(("beams", "groups"), [(4, 3), (2, 4)])
def test_groups_that_cannot_share_the_beams_are_refused(beams, groups):
    with pytest.raises(OptionError, match="cannot share"):
        make_generator().generate(
            "a", strategy="diverse_beam", num_beams=beams, num_beam_groups=groups
        )
