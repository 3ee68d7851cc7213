"""Beams, against a reference that recomputes everything from whole histories at each step."""

import itertools
import math
import random
from dataclasses import dataclass

import pytest
import torch

from gpt2sdk import GenerationError, Generator, LogitsProcessor, OptionError, each
from gpt2sdk.testing import Letters, TableModel

LETTERS = Letters("abcdefghij.")
END = 11


class Budget(LogitsProcessor):
    """Lets a row take each token so many times; it remembers the counts."""

    budget: int = 0

    def start(self, session):
        counts = session.per_row(
            lambda prompt: (0,) * session.model.vocab_size,
            lambda old, token, logits: (*old[:token], old[token] + 1, *old[token + 1 :]),
        )
        return BudgetRun(self.budget, counts)


@dataclass
class BudgetRun:
    """How often each row has taken each token."""

    budget: int
    counts: object

    def process(self, logits, rows):
        spent = torch.tensor(self.counts[rows]) >= self.budget
        return logits.masked_fill(spent, -torch.inf)


def make_model(**options):
    return TableModel(END + 1, **{"order": 3, "bias": {END: 1.0}, **options})


def make_generator(model=None):
    return Generator(model or make_model(), LETTERS, decoder=LETTERS, eos_token_ids=[END])


def reference(prompt, processors, *, num_beams, length_penalty, early_stopping, room, stop):
    """Return the best `num_beams` completions of a prompt, with their scores."""
    model = make_model()

    def logprobs(prefix, new):
        history = [*prefix, *new]
        return model.score(model.make_cache(1), [history], [1]).logits.log_softmax(-1)

    def over(new):
        text = LETTERS.decode(new)
        return new[-1] == END or any(each in text for each in stop) or len(new) >= room

    running, bank, length = [(0.0, [])], [], 0
    while True:
        length += 1
        found = []
        for score, new in running:
            row = logprobs(prompt, new)
            for processor in processors:
                row = processor(row, logprobs, prompt, new)
            found += [(score + value, [*new, token]) for token, value in enumerate(row[0].tolist())]
        found = sorted((each for each in found if each[0] > -torch.inf), key=lambda each: -each[0])
        found = found[: 2 * num_beams]
        bank += [(s / length**length_penalty, new) for s, new in found[:num_beams] if over(new)]
        bank = sorted(bank, key=lambda each: -each[0])[:num_beams]
        running = [each for each in found if not over(each[1])][:num_beams]
        if not running:
            return bank
        if len(bank) == num_beams:
            to_the_end = early_stopping == "never" and length_penalty > 0
            hope = running[0][0] / (room if to_the_end else length) ** length_penalty
            if early_stopping is True or hope <= bank[-1][0]:
                return bank


def guided(row, logprobs, prompt, new):
    branch = logprobs(LETTERS.encode("ba"), new)
    return branch + 1.6 * (row - branch)


def budgeted(row, logprobs, prompt, new):
    spent = torch.tensor([[new.count(token) >= 2 for token in range(END + 1)]])
    return row.masked_fill(spent, -torch.inf)


GUIDANCE = {"guidance_scale": 1.6, "negative_prompt": "ba"}
CHAINS = {
    "no processor": ({}, []),
    "a memory": ({"processors": [Budget(budget=2)]}, [budgeted]),
    "guidance": (GUIDANCE, [guided]),
    "guidance and a memory": ({**GUIDANCE, "processors": [Budget(budget=2)]}, [guided, budgeted]),
}


def make_prompts():
    chance = random.Random(7)  # noqa: S311 - test data
    return ["".join(chance.choices("abcdefghij", k=chance.randint(1, 8))) for _ in range(10)]


@pytest.mark.parametrize("drafter", [None, "prompt_lookup"])
@pytest.mark.parametrize("stop", [[], ["ab", "c."]], ids=["", "stop"])
@pytest.mark.parametrize("chain", CHAINS)
def test_a_ragged_batch_gives_each_prompt_its_reference(chain, stop, drafter):
    options, processors = CHAINS[chain]
    generator, prompts = make_generator(), make_prompts()
    rooms = [14, 3, 9, 14, 1] * 2
    for early_stopping, length_penalty in itertools.product([False, True, "never"], [1.0, -0.2]):
        rule = {"early_stopping": early_stopping, "length_penalty": length_penalty, "num_beams": 4}
        result = generator.generate(
            prompts,
            strategy="beam",
            num_return_sequences=4,
            max_new_tokens=rooms,
            stop=stop,
            drafter=drafter,
            **rule,
            **options,
        )
        made = {}
        for completion in result.completions:
            made.setdefault(completion.prompt_index, []).append(completion)
        for place, prompt in enumerate(prompts):
            tokens = LETTERS.encode(prompt)
            expected = reference(tokens, processors, room=rooms[place], stop=stop, **rule)
            assert [tuple(new) for _, new in expected] == [each.tokens for each in made[place]]
            scores = [score for score, _ in expected]
            assert pytest.approx(scores, rel=1e-5, abs=1e-5) == [each.score for each in made[place]]


