"""Text in, text out."""

import inspect
import re
import threading

import numpy as np
import pytest
import torch

from gpt2sdk import (
    ContextOverflowError,
    GenerationError,
    Generator,
    LogitsProcessor,
    OptionError,
    PluginContractError,
    Strategy,
    TokenizerError,
    each,
    hookimpl,
    sample,
    strategy,
)
from gpt2sdk.plugins.registry import Registry
from gpt2sdk.session.checks import whole_numbers
from gpt2sdk.testing import Letters, TableModel

END = 27


def generator(*plugins, **model):
    registry = Registry(plugins, discover=False)
    letters = Letters()
    return Generator(
        TableModel(bias={END: -1.0}, **model),
        letters,
        decoder=letters,
        eos_token_ids=[END],
        registry=registry,
    )


@pytest.fixture(scope="module")
def gen():
    return generator()


def test_one_prompt_gives_one_completion(gen):
    result = gen.generate("once upon", max_new_tokens=12, seed=1)

    (completion,) = result.completions
    assert result.text == completion.text == gen.tokenizer.decode(completion.tokens)
    assert result.usage.prompt_tokens == 9
    assert result.usage.new_tokens == len(completion.tokens)
    assert result.options["seed"] == 1


def test_prompts_may_be_text_or_tokens_and_several(gen):
    text = gen.generate("ab", max_new_tokens=5, seed=3).text
    tokens = gen.generate([0, 1], max_new_tokens=5, seed=3).text
    both = gen.generate(["ab", [0, 1]], max_new_tokens=5, seed=[3, 3]).texts

    assert both == [text, tokens] == [text, text]


def test_the_same_seed_gives_the_same_text_and_another_one_another(gen):
    first, again, other = (gen.generate("a", max_new_tokens=20, seed=s).text for s in (1, 1, 2))

    assert first == again != other


def test_a_drawn_seed_is_recorded_and_repeats_the_call(gen):
    result = gen.generate("a", max_new_tokens=20)

    assert gen.generate("a", max_new_tokens=20, seed=result.options["seed"]).text == result.text


def test_joined_deltas_are_the_text(gen):
    stream = gen.stream(["ab", "c"], max_new_tokens=15, num_return_sequences=3, seed=4)
    texts, tokens = {}, {}
    for delta in stream:
        place = delta.prompt_index, delta.sample_index
        texts[place] = texts.get(place, "") + delta.text
        tokens[place] = (*tokens.get(place, ()), *delta.tokens)
    result = gen.generate(["ab", "c"], max_new_tokens=15, num_return_sequences=3, seed=4)

    assert list(texts.values()) != []
    assert sorted(texts) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert [texts[each.prompt_index, each.sample_index] for each in result.completions] == (
        result.texts
    )
    assert [tokens[each.prompt_index, each.sample_index] for each in result.completions] == [
        each.tokens for each in result.completions
    ]
    assert stream.result.completions == result.completions


def test_samples_of_a_prompt_differ_and_share_one_prefill(gen):
    gen.model.tokens_fed = 0
    result = gen.generate("abcdefgh", max_new_tokens=1, num_return_sequences=20, seed=1)

    assert len(set(result.texts)) > 3
    assert result.usage.tokens_fed == gen.model.tokens_fed == 8


def test_refilling_changes_nothing(gen):
    prompts = ["a", "bcd", "ef", "g", "hij", "k", "lm"]
    together = gen.generate(prompts, max_new_tokens=each([3, 9, 5, 20, 1, 7, 2]), seed=5)
    refilled = gen.generate(
        prompts, max_new_tokens=each([3, 9, 5, 20, 1, 7, 2]), seed=5, batch_size=2
    )

    assert together.completions == refilled.completions
    assert refilled.usage.model_calls > together.usage.model_calls


def test_an_end_token_ends_the_text_and_stays_among_the_tokens():
    result = generator(scale=0.0).generate("a", max_new_tokens=100, seed=1)

    assert result.completions[0].finish_reason == "end_token"
    assert result.completions[0].tokens[-1] == END
    assert len(result.text) == len(result.completions[0].tokens) - 1


def test_end_tokens_can_be_switched_off():
    result = generator(scale=0.0).generate("a", max_new_tokens=100, seed=1, eos_token_id=None)

    assert result.completions[0].finish_reason == "length"


def test_without_a_length_a_row_grows_as_far_as_fits():
    short = generator(context_length=10).generate("abc", eos_token_id=None)
    long = generator().generate("abc", eos_token_id=None)

    assert len(short.completions[0].tokens) == 8
    assert len(long.completions[0].tokens) == 128


def test_a_full_row_slides_on():
    gen = generator(context_length=8)
    result = gen.generate("abc", max_new_tokens=30, overflow="slide", seed=1, eos_token_id=None)
    wide = generator().generate("abc", max_new_tokens=30, seed=1, eos_token_id=None)

    assert result.completions == wide.completions


