"""Many calls on one engine: each is what it is alone, and nothing of it stays."""

import gc
import random
import threading
import weakref
from contextlib import suppress

import pytest
import torch

from gpt2sdk import (
    GenerationError,
    Generator,
    LogitsProcessor,
    TokenizerError,
    each,
    hookimpl,
    strategy,
)
from gpt2sdk.plugins.registry import Registry
from gpt2sdk.testing import Letters, TableModel

ALPHABET = "abcdefghij."
END = len(ALPHABET)


@strategy(hold=None)
def particles(session, *, count: int = 4):
    """Grow some rows of each prompt, and copy the better half at every step."""
    prompts = len(session.rows)
    session.fork([prompt for prompt in range(prompts) for _ in range(count)])
    scores = torch.zeros(len(session.rows))
    while session.running:
        logits = session.process(session.next_logits())
        tokens = session.choose(logits)
        gained = logits.log_softmax(-1).gather(1, tokens.clamp(min=0)[:, None])[:, 0]
        scores += gained.where(tokens >= 0, torch.zeros(()))
        yield session.append(tokens)
        order = scores.view(prompts, count).argsort(dim=1, descending=True, stable=True)
        better = order[:, : count // 2].repeat_interleave(2, 1)
        parents = (better + count * torch.arange(prompts)[:, None]).flatten()
        session.fork(parents)
        scores = scores[parents]
    session.submit(range(len(session.rows)), scores.tolist())


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


@pytest.fixture(scope="module")
def gen():
    letters = Letters(ALPHABET)
    model = TableModel(END + 1, order=3, bias={END: -3.0})
    return Generator(
        model, letters, decoder=letters, eos_token_ids=[END], registry=Registry([Plugin()])
    )


def some_call(chance):
    """Make up a call."""
    prompt = "".join(chance.choices(ALPHABET[:-1], k=chance.randint(1, 9)))
    options = {"seed": chance.randrange(1000), "max_new_tokens": chance.randint(1, 30)}
    options["eos_token_id"] = chance.choice(["model", None, [END, 2], 3])
    kind = chance.choice(["sample", "sample", "sample", "greedy", "beam", "particles"])
    if kind == "particles":
        options |= {"strategy": particles, "num_return_sequences": chance.randint(1, 3)}
    elif kind == "beam":
        options |= {"strategy": "beam", "num_beams": chance.randint(2, 4)}
    else:
        options |= {"strategy": kind, "num_return_sequences": chance.randint(1, 2)}
    if kind in ("sample", "particles"):
        more = {
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 5,
            "guidance_scale": 1.3,
            "repetition_penalty": 1.4,
        }
        options |= dict(chance.sample(sorted(more.items()), chance.randint(0, 3)))
    if kind == "sample":
        options |= chance.choice([{}, {"drafter": "prompt_lookup"}, {"sampler": "mirostat"}])
    if chance.random() < 0.3:
        options["stop"] = chance.sample(["ab", "c.", "jj"], 2)
    return prompt, options


def essence(result):
    return [(one.tokens, one.text, one.finish_reason, one.score) for one in result.completions]


def is_beginning(part, whole):
    return whole.tokens[: len(part.tokens)] == part.tokens


def test_two_hundred_calls_that_come_and_go_are_each_what_they_are_alone(gen):
    chance = random.Random(7)  # noqa: S311 - test data
    engine = gen.engine(batch_size=24)
    calls = [some_call(chance) for _ in range(200)]
    fused = {number for number in range(200) if chance.random() < 0.05}
    streams, cancelled = [], set()
    while len(streams) < len(calls) or engine.step():
        if len(streams) < len(calls) and chance.random() < 0.7:
            prompt, options = calls[len(streams)]
            fuse = {"fuse": 3} if len(streams) in fused else {}
            streams.append(gen.stream(prompt, engine=engine, **options, **fuse))
        else:
            engine.step()
        if streams and chance.random() < 0.02:
            number = chance.randrange(len(streams))
            streams[number].cancel()
            cancelled.add(number)

    for number, ((prompt, options), stream) in enumerate(zip(calls, streams, strict=True)):
        alone = gen.generate(prompt, **options)
        if number in fused:
            with suppress(GenerationError):
                list(stream)
                fused.remove(number)
        else:
            list(stream)
        made = stream.result.completions
        cut = {one.finish_reason for one in made} & {"cancelled", "error"}
        if cut:
            assert number in (cancelled if "cancelled" in cut else fused)
            if options["strategy"] in ("sample", "greedy"):
                pairs = zip(made, alone.completions, strict=True)
                assert all(is_beginning(part, whole) for part, whole in pairs)
        else:
            assert essence(alone) == essence(stream.result)
    assert len(fused) > 5
    assert len(cancelled) > 3


def test_calls_share_passes_whatever_their_strategies(gen):
    engine = gen.engine()
    before = gen.model.calls
    options = [
        {"strategy": "greedy"},
        {"strategy": "sample", "temperature": 0.7},
        {"strategy": "sample", "top_k": 3},
        {"strategy": "beam", "num_beams": 3, "early_stopping": "never"},
        {"strategy": particles},
    ]
    streams = [
        gen.stream("abc", engine=engine, max_new_tokens=20, eos_token_id=None, seed=1, **each)
        for each in options
    ]
    while engine.step():
        pass

    assert 20 == gen.model.calls - before
    assert [20] * 5 == [stream.result.usage.model_calls for stream in streams]


def test_reading_one_call_runs_the_others_along(gen):
    engine = gen.engine()
    first = gen.stream("abc", engine=engine, max_new_tokens=5, seed=1, eos_token_id=None)
    second = gen.stream("abd", engine=engine, max_new_tokens=5, seed=1, eos_token_id=None)
    list(first)
    calls = gen.model.calls

    assert gen.generate("abd", max_new_tokens=5, seed=1, eos_token_id=None).text == "".join(
        delta.text for delta in second
    )
    assert calls + 5 == gen.model.calls


def test_threads_share_an_engine(gen):
    engine = gen.engine(batch_size=4)
    texts = {}

    def run(number):
        result = gen.generate("abc", engine=engine, seed=number, max_new_tokens=20)
        texts[number] = result.text

    threads = [threading.Thread(target=run, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    alone = {n: gen.generate("abc", seed=n, max_new_tokens=20).text for n in range(8)}
    assert alone == texts


def test_a_failing_prompt_leaves_the_others_of_its_call_alone(gen):
    options = {"seed": 1, "max_new_tokens": 9, "eos_token_id": None}
    alone = gen.generate(["ab", "cd", "ef"], **options)
    stream = gen.stream(["ab", "cd", "ef"], fuse=each([None, 3, None]), **options)
    with pytest.raises(Exception, match="prompt 1"):
        list(stream)

    made = stream.result.completions
    assert ["length", "error", "length"] == [one.finish_reason for one in made]
    assert alone.texts[::2] == stream.result.texts[::2]
    assert alone.completions[1].tokens[:3] == made[1].tokens


def test_a_call_that_cannot_begin_leaves_an_engine_as_it_was(gen):
    engine = gen.engine()
    stream = gen.stream("abc", engine=engine, seed=1, max_new_tokens=5)
    with pytest.raises(TokenizerError):
        gen.stream("abc", engine=engine, bad_words=["é"])
    list(stream)

    assert essence(gen.generate("abc", seed=1, max_new_tokens=5)) == essence(stream.result)


def test_nothing_of_a_finished_request_stays(gen):
    engine = gen.engine(batch_size=8)
    gone = []
    for number in range(300):
        fresh = {"temperature": 0.5 + number / 1000, "guidance_scale": 1.1}
        stream = gen.stream("abc", engine=engine, max_new_tokens=2, seed=number, **fresh)
        gone.append(weakref.ref(stream._call._requests[0]))  # noqa: SLF001
        list(stream)
        del stream
    gc.collect()

    assert sum(ref() is not None for ref in gone) <= 1
    assert not engine.step()


def test_a_stream_that_is_dropped_on_the_way_is_cancelled(gen):
    engine = gen.engine()
    stream = gen.stream("abc", engine=engine, max_new_tokens=200, seed=1, eos_token_id=None)
    next(stream)
    del stream
    calls = gen.model.calls
    while engine.step():
        pass

    assert gen.model.calls <= calls + 1


def test_an_engine_cannot_be_asked_from_within(gen):
    engine = gen.engine()

    @strategy()
    def nested(session):
        """Ask for another call in the middle of a step."""
        yield session.append([0])
        gen.generate("ab", engine=engine, max_new_tokens=2)

    with pytest.raises(GenerationError, match="give the inner call its own one"):
        gen.generate("abc", engine=engine, strategy=nested, max_new_tokens=5)
    assert gen.generate("ab", engine=engine, max_new_tokens=2, seed=1).texts


@pytest.mark.parametrize("hold", [0, 2])
def test_calls_together_take_no_more_room_than_there_is(gen, hold):
    most = []

    @strategy(rows_independent=True, hold=hold)
    def watching(session):
        """Note how many rows are at work."""
        while session.running:
            logits = session.process(session.next_logits())
            most.append(sum(row.finish_reason is None for row in session.rows.records))
            yield session.append(session.choose(logits))

    engine = gen.engine(batch_size=5)
    prompts = ["ab", "cd", "ef", "gh", "ij", "ba", "dc"]
    options = {"engine": engine, "max_new_tokens": [3, 9, 4, 7, 2, 6, 5], "seed": 1}
    one = gen.stream(prompts, strategy=watching, **options)
    other = gen.stream(prompts, strategy="greedy", **options)
    rows = 0
    while engine.step():
        rows = max(rows, sum(each.course.live for each in engine._members))  # noqa: SLF001

    # Rows whose end may be taken back take up room, too.
    assert rows == 5 if hold == 0 else rows <= 5
    assert max(most) <= 5
    for stream, name in ((one, watching), (other, "greedy")):
        list(stream)
        alone = gen.generate(
            prompts, strategy=name, max_new_tokens=options["max_new_tokens"], seed=1
        )
        assert essence(alone) == essence(stream.result)


@pytest.mark.parametrize("shared", [True, False])
def test_an_end_may_be_taken_back_after_the_step_that_brought_it(gen, shared):
    @strategy(rows_independent=True, hold=1)
    def regretful(session):
        """Take each row's first end token back once the step is over."""
        regretted = session.per_row(lambda prompt: [], lambda value, token, logits: value)
        while session.running:
            yield session.append(session.choose(session.process(session.next_logits())))
            rows = session.rows.records
            backs = [
                int(row.finish_reason == "end_token" and not marks)
                for row, marks in zip(rows, regretted[session.rows], strict=True)
            ]
            for marks, back in zip(regretted[session.rows], backs, strict=True):
                marks.extend([back] * back)
            session.rewind(backs)

    prompts = ["ab", "cd", "ef", "gh"]
    options = {"strategy": regretful, "max_new_tokens": 40, "seed": 3, "eos_token_id": [0, 1, 2, 3]}
    engine = gen.engine(batch_size=2) if shared else None
    result = gen.generate(prompts, engine=engine, **options)

    for number, made in enumerate(result.completions):
        alone = gen.generate([prompts[number]], **{**options, "seed": [result.options["seed"]]})
        assert made.tokens
        assert number or alone.completions[0].tokens == made.tokens


@pytest.mark.parametrize("large", [{"num_return_sequences": 12}, {}], ids=["rows", "prompts"])
def test_a_large_call_does_not_hold_those_behind_it(gen, large):
    engine = gen.engine(batch_size=2)
    prompts = ["abc"] * (1 if large else 12)
    options = {"max_new_tokens": 4, "eos_token_id": None, "seed": 1}
    first = gen.stream(prompts, engine=engine, **options, **large)
    engine.step()
    late = [gen.stream("abd", engine=engine, **options) for _ in range(2)]
    for stream in late:
        list(stream)

    # Two of its rows had begun, and one more before each of the others, at most.
    assert len(first.result.completions) <= 4
    assert [essence(gen.generate("abd", **options))] * 2 == [essence(each.result) for each in late]
    list(first)
    assert len(first.result.completions) == 12


def test_batches_of_strategies_that_compare_rows_take_their_turns(gen):
    engine = gen.engine(batch_size=2)
    options = {"max_new_tokens": 4, "eos_token_id": None, "seed": 1, "strategy": particles}
    first = gen.stream(["abc"] * 12, engine=engine, **options)
    engine.step()
    late = gen.stream("abd", engine=engine, **options)
    list(late)

    assert len(first.result.completions) <= 6
    list(first)
    assert len(first.result.completions) == 12