def test_one_beam_is_greedy():
    generator, prompts = make_generator(), make_prompts()
    greedy = generator.generate(prompts, strategy="greedy", max_new_tokens=20)
    beam = generator.generate(prompts, strategy="beam", num_beams=1, max_new_tokens=20)

    assert greedy.texts == beam.texts


def test_two_beams_find_what_greedy_misses():
    # After the prompt a has 0.6, but after b the next b is so likely that bb has 0.36, aa 0.33.
    table = torch.tensor([[0.55, 0.45, 0.0], [0.1, 0.9, 0.0], [0.6, 0.4, 0.0]])

    def by_the_table(logits, rows):
        return table.log()[rows.tokens.gather(1, rows.lengths[:, None] - 1)[:, 0]]

    letters = Letters("abc")
    generator = Generator(TableModel(3), letters, decoder=letters, eos_token_ids=[])
    options = {"max_new_tokens": 2, "processors": [by_the_table]}
    greedy = generator.generate("c", strategy="greedy", **options)
    beam = generator.generate("c", strategy="beam", num_beams=2, num_return_sequences=2, **options)

    assert "aa" == greedy.text
    assert ["bb", "aa"] == beam.texts
    expected = [math.log(0.36) / 2, math.log(0.33) / 2]
    assert pytest.approx(expected) == [each.score for each in beam.completions]


def test_more_completions_than_beams_are_refused():
    with pytest.raises(OptionError, match="only 2 beams are followed"):
        make_generator().generate("a", strategy="beam", num_beams=2, num_return_sequences=3)


@pytest.mark.parametrize("option", [{"num_beams": 0}, {"early_stopping": "always"}])
def test_options_out_of_range_are_refused(option):
    with pytest.raises(OptionError, match=next(iter(option))):
        make_generator().generate("a", strategy="beam", **option)


def test_a_temperature_is_refused_since_nothing_is_drawn():
    with pytest.raises(OptionError, match="temperature"):
        make_generator().generate("a", strategy="beam", temperature=0.5)


def test_where_less_is_allowed_than_there_are_beams_there_are_fewer_completions():
    def only_a_and_b(logits, rows):
        return logits.index_fill(1, torch.arange(2, END + 1), -torch.inf)

    result = make_generator().generate(
        "a",
        strategy="beam",
        num_beams=7,
        num_return_sequences=7,
        max_new_tokens=2,
        processors=[only_a_and_b],
    )

    assert {"aa", "ab", "ba", "bb"} == set(result.texts)


def test_a_component_is_never_handed_a_token_that_it_forbade():
    forbidden = []

    class Strict(LogitsProcessor):
        def start(self, session):
            def accept(odd, token, logits):
                forbidden.extend([token] if logits[token] == -torch.inf else [])
                return not odd

            return StrictRun(session.per_row(lambda prompt: False, accept))

    @dataclass
    class StrictRun:
        odd: object

        def process(self, logits, rows):
            return logits

    def two_each(logits, rows):
        return logits.masked_fill(logits < logits.topk(2).values[:, 1:], -torch.inf)

    make_generator().generate(
        "a", strategy="beam", max_new_tokens=3, processors=[two_each, Strict()], num_beams=4
    )
    assert [] == forbidden


def test_an_emptied_beam_is_an_error_with_what_was_made():
    def dead_end(logits, rows):
        return logits.masked_fill((rows.lengths > 3)[:, None], -torch.inf)

    with pytest.raises(
        GenerationError, match="prompt 1, step 2: dead_end left it no token to choose from"
    ) as caught:
        make_generator().generate(
            ["a", "bc"], strategy="beam", max_new_tokens=3, eos_token_id=None, processors=[dead_end]
        )
    assert [("length", 3), ("error", 2)] == [
        (each.finish_reason, len(each.tokens)) for each in caught.value.partial.completions
    ]


def test_rows_per_prompt_options_follow_their_beams():
    generator, prompts = make_generator(), make_prompts()[:3]
    penalties = [None, 1.5, 3.0]
    together = generator.generate(
        prompts, strategy="beam", repetition_penalty=each(penalties), max_new_tokens=12
    )
    alone = [
        generator.generate(
            prompt, strategy="beam", repetition_penalty=each([penalty]), max_new_tokens=12
        ).text
        for prompt, penalty in zip(prompts, penalties, strict=True)
    ]

    assert alone == together.texts
