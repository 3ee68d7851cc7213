"""Prompts go on from what earlier calls read, and no result shows it."""

import gc
import random
import threading
import weakref
from contextlib import contextmanager
from dataclasses import astuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt2sdk import (
    CacheInfo,
    GenerationError,
    Generator,
    LogitsProcessor,
    OptionError,
    RecallableLM,
    hookimpl,
    strategy,
)
from gpt2sdk.plugins.registry import Registry
from gpt2sdk.testing import Letters, TableModel, tiny_gpt2, tiny_tokenizer

ALPHABET = "abcdefgh."
END = len(ALPHABET)
TOKEN = 8
"""Bytes of a token of a table model."""
LIMIT = 60 * TOKEN
BEGINNINGS = [
    "",
    "abcabcabcabcabcabcabca",
    "abcabcabcabcabcabcabcabcabcdefgdefg",
    "hhhhhhhhhhhhhhhhhhg",
]
STORY = "the dog and the cat and the dog and a cat"


class Fuse(LogitsProcessor):
    """Breaks a row that has grown so far."""

    fuse: int = 0

    def process(self, logits, rows):
        if any(row.grown >= self.fuse for row in rows.records):
            raise ZeroDivisionError("blown")
        return logits


class Plugin:
    @hookimpl
    def gpt2sdk_components(self):
        return (Fuse,)


@strategy(wants=[1])
def listening(session):
    """Write the likeliest tokens, having looked at the hidden states of all that was read."""
    history = session.hidden_history(1)
    while session.running:
        logits = session.next_logits()
        read = [len(lines) for lines in history[session.rows]]
        assert read == [len(row.tokens) for row in session.rows.records]
        yield session.append(logits.argmax(-1))


def tables(prefix_cache=None):
    letters = Letters(ALPHABET)
    model = TableModel(END + 1, order=30, bias={END: -3.0})
    return Generator(
        model,
        letters,
        decoder=letters,
        eos_token_ids=[END],
        registry=Registry([Plugin()]),
        prefix_cache=prefix_cache,
    )


def networks(prefix_cache=None, model=None):
    return Generator(model or tiny_gpt2(), tiny_tokenizer(), prefix_cache=prefix_cache)


PLAIN = tables()


def chances(seed):
    """Return what makes up a call, the same one for the same seed."""
    return random.Random(seed)  # noqa: S311 - test data


def said(result):
    """All that a call said but for what it cost."""
    return [
        (one.tokens, one.text, one.finish_reason, one.score, one.logprobs)
        for one in result.completions
    ]


def prompt(chance):
    beginning = chance.choice(BEGINNINGS)
    return beginning + "".join(chance.choices(ALPHABET[:-1], k=chance.randint(1, 25)))


def options(chance):
    """Options of some call."""
    made = {"seed": chance.randrange(1000), "max_new_tokens": chance.randint(1, 12), "logprobs": 1}
    more = [
        {"num_return_sequences": 3},
        {"strategy": "beam", "num_beams": 3},
        {"guidance_scale": 1.3, "negative_prompt": chance.choice(BEGINNINGS[1:])},
        {"drafter": "prompt_lookup", "temperature": 0.3},
        {"strategy": "greedy", "stop": ["ab"]},
        {"sampler": "mirostat"},
    ]
    return made | chance.choice(more)


def generates(gen, chance):
    prompts = [prompt(chance) for _ in range(chance.randint(1, 5))]
    return said(gen.generate(prompts, batch_size=chance.randint(1, 5), **options(chance)))


def is_cancelled(gen, chance):
    stream = gen.stream(prompt(chance), **options(chance))
    for _ in range(chance.randint(0, 5)):
        next(stream, None)
    stream.cancel()
    for _ in stream:
        pass


def fails(gen, chance):
    asked = [prompt(chance), prompt(chance)]
    try:
        gen.generate(asked, seed=chance.randrange(9), max_new_tokens=9, fuse=chance.randint(1, 5))
    except GenerationError as error:
        return said(error.partial)


def chooses(gen, chance):
    return gen.choose([prompt(chance), prompt(chance)], ["ab", "abc", "h", "hg"]).copy()


def scores(gen, chance):
    texts = [f"{prompt(chance)}a" for _ in range(3)]
    return gen.score(texts, context=prompt(chance)), gen.score(texts, window=9)


def peeks(gen, chance):
    return gen.next_token([prompt(chance), prompt(chance)], n=3)


KINDS = [generates, generates, generates, is_cancelled, fails, chooses, scores, peeks]


@settings(max_examples=25)
@given(st.randoms(use_true_random=False), st.sampled_from([TOKEN, LIMIT, 10**6]))
def test_calls_that_share_beginnings_say_what_they_say_without_a_cache(chance, limit):
    gen = tables(prefix_cache=limit)
    for _ in range(6):
        kind, seed = chance.choice(KINDS), chance.random()

        assert kind(gen, chances(seed)) == kind(PLAIN, chances(seed))
        assert gen.cache_info().nbytes <= limit