@pytest.mark.parametrize(
    ("prompt", "options", "error", "said"),
    [
        ("", {}, OptionError, "prompt 0 is empty: expected at least one token"),
        ([], {}, OptionError, "there is no prompt"),
        (["a", ""], {}, OptionError, "prompt 1 is empty"),
        ([1, 28], {}, OptionError, "prompt 0 has token id 28, expected 0 to 27"),
        ([[1], [-1]], {}, OptionError, "prompt 1 has token id -1"),
        ("Ä", {}, TokenizerError, "expected characters of"),
        ("a" * 300, {}, ContextOverflowError, "prompt 0 has 300 tokens, but the window is 256"),
        ("a", {"max_new_tokens": 257}, ContextOverflowError, "may grow by 257"),
        ("a", {"max_new_tokens": 0}, OptionError, "max_new_tokens"),
        ("a", {"eos_token_id": 28}, OptionError, "eos_token_id 28 is no token"),
        ("a", {"max_new_token": 5}, OptionError, "max_new_tokens"),
    ],
)
def test_bad_input_is_a_one_line_error_before_any_work(gen, prompt, options, error, said):
    calls = gen.model.calls

    with pytest.raises(error, match=said) as caught:
        gen.generate(prompt, **options)
    with pytest.raises(error):
        gen.stream(prompt, **options)
    assert "\n" not in str(caught.value)
    assert gen.model.calls == calls


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_ids": [5]}, "there is no option input_ids: the prompt is the first argument: a"),
        ({"inputs_embeds": 1}, "there is no option inputs_embeds: there is no built-in prompt of"),
        ({"seed": 1}, " has no prompt: the prompt is the first argument: a text, a list"),
        ({}, " has no prompt: the prompt is the first argument: a text, a list of token ids, or"),
    ],
)
@pytest.mark.parametrize("method", ["generate", "stream"])
def test_a_call_without_a_prompt_is_told_where_it_stands(gen, method, options, message):
    with pytest.raises(OptionError, match=re.escape(message)):
        getattr(gen, method)(cancel=None, **options)


def test_the_whole_call_is_checked_before_any_of_it_runs(gen):
    calls = gen.model.calls

    with pytest.raises(ContextOverflowError, match="prompt 39 has 300 tokens"):
        gen.generate([*["a"] * 39, "a" * 300], batch_size=2)
    assert gen.model.calls == calls


class Fails(LogitsProcessor):
    """Raises as soon as a row has so many tokens."""

    fail_at: int = 0

    def process(self, logits, rows):
        if int(rows.lengths.max()) == self.fail_at:
            message = "enough"
            raise RuntimeError(message)
        return logits


def test_a_failure_names_the_component_and_hands_over_what_was_made(gen):
    chain = [Fails(fail_at=6)]

    with pytest.raises(
        GenerationError, match="step 4: fails raised RuntimeError: enough"
    ) as caught:
        gen.generate("ab", processors=chain, max_new_tokens=10, seed=1, eos_token_id=None)
    partial = caught.value.partial
    whole = gen.generate("ab", max_new_tokens=10, seed=1, eos_token_id=None)
    assert partial.completions[0].finish_reason == "error"
    assert partial.text == whole.text[:4]
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_failing_strategy_is_no_component(gen):
    @strategy()
    def stumbles(session):
        yield session.append([1])
        raise KeyError("lost")

    with pytest.raises(GenerationError, match="KeyError: 'lost'") as caught:
        gen.generate("ab", strategy=stumbles, max_new_tokens=10)
    assert (caught.value.component, caught.value.partial.text) == ("stumbles", "b")


def test_a_stream_can_be_cancelled_from_another_thread(gen):
    stream = gen.stream("ab", max_new_tokens=200, seed=1, eos_token_id=None)
    text = next(stream).text
    thread = threading.Thread(target=stream.cancel)
    thread.start()
    thread.join()
    text += "".join(delta.text for delta in stream)

    (completion,) = stream.result.completions
    assert completion.finish_reason == "cancelled"
    assert completion.text == text
    assert 1 <= len(completion.tokens) < 200


def test_a_stream_that_is_closed_keeps_what_was_made(gen):
    with gen.stream("ab", max_new_tokens=200, seed=1, eos_token_id=None) as stream:
        text = next(stream).text

    (completion,) = stream.result.completions
    assert completion.finish_reason == "cancelled"
    assert completion.text.startswith(text)
    stream.close()
    assert (completion,) == stream.result.completions


def test_generate_can_be_cancelled_and_keeps_what_was_finished(gen):
    cancel = threading.Event()

    @strategy(rows_independent=True)
    def cancelling(session):
        for number, step in enumerate(sample(session)):
            if number == 4:
                cancel.set()
            yield step

    result = gen.generate(
        ["a", "b", "c"],
        strategy=cancelling,
        max_new_tokens=each([2, 200, 200]),
        batch_size=2,
        seed=1,
        cancel=cancel,
        eos_token_id=None,
    )

    reasons = [(each.prompt_index, each.finish_reason) for each in result.completions]
    assert reasons == [(0, "length"), (1, "cancelled"), (2, "cancelled")]
    assert result.options["seed"] == 1


