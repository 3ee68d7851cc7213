"""Every strategy goes together with everything: company, chains, ends, streams, cancellation."""

import random
from dataclasses import dataclass
from threading import Event

import pytest
import torch

from gpt2sdk import GenerationError, Generator, LogitsProcessor, OptionError, each
from gpt2sdk.testing import Letters, TableModel

LETTERS = Letters("abcdefghij.")
END = 11


class Allowance(LogitsProcessor):
    """Lets a row take each token so many times; it remembers the counts."""

    allowance: int = 0

    def start(self, session):
        counts = session.per_row(
            lambda prompt: (0,) * session.model.vocab_size,
            lambda old, token, logits: (*old[:token], old[token] + 1, *old[token + 1 :]),
        )
        return AllowanceRun(self.allowance, counts)


@dataclass
class AllowanceRun:
    """How often each row has taken each token."""

    allowance: int
    counts: object

    def process(self, logits, rows):
        spent = torch.tensor(self.counts[rows]) >= self.allowance
        return logits.masked_fill(spent, -torch.inf)


def last_letter(text):
    return text[-1] if text else None


def vowels(text):
    return sum(letter in "aei" for letter in text) / (1 + len(text))


PROMPTS = ["abc", "d", "efgh", "ji", "abcabc", "h.", "bb", "cd", "j"]
CASES = {
    "beam_sample": {"num_beams": 3, "num_return_sequences": 2, "temperature": 1.3},
    "diverse_beam": {"num_beams": 4, "num_beam_groups": 2, "num_return_sequences": 3},
    "constrained_beam": {"force_words": ["ab", ["j", "ih"]], "num_return_sequences": 2},
    "stochastic_beam": {"num_beams": 3, "num_return_sequences": 3, "top_k": 6},
    "best_of_n": {"best_of": 3, "num_return_sequences": 2},
    "best_of_n, scored": {"best_of": 4, "scorer": vowels},
    "self_consistency": {"answer": last_letter, "budget": 5, "num_return_sequences": 2},
    "self_consistency, supermajority": {
        "answer": last_letter,
        "budget": 7,
        "stop_rule": "supermajority",
        "num_return_sequences": 2,
    },
    "self_consistency, beta": {
        "answer": lambda text: "a" in text,
        "budget": 9,
        "stop_rule": "beta",
        "confidence": 0.7,
    },
    "deepconf": {
        "answer": last_letter,
        "budget": 11,
        "num_warmup": 4,
        "keep": 0.6,
        "group_size": 3,
        "confidence_tokens": 4,
        "num_return_sequences": 2,
    },
    "cot_decoding": {"num_branches": 4, "answer": last_letter, "num_return_sequences": 2},
    "cot_decoding, aggregated": {"num_branches": 4, "answer": last_letter, "aggregate": True},
    "tree_search": {"value": vowels, "num_simulations": 5, "num_children": 4},
    "tree_search, drawn": {
        "value": vowels,
        "num_simulations": 6,
        "rollout_tokens": 2,
        "visit_temperature": 1.0,
        "num_return_sequences": 2,
    },
    "replay": {"continuation": ["abab", [3, 4, END], "j", "hhh", "cd", "a", "b", "ce", ""]},
}
EVERYTHING = {
    "repetition_penalty": each([None, 1.2, 1.5] * 3),
    "guidance_scale": each([1.5, None, 1.2] * 3),
    "negative_prompt": each(["ba", None, "c"] * 3),
    "stop": each([["ab"], None, ["jc", "e"]] * 3),
    "max_new_tokens": each([8, 5, 9] * 3),
    "processors": [Allowance(allowance=3)],
}


def make_generator(**model):
    options = {"order": 3, "bias": {END: -0.5}, "scale": 1.5, **model}
    model = TableModel(END + 1, **options)
    return Generator(model, LETTERS, decoder=LETTERS, eos_token_ids=[END])


def options_of(case, *, everything=False):
    more = dict(EVERYTHING) if everything else {"max_new_tokens": 8}
    if case == "constrained_beam" and everything:
        more["max_new_tokens"] = each([9, 7, 9] * 3)
    return {"strategy": case.partition(",")[0], **CASES[case], **more}


def pick(value, order, name):
    """Give a value of each prompt to those in this order."""
    if isinstance(value, type(each([1]))):
        return each([value.values[place] for place in order])
    return [value[place] for place in order] if name == "continuation" else value


def outcome(case, order, *, everything=False, **more):
    options = {
        name: pick(value, order, name)
        for name, value in options_of(case, everything=everything).items()
    }
    result = make_generator().generate(
        [PROMPTS[place] for place in order],
        seed=[100 + place for place in order],
        **options,
        **more,
    )
    got = {place: [] for place in order}
    for one in result.completions:
        essence = one.tokens, one.text, one.finish_reason, one.score and round(one.score, 4)
        got[order[one.prompt_index]].append(essence)
    return got