def test_calls_of_a_shared_engine_say_what_they_say_alone():
    gen, chance = tables(), chances(1)
    engine = gen.engine(batch_size=4)
    calls = [(prompt(chance), options(chance)) for _ in range(24)]
    streams = [gen.stream(text, engine=engine, **asked) for text, asked in calls]
    for stream in reversed(streams):
        for _ in stream:
            pass

    for (text, asked), stream in zip(calls, streams, strict=True):
        assert said(stream.result) == said(PLAIN.generate(text, **asked))
    assert gen.cache_info().tokens_saved > 200


def test_samples_of_a_prompt_feed_it_once():
    for asked in ({"num_return_sequences": 8}, {"strategy": "beam", "num_beams": 8}):
        gen = tables()
        usage = gen.generate("abcdefgh" * 5, max_new_tokens=6, eos_token_id=None, **asked).usage

        assert usage.tokens_fed == 40 + 8 * 5
        assert gen.model.tokens_fed == usage.tokens_fed


def test_a_conversation_feeds_what_is_new_of_it():
    gen = tables(prefix_cache=10**6)
    told = "abcabcabcabc"
    fed = []
    for turn in ("a.", "b.", "gh."):
        result = gen.generate(told + turn, seed=3, max_new_tokens=10, eos_token_id=None)
        told += turn + result.completions[0].text
        fed.append(result.usage.tokens_fed)

    # All that was new, the last answer's last token included, and nine of the ten written.
    assert fed == [14 + 9, 1 + 2 + 9, 1 + 3 + 9]
    info = gen.cache_info()
    assert (info.hits, info.misses, info.tokens_saved) == (2, 1, 23 + 35)


def test_prompts_of_one_call_read_what_they_begin_with_once():
    shots = "abcdefgh" * 10
    questions = [shots + each for each in ("a.", "bb.", "bbc.", "h.")]
    given = {"max_new_tokens": 5, "eos_token_id": None, "seed": 0}
    gen = tables(prefix_cache=10**6)
    result = gen.generate(questions, **given)

    assert said(result) == said(PLAIN.generate(questions, **given))
    assert result.usage.tokens_fed == 80 + 2 + 3 + 4 + 2 + 4 * 4
    assert result.usage.model_calls == 6


def test_prompts_that_are_the_same_read_all_but_the_last_token_once():
    gen = tables(prefix_cache=10**6)
    result = gen.generate(["abcdefgh" * 4] * 3, max_new_tokens=1)

    assert result.usage.tokens_fed == 32 + 1 + 1


def test_nobody_waits_where_the_cache_is_too_small_for_what_they_share():
    shots = "abcdefgh" * 10
    questions = [shots + each for each in ALPHABET[:-1]]
    gen = tables(prefix_cache=3)
    result = gen.generate(questions, max_new_tokens=1)

    assert (result.usage.model_calls, gen.cache_info().tokens) == (2, 0)


def test_single_calls_keep_nothing_unless_a_size_is_given_and_engines_do():
    gen = tables()
    gen.generate("abcabc", max_new_tokens=3)
    gen.choose("abcabc", ["a", "b"])
    assert gen.cache_info() == CacheInfo(limit=256_000_000)
    gen.generate("abcabc", max_new_tokens=3, engine=gen.engine(prefix_cache=False))
    assert gen.cache_info() == CacheInfo(limit=256_000_000)

    gen.generate("abcabc", max_new_tokens=3, engine=gen.engine())
    gen.generate("abcabc", max_new_tokens=3, engine=gen.engine())
    info = gen.cache_info()
    assert (info.hits, info.misses, info.tokens_saved) == (1, 1, 5)


def test_a_cache_of_no_bytes_is_none():
    gen = tables(prefix_cache=0)
    for _ in range(2):
        gen.generate("abcabc", max_new_tokens=3, engine=gen.engine())

    assert gen.cache_info() == CacheInfo()
    gen.clear_cache()


@pytest.mark.parametrize("size", ["256", "much", -1, True, "10%"])
def test_what_is_no_size_is_refused(size):
    with pytest.raises(OptionError, match=r"prefix_cache.*or 0 for none") as raised:
        tables(prefix_cache=size)

    assert raised.value.name == "prefix_cache"


def test_a_wrong_size_is_refused_before_anything_is_loaded():
    with pytest.raises(OptionError, match="prefix_cache"):
        Generator.from_pretrained("/nowhere", prefix_cache="much")


