"""Calls in event loops: each is what it is alone, and nothing of it stays."""

import asyncio
import gc
import threading
import time

import pytest

from gpt2sdk import ContextOverflowError, GenerationError, Generator, LogitsProcessor, OptionError
from gpt2sdk.plugins.registry import Registry
from gpt2sdk.testing import Letters, TableModel

ALPHABET = "abcdefghij."
END = len(ALPHABET)


class Fuse(LogitsProcessor):
    """Breaks a row that has grown so far."""

    fuse: int = 0

    def process(self, logits, rows):
        if any(row.grown >= self.fuse for row in rows.records):
            raise ZeroDivisionError("blown")
        return logits


@pytest.fixture(autouse=True)
def nothing_is_left_running():
    yield
    wait_until_nothing_runs()


@pytest.fixture(scope="module")
def gen():
    letters = Letters(ALPHABET)
    model = TableModel(END + 1, order=3, context_length=200, bias={END: -3.0})
    return Generator(model, letters, decoder=letters, eos_token_ids=[END], registry=Registry())


def drivers():
    return [each for each in threading.enumerate() if each.name == "gpt2sdk-engine"]


def wait_until_nothing_runs():
    begun = time.monotonic()
    while drivers():
        assert time.monotonic() - begun < 20
        time.sleep(0.005)


def endless(seed=0, **options):
    return {"max_new_tokens": 40, "eos_token_id": None, "seed": seed, **options}


def reasons(result):
    return [each.finish_reason for each in result.completions]


def test_calls_share_passes_and_are_what_they_are_alone(gen):
    calls = [
        ("abc", endless(1)),
        ("d", endless(2, temperature=0.7, max_new_tokens=13)),
        (["fe", "gabi"], endless(3, strategy="beam", num_beams=3)),
        ("hi", {"max_new_tokens": 30, "seed": 4, "stop": ["a"]}),
    ]

    async def together():
        return await asyncio.gather(
            *(gen.agenerate(prompt, **options) for prompt, options in calls)
        )

    results = asyncio.run(together())
    alone = [gen.generate(prompt, **options) for prompt, options in calls]

    assert [each.texts for each in results] == [each.texts for each in alone]
    assert list(map(reasons, results)) == list(map(reasons, alone))


def test_a_streams_deltas_join_to_the_text(gen):
    async def read():
        stream = gen.astream(["abc", "d"], **endless(6))
        texts = ["", ""]
        async for delta in stream:
            texts[delta.prompt_index] += delta.text
        return texts, stream.result

    texts, result = asyncio.run(read())

    assert texts == gen.generate(["abc", "d"], **endless(6)).texts
    assert result.texts == texts


def test_bad_input_is_refused_where_the_stream_is_entered(gen):
    async def enter(prompt, **options):
        async with gen.astream(prompt, **options):
            pytest.fail("entered")

    with pytest.raises(OptionError, match="top_k"):
        asyncio.run(enter("abc", top_k=-1))
    with pytest.raises(ContextOverflowError):
        asyncio.run(enter("abc" * 100))
    with pytest.raises(OptionError, match="batch_size is the engine's"):
        asyncio.run(gen.agenerate("abc", batch_size=3))
    with pytest.raises(OptionError, match="has no prompt"):
        gen.astream()


def test_a_failure_is_its_own_calls_and_hands_over_what_was_made(gen):
    async def together():
        return await asyncio.gather(
            gen.agenerate("abc", **endless(1)),
            gen.agenerate("abc", processors=[Fuse(fuse=5)], **endless(1)),
            return_exceptions=True,
        )

    good, bad = asyncio.run(together())

    assert isinstance(bad, GenerationError)
    assert len(bad.partial.completions[0].tokens) == 5
    assert good.text == gen.generate("abc", **endless(1)).text


def test_leaving_a_stream_ends_its_call_and_keeps_what_it_made(gen):
    async def leave():
        async with gen.astream("abc", **endless(1, max_new_tokens=190)) as stream:
            async for _ in stream:
                break
        return stream.result

    (completion,) = asyncio.run(leave()).completions
    whole = gen.generate("abc", **endless(1, max_new_tokens=190)).completions[0]

    assert completion.finish_reason == "cancelled"
    assert 0 < len(completion.tokens) < len(whole.tokens)
    assert whole.tokens[: len(completion.tokens)] == completion.tokens


def test_cancelling_the_task_that_waits_ends_its_call(gen):
    engine = gen.engine()

    async def cancel():
        options = endless(1, max_new_tokens=190)
        task = asyncio.create_task(gen.agenerate("abc", engine=engine, **options))
        await anext(gen.astream("abc", engine=engine, **options))  # both run, or the first did
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    wait_until_nothing_runs()
    assert (engine.rows, engine.waiting) == (0, 0)