@pytest.mark.parametrize("everything", [False, True], ids=["", "everything"])
@pytest.mark.parametrize("case", CASES)
def test_a_prompt_gets_in_any_company_what_it_gets_alone(case, everything):
    chance = random.Random(case)  # noqa: S311 - test data
    places = range(len(PROMPTS))
    if case == "replay":  # what a list of continuations has for one prompt, it has for all
        expected = outcome(case, places, everything=everything, batch_size=1)
    else:
        alone = [outcome(case, [place], everything=everything) for place in places]
        expected = {place: got for one in alone for place, got in one.items()}

    for size in (2, 9):
        order = chance.sample(places, len(places))
        assert expected == outcome(case, order, everything=everything, batch_size=size)


@pytest.mark.parametrize("case", CASES)
def test_a_drafter_changes_nothing(case):
    places = range(len(PROMPTS))

    assert outcome(case, places) == outcome(case, places, drafter="prompt_lookup")


@pytest.mark.parametrize("case", CASES)
def test_streams_show_what_is_handed_in(case):
    generator, options = make_generator(), options_of(case)
    stream = generator.stream(PROMPTS, seed=7, **options)
    told = {}
    for delta in stream:
        place = delta.prompt_index, delta.sample_index
        text, tokens = told.get(place, ("", ()))
        told[place] = text + delta.text, tokens + delta.tokens
    result = generator.generate(PROMPTS, seed=7, **options)

    made = {
        (one.prompt_index, one.sample_index): (one.text, one.tokens) for one in result.completions
    }
    assert made == told
    assert {place for place, _ in made} == {*range(len(PROMPTS))}


@pytest.mark.parametrize("case", CASES)
def test_a_cancelled_call_hands_over_what_there_is(case):
    asked = Event()

    def cancel_soon(logits, rows):
        if int((rows.lengths - rows.prompt_lengths).amax()) >= 2:
            asked.set()
        return logits

    result = make_generator(bias={END: -9.0}).generate(
        PROMPTS,
        seed=7,
        cancel=asked,
        **{**options_of(case), "max_new_tokens": 30, "processors": [cancel_soon]},
    )
    assert {*range(len(PROMPTS))} == {one.prompt_index for one in result.completions}
    wanted = CASES[case].get("num_return_sequences", 1)
    assert len(result.completions) <= wanted * len(PROMPTS)
    if case != "replay":
        assert "cancelled" in {one.finish_reason for one in result.completions}


@pytest.mark.parametrize("case", CASES)
def test_what_is_ruled_out_is_never_written(case):
    def two_letters(logits, rows):
        # Which letters are out depends on how far the row has come.
        grown = (rows.lengths - rows.prompt_lengths)[:, None]
        out = (torch.arange(END + 1) + grown) % 3 == 1
        return logits.masked_fill(out, -torch.inf)

    options = {**options_of(case), "processors": [two_letters]}
    result = make_generator().generate(PROMPTS, seed=7, **options)
    for one in result.completions:
        assert all((token + at) % 3 != 1 for at, token in enumerate(one.tokens))


@pytest.mark.parametrize("case", CASES)
def test_a_row_without_a_token_is_an_error_of_its_prompt_alone(case):
    def nothing_for_the_second(logits, rows):
        dead = (rows.prompt_index == 1) & (rows.lengths > rows.prompt_lengths)
        return logits.masked_fill(dead[:, None], -torch.inf)

    options = {**options_of(case), "processors": [nothing_for_the_second], "eos_token_id": None}
    with pytest.raises(GenerationError, match="prompt 1") as caught:
        make_generator().generate(PROMPTS[:3], seed=7, **options)
    partial = caught.value.partial.completions
    assert {0, 2} <= {one.prompt_index for one in partial}
    assert not any(one.finish_reason == "error" for one in partial if one.prompt_index != 1)


@pytest.mark.parametrize("name", ["beam_sample", "stochastic_beam", "tree_search, drawn"])
def test_a_sampler_is_refused_where_none_is_asked(name):
    with pytest.raises(OptionError, match="draws in a way of its own"):
        make_generator().generate("a", sampler="mirostat", **options_of(name))


@pytest.mark.parametrize("name", ["diverse_beam", "constrained_beam", "cot_decoding", "replay"])
def test_a_temperature_is_refused_where_nothing_is_drawn(name):
    with pytest.raises(OptionError, match="temperature"):
        make_generator().generate("a", temperature=0.5, **options_of(name))
