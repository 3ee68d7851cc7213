"""Some prompts of a call fail, and the others come to their ends."""

import threading
from functools import partial

import pytest
import torch

from gpt2sdk import (
    GenerationError,
    Generator,
    LogitsProcessor,
    Sampler,
    StoppingCriterion,
    each,
    hookimpl,
    sample,
    strategy,
)
from gpt2sdk.plugins.registry import Registry
from gpt2sdk.testing import Letters, TableModel

LETTERS = Letters()
PROMPTS = list("abcdefghij")
BROKEN = 3
"""The prompt that something is wrong with."""


@pytest.fixture(scope="module")
def gen():
    return Generator(TableModel(), LETTERS, decoder=LETTERS, eos_token_ids=[])


def is_broken(rows, grown):
    """Which rows are of the broken prompt, and have so many new tokens."""
    return (rows.prompt_index == BROKEN) & (rows.lengths - rows.prompt_lengths == grown)


def emptied(logits, rows):
    return logits.masked_fill(is_broken(rows, 2)[:, None], -torch.inf)


def spoilt(logits, rows):
    return logits.masked_fill(is_broken(rows, 2)[:, None], torch.nan)


def raising(logits, rows):
    if bool(is_broken(rows, 2).any()):
        message = "lost"
        raise KeyError(message)
    return logits


class Stumbles(Sampler):
    """Takes the likeliest token, and raises for the broken prompt."""

    at: int = 2

    def choose(self, logits, rows):
        if bool(is_broken(rows, self.at).any()):
            message = "lost"
            raise KeyError(message)
        return logits.argmax(-1)


class Objects(StoppingCriterion):
    """Ends no row, and raises for the broken prompt."""

    at: int = 3

    def check(self, rows):
        if bool(is_broken(rows, self.at).any()):
            message = "lost"
            raise KeyError(message)
        return torch.zeros(len(rows), dtype=torch.bool)


CASES = {
    "emptied": ({"processors": [emptied]}, 2, "emptied left it no token to choose from"),
    "nan": ({"processors": [spoilt]}, 2, "spoilt left it NaN"),
    "processor": ({"processors": [raising]}, 2, "raising raised KeyError: 'lost'"),
    "criterion": ({"stopping": [Objects()]}, 3, "objects raised KeyError: 'lost'"),
}


def reasons(result):
    return [(one.prompt_index, one.finish_reason, len(one.tokens)) for one in result.completions]


@pytest.mark.parametrize("batch_size", [1, 4, 32])
@pytest.mark.parametrize("options", [{}, {"strategy": "beam", "num_beams": 2}])
@pytest.mark.parametrize("case", CASES)
def test_a_prompt_that_fails_leaves_the_others_alone(gen, case, options, batch_size):
    changes, step, said = CASES[case]
    options = {**options, "max_new_tokens": 5, "seed": list(range(10)), "batch_size": batch_size}
    whole = gen.generate(PROMPTS, **options)

    with pytest.raises(GenerationError) as caught:
        gen.generate(PROMPTS, **options, **changes)

    error = caught.value
    expected = [(at, *(("error", step) if at == BROKEN else ("length", 5))) for at in range(10)]
    assert str(error) == f"prompt {BROKEN}, step {step}: {said}"
    assert (error.step, error.component) == (step, said.split()[0])
    assert expected == reasons(error.partial)
    for one, other in zip(whole.completions, error.partial.completions, strict=True):
        assert one == other or one.prompt_index == BROKEN


def test_a_sampler_that_raises_for_a_prompt_leaves_the_others_alone(gen):
    with pytest.raises(GenerationError, match="prompt 3, step 2: stumbles raised KeyError") as one:
        gen.generate(PROMPTS, max_new_tokens=4, sampler=Stumbles())

    assert [at == BROKEN for at in range(10)] == [
        each.finish_reason == "error" for each in one.value.partial.completions
    ]


def test_a_stream_gives_all_deltas_before_it_raises(gen):
    texts = [""] * 10
    stream = gen.stream(PROMPTS, max_new_tokens=5, seed=1, processors=[emptied], batch_size=2)

    def read():
        for delta in stream:
            texts[delta.prompt_index] += delta.text

    with pytest.raises(GenerationError, match="prompt 3, step 2: emptied"):
        read()

    assert texts == stream.result.texts
    assert [2 if at == BROKEN else 5 for at in range(10)] == list(map(len, texts))