def test_the_event_that_cancels_returns_what_was_made(gen):
    async def cancel():
        event = threading.Event()
        task = asyncio.create_task(gen.agenerate("abc", cancel=event, **endless(1)))
        await asyncio.sleep(0)
        event.set()
        return await task

    assert reasons(asyncio.run(cancel())) == ["cancelled"]


def test_a_stream_that_nobody_has_any_more_is_cancelled(gen):
    async def forget():
        stream = gen.astream("abc", **endless(1, max_new_tokens=190))
        await anext(stream)
        del stream
        gc.collect()

    asyncio.run(forget())


def test_a_loop_that_was_closed_is_not_waited_for(gen):
    async def begin():
        await anext(gen.astream("abc", **endless(1, max_new_tokens=190)))

    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin())
    loop.close()


def test_loops_of_several_threads_share_the_engine(gen):
    results = {}

    def run(seed):
        results[seed] = asyncio.run(gen.agenerate("abc", **endless(seed))).text

    threads = [threading.Thread(target=run, args=[seed]) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert results == {seed: gen.generate("abc", **endless(seed)).text for seed in range(6)}


def test_threads_and_tasks_share_an_engine_that_both_are_given(gen):
    engine = gen.engine(batch_size=4)
    results = {}

    def run(seed):
        results[seed] = gen.generate("abc", engine=engine, **endless(seed)).text

    async def await_others():
        return await asyncio.gather(
            *(gen.agenerate("abc", engine=engine, **endless(seed)) for seed in range(4))
        )

    threads = [threading.Thread(target=run, args=[seed]) for seed in range(4)]
    for thread in threads:
        thread.start()
    awaited = asyncio.run(await_others())
    for thread in threads:
        thread.join(60)

    assert results == {seed: each.text for seed, each in enumerate(awaited)}
    assert (engine.rows, engine.waiting) == (0, 0)


def test_what_a_stream_has_made_is_not_asked_for_before_it_begins(gen):
    with pytest.raises(Exception, match="no result yet"):
        _ = gen.astream("abc").result


def test_a_loop_is_woken_once_for_all_calls_that_a_step_brought_on(gen, monkeypatch):
    async def woken(count):
        loop, times = asyncio.get_running_loop(), []
        wake = loop.call_soon_threadsafe

        def counted(call, *arguments, **more):
            if "_wake" in call.__name__:
                times.append(call)
            return wake(call, *arguments, **more)

        monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
        fixed = {"max_new_tokens": 40, "eos_token_id": None, "engine": gen.engine()}
        calls = [gen.agenerate("abc", seed=number, **fixed) for number in range(count)]
        await asyncio.gather(*calls)
        return len(times)

    # Each is told that it was taken, and then of all its steps.
    assert asyncio.run(woken(8)) < 8 + 3 * 40


def test_two_tasks_that_read_one_stream_begin_it_once(gen):
    async def read():
        stream = gen.astream("abc", **endless(1))
        pieces = []

        async def some():
            async for delta in stream:
                pieces.append(delta.text)
                await asyncio.sleep(0)

        await asyncio.gather(some(), some())
        return "".join(pieces), stream.result

    text, result = asyncio.run(read())

    assert text == result.text == gen.generate("abc", **endless(1)).text


def test_what_was_made_is_told_while_another_thread_has_the_engine(gen):
    engine, found, held, told = gen.engine(), [], threading.Event(), threading.Event()
    stream = gen.stream("abc", engine=engine, **endless(1))
    next(stream)

    def hold():
        with engine.lock:
            held.set()
            told.wait(20)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(20)
    reader = threading.Thread(target=lambda: found.append(stream.result), daemon=True)
    reader.start()
    reader.join(20)
    told.set()
    holder.join(20)

    assert len(found) == 1
    stream.close()


class Walkout(LogitsProcessor):
    """Ends its thread, as `sys.exit` does."""

    fuse: int = 0

    def process(self, logits, rows):
        if any(row.grown >= self.fuse for row in rows.records):
            raise SystemExit(3)
        return logits


def test_a_component_that_exits_ends_what_runs_and_the_engine_goes_on(gen):
    engine = gen.engine()

    async def exit_and_go_on():
        with pytest.raises(SystemExit):
            await gen.agenerate("abc", engine=engine, processors=[Walkout(fuse=3)], **endless(1))
        assert (engine.rows, engine.waiting) == (0, 0)
        return await gen.agenerate("abc", engine=engine, **endless(1))

    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(exit_and_go_on()).text == gen.generate("abc", **endless(1)).text
    loop.close()