def test_an_interruption_from_the_keyboard_returns_what_was_made(gen):
    @strategy()
    def interrupted(session):
        for number, step in enumerate(sample(session)):
            if number == 3:
                raise KeyboardInterrupt
            yield step

    result = gen.generate("a", strategy=interrupted, max_new_tokens=50, seed=1, eos_token_id=None)

    assert result.completions[0].finish_reason == "cancelled"
    assert len(result.completions[0].tokens) == 4


def test_observers_see_sessions_and_results_and_cannot_break_them():
    seen = []

    class Watching:
        @hookimpl
        def gpt2sdk_generation_started(self, session):
            seen.append(len(session.rows))

        @hookimpl
        def gpt2sdk_generation_finished(self, result):
            seen.append(result)

    class Clumsy:
        @hookimpl
        def gpt2sdk_generation_started(self, session):
            raise RuntimeError

    watched = generator(Watching(), Clumsy())
    result = watched.generate(["a", "b"], max_new_tokens=3, seed=1)

    assert seen == [2, result]


def test_dependent_rows_are_taken_a_batch_at_a_time(gen):
    sizes = []

    @strategy()
    def counting(session):
        sizes.append(len(session.rows))
        yield from sample(session)

    result = gen.generate(list("abcde"), strategy=counting, max_new_tokens=3, seed=1, batch_size=2)
    alone = gen.generate(list("abcde"), max_new_tokens=3, seed=1)

    assert sizes == [2, 2, 1]
    assert result.completions == alone.completions


def test_a_strategy_that_forgot_to_yield_is_named(gen):
    class Forgetful(Strategy):
        def decode(self, session):
            session.append([1])

    with pytest.raises(GenerationError, match="forgetful returned NoneType, expected a generator"):
        gen.generate("a", strategy=Forgetful())


def test_fewer_completions_than_wanted_are_an_error_with_what_was_made(gen):
    @strategy
    def alone(session):
        yield from sample(session)

    with pytest.raises(
        GenerationError, match="alone grew 1 of 2 completions of prompt 0"
    ) as caught:
        gen.generate("a", strategy=alone, num_return_sequences=2, max_new_tokens=3)
    assert len(caught.value.partial.completions) == 1


@pytest.mark.parametrize("tokens", [[0.5], torch.tensor([[1]]), torch.tensor(1)])
def test_verbs_take_whole_numbers_along_one_axis(tokens):
    unchecked = inspect.unwrap(whole_numbers)

    with pytest.raises(PluginContractError, match=r"append was given .*, expected whole numbers"):
        unchecked(tokens, "append")


def test_tensors_and_arrays_of_token_ids_are_prompts(gen):
    one = gen.generate([1, 2], max_new_tokens=5, seed=1).text
    two = gen.generate(torch.tensor([[1, 2], [1, 2]]), max_new_tokens=5, seed=[1, 1]).texts

    assert gen.generate(np.array([1, 2]), max_new_tokens=5, seed=1).text == one
    assert two == [one, one]


def test_the_length_in_force_is_recorded(gen):
    result = gen.generate(["a", "a" * 250], seed=1)

    assert result.options["max_new_tokens"] == [128, 7]


def test_what_a_call_would_run_can_be_asked(gen):
    names = [part.name for part in gen.explain(max_new_tokens=3).components]

    assert names == ["sample", "multinomial"]


def test_two_calls_interleaved_do_not_touch_each_other(gen):
    alone = [gen.generate("ab", max_new_tokens=20, seed=s).text for s in (1, 2)]
    streams = [gen.stream("ab", max_new_tokens=20, seed=s) for s in (1, 2)]
    texts = ["", ""]
    for _ in range(25):
        for place, stream in enumerate(streams):
            delta = next(stream, None)
            texts[place] += delta.text if delta else ""

    assert texts == alone


def test_a_stream_says_that_it_is_to_be_read_before_its_text_is_there(gen):
    stream = gen.stream("once", max_new_tokens=4, seed=1)
    for _ in range(2):
        for what in ("text", "parsed"):
            with pytest.raises(OptionError, match="read the stream to its end first"):
                getattr(stream.result, what)
        next(stream)

    assert [] == stream.result.texts
    list(stream)
    assert gen.generate("once", max_new_tokens=4, seed=1).text == stream.result.text


def test_a_closed_stream_has_the_text_that_was_made(gen):
    stream = gen.stream("once", max_new_tokens=50, seed=1)
    first = next(stream)
    stream.close()

    assert stream.result.text.startswith(first.text)


def test_of_several_completions_none_is_the_only_one(gen):
    result = gen.generate("once", num_return_sequences=2, max_new_tokens=2)

    with pytest.raises(OptionError, match=r"there are 2 completions, not one: read \.texts"):
        _ = result.text