def test_the_message_lists_the_other_prompts_that_failed(gen):
    def odd(logits, rows):
        return logits.masked_fill((rows.prompt_index % 2 == 1)[:, None], -torch.inf)

    with pytest.raises(GenerationError) as caught:
        gen.generate(list("abcdef"), max_new_tokens=2, processors=[odd])

    assert str(caught.value) == (
        "prompt 1, step 0: odd left it no token to choose from; "
        "and likewise something is wrong with prompt 3, 5"
    )


def test_a_row_that_fails_leaves_its_prompts_others_alone(gen):
    def second(logits, rows):
        return logits.masked_fill((rows.lane == 1)[:, None], -torch.inf)

    with pytest.raises(GenerationError, match="prompt 0, step 0: second") as caught:
        gen.generate("ab", num_return_sequences=3, max_new_tokens=2, processors=[second])

    assert ["length", "error", "length"] == [
        one.finish_reason for one in caught.value.partial.completions
    ]


def test_what_raises_for_every_prompt_ends_the_call_at_once(gen):
    def broken(logits, rows):
        raise KeyError("lost")

    with pytest.raises(GenerationError, match="step 0: broken raised KeyError: 'lost'") as caught:
        gen.generate(PROMPTS, max_new_tokens=2, batch_size=2, processors=[broken])

    assert [(0, "error"), (1, "error"), (2, "cancelled")] == [
        (one.prompt_index, one.finish_reason) for one in caught.value.partial.completions[:3]
    ]
    assert len(caught.value.partial.completions) == 10


class Fixed(LogitsProcessor):
    """A variant for some prompts that raises."""

    fixed: float = 0.0

    def process(self, logits, rows):
        message = "lost"
        raise KeyError(message)


def test_a_variant_of_one_prompt_that_raises_leaves_the_others_alone(gen):
    class Plugin:
        @hookimpl
        def gpt2sdk_components(self):
            return (Fixed,)

    own = Generator(
        gen.model, LETTERS, decoder=LETTERS, eos_token_ids=[], registry=Registry([Plugin()])
    )
    with pytest.raises(GenerationError, match="prompt 1, step 0: fixed raised KeyError") as caught:
        own.generate(list("abc"), fixed=each([None, 1.0, None]), max_new_tokens=2, seed=1)

    assert [(0, "length", 2), (1, "error", 0), (2, "length", 2)] == reasons(caught.value.partial)


@pytest.mark.parametrize("options", [{}, {"strategy": "beam", "num_return_sequences": 2}])
def test_prompts_that_still_wait_when_a_call_is_cancelled_are_told(gen, options):
    cancel = threading.Event()

    def cancelling(logits, rows):
        if 2 in (rows.lengths - rows.prompt_lengths):
            cancel.set()
        return logits

    result = gen.generate(
        PROMPTS, cancel=cancel, batch_size=2, processors=[cancelling], max_new_tokens=6, **options
    )
    count = options.get("num_return_sequences", 1)

    expected = [(at, "cancelled", 3 if at < 2 else 0) for at in range(10) for _ in range(count)]
    assert expected == reasons(result)


def test_a_strategy_that_ends_with_too_many_rows_is_named(gen):
    @strategy
    def doubling(session):
        session.fork([0, 0, 1, 1])
        yield from sample(session)

    generate = partial(gen.generate, ["a", "b"], strategy=doubling, max_new_tokens=2)
    said = "doubling ends with 2 rows of prompt 0, of which 1 completions are wanted"
    with pytest.raises(GenerationError, match=said) as caught:
        generate()

    assert [0, 1] == [one.prompt_index for one in caught.value.partial.completions]
    assert len(generate(num_return_sequences=2).completions) == 4


@pytest.mark.parametrize(("number", "said"), [(torch.nan, "NaN"), (-torch.inf, "no token")])
def test_logits_that_no_token_can_be_chosen_from_are_refused(gen, number, said):
    @strategy(rows_independent=True)
    def careless(session):
        yield session.append(session.choose(torch.full_like(session.next_logits(), number)))

    with pytest.raises(
        GenerationError, match=f"careless gave choose a row of prompt 0 with {said}"
    ):
        gen.generate("ab", strategy=careless)


def test_rows_and_scores_that_are_submitted_go_together(gen):
    @strategy(hold=None)
    def uneven(session):
        yield session.append([1])
        session.submit([0], [1.0, 2.0])

    with pytest.raises(GenerationError, match="submit was given 1 rows and 2 scores"):
        gen.generate("ab", strategy=uneven)