def test_a_model_that_does_not_say_what_its_cache_comes_of_is_not_cached():
    class Silent:
        """Hides what a table model has beyond a `CausalLM`."""

        def __init__(self):
            model = TableModel(END + 1, order=3)
            for name in ("vocab_size", "context_length", "layers", "device"):
                setattr(self, name, getattr(model, name))
            self.make_cache, self.score = model.make_cache, model.score

    model, letters = Silent(), Letters(ALPHABET)
    gen = Generator(model, letters, decoder=letters, eos_token_ids=[END], prefix_cache=10**6)
    for _ in range(2):
        gen.generate(["abcabc" * 9, "abcabc" * 9], max_new_tokens=3)
        gen.choose("abcabc", ["a", "b"])

    assert not isinstance(model, RecallableLM)
    assert gen.cache_info() == CacheInfo(limit=10**6)


@pytest.mark.parametrize("prepares", [False, True])
def test_written_weights_are_not_mixed_with_what_was_read_before(prepares):
    gen = networks(prefix_cache=10**6)
    if prepares:
        gen.model.prepare()
    for change in (
        lambda model: model.wpe.weight.add_(0.3),
        lambda model: model.h[0].ln_1.bias.sub_(0.5),
        lambda model: model.train().h[1].mlp.c_fc.weight.mul_(2),
        lambda model: model.eval().load_state_dict(tiny_gpt2(5).state_dict()),
    ):
        gen.generate(STORY, max_new_tokens=4, strategy="greedy")
        with torch.no_grad():
            change(gen.model)
        fresh = networks(model=gen.model).choose(STORY, [" and", " dog"])

        hits = gen.cache_info().hits

        assert gen.choose(STORY, [" and", " dog"]).logprobs == fresh.logprobs
        assert gen.cache_info().hits == hits


def test_a_patched_model_neither_finds_nor_leaves_anything():
    gen = networks(prefix_cache=10**6)
    plain = gen.choose(STORY, [" and", " dog"])
    before = gen.cache_info()
    with gen.model.patch("h.0.mlp", torch.zeros_like):
        patched = gen.choose(STORY, [" and", " dog"])
        gen.generate(STORY + " and a dog", max_new_tokens=4)
        assert patched.logprobs != plain.logprobs
        assert gen.cache_info() == before
    after = gen.choose(STORY, [" and", " dog"])

    torch.testing.assert_close(after.logprobs, plain.logprobs)


def test_a_row_that_was_patched_on_its_way_leaves_only_what_it_read_before():
    gen = networks(prefix_cache=10**6)
    engine = gen.engine()
    stream = gen.stream(STORY, engine=engine, max_new_tokens=9, strategy="greedy")
    next(stream)
    read = gen.cache_info().tokens
    with gen.model.patch("h.0.mlp", torch.zeros_like):
        next(stream)
    for _ in stream:
        pass

    assert read == len(gen.tokenizer.encode(STORY))
    assert gen.cache_info().tokens == read


def test_a_capture_sees_every_token():
    gen = networks(prefix_cache=10**6)
    gen.generate(STORY, max_new_tokens=1)
    with gen.model.capture("h.1") as seen:
        gen.generate(STORY, max_new_tokens=1)

    assert [len(each) for each in seen["h.1"]] == [len(gen.tokenizer.encode(STORY))]


def test_who_wants_the_hidden_states_of_all_that_is_read_gets_them():
    gen = tables(prefix_cache=10**6)
    for _ in range(2):
        usage = gen.generate("abcabcabc", strategy=listening, max_new_tokens=4).usage

    assert usage.tokens_fed >= 9
    assert gen.cache_info().hits == 0


def test_memory_is_given_back():
    gen = networks(prefix_cache=10**6)
    gen.generate(STORY, max_new_tokens=4)
    nodes = list(gen.prefixes._nodes)  # noqa: SLF001 - nobody else has the memory
    held = [weakref.ref(tensor) for node in nodes for tensor in node.held]
    del nodes
    assert all(each() is not None for each in held)
    gen.clear_cache()
    gc.collect()

    assert [each() for each in held] == [None] * len(held)


@contextmanager
def running(work, count):
    """Run something in threads, and raise what it raises."""
    errors = []

    def guarded(number):
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001 - it is raised below
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=[number]) for number in range(count)]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_threads_share_one_cache_and_keep_within_its_limit():
    gen = tables(prefix_cache=LIMIT)

    def work(number):
        chance = chances(number)
        for _ in range(8):
            kind, seed = chance.choice([generates, chooses, peeks]), chance.random()
            with lock:
                expected = kind(PLAIN, chances(seed))
            assert kind(gen, chances(seed)) == expected
            assert gen.cache_info().nbytes <= LIMIT

    lock = threading.Lock()
    with running(work, 4):
        for _ in range(50):
            gen.clear_cache()


def test_no_field_of_the_information_is_left_out():
    gen = tables(prefix_cache=LIMIT)
    for _ in range(2):
        gen.generate("abcabc", max_new_tokens=3, seed=0, eos_token_id=None)

    assert astuple(gen.cache_info()) == (LIMIT, 8 * TOKEN, 8, 2, 1, 1, 5)
