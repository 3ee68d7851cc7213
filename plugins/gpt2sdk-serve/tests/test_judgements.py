"""Scores, decisions and echoed prompts are requests like others: limited, in time, endable."""

import asyncio
import threading
import time

import pytest

from gpt2sdk_serve import ServeSettings
from gpt2sdk_serve.admission import token_bytes
from gpt2sdk_serve.job import ServedJob
from gpt2sdk_serve.problem import RequestError
from gpt2sdk_serve.prompts import Prompts
from gpt2sdk_serve.state import ServerState

SCORES = "/v1/scores"
DECISIONS = "/v1/decisions"
COMPLETIONS = "/v1/completions"
LONG = "The king was in the wood. " * 4000
MANY = [f"{number} kings" + " in the wood" * 150 for number in range(200)]
ECHO = {"echo": True, "logprobs": 1, "max_tokens": 0}


def job_of(storyteller, timeout=None, **settings):
    state = ServerState({"storyteller": storyteller}, ServeSettings(**settings))
    return ServedJob(state, state.model(None), Prompts(("a",), ((1,),), single=True), timeout)


def wait(cancel):
    """Work until it is not wanted any more."""
    while not cancel.wait(0.01):
        pass
    return []


def test_options_are_counted_and_not_their_characters(site, storyteller):
    prompts, options = ["The king"] * 256, [" was in the old dark wood", " went"]
    made = site.post(DECISIONS, prompt=prompts, options=options)

    assert 256 == len(made["data"])
    assert 2 == len(made["data"][0]["options"])
    ids = storyteller.tokenizer.encode(" was") * 40
    assert 256 == len(site.post(DECISIONS, prompt=prompts, options=[ids, ids[1:]])["data"])


def test_lists_of_options_are_counted_together(site):
    options = [[f" {number}" for number in range(count)] for count in (4000, 97)]
    error = site.refusal(DECISIONS, prompt=["a", "b"], options=options)

    assert ("options", True) == (error["param"], "4097 options" in error["message"])


def test_scores_end_in_time(serve, storyteller):
    with serve({"storyteller": storyteller}, timeout=0.3) as site:
        status, headers, answer = site.ask("POST", SCORES, {"text": LONG * 4})
        counts = dict(site.state.metrics.cancelled.values)
        # The thread is through with it soon, and not when all is read.
        began = time.perf_counter()
        while 200 != site.ask("POST", SCORES, {"text": "The king"})[0]:
            pass
        waited = time.perf_counter() - began

    assert (503, "timeout", "false") == (
        status,
        answer["error"]["code"],
        headers["x-should-retry"],
    )
    assert waited < 8
    assert {(("why", "timeout"),): 1} == counts


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (SCORES, {"text": LONG}),
        (DECISIONS, {"prompt": MANY, "options": [" a", " b", " c", " d"]}),
    ],
    ids=["scores", "decisions"],
)
def test_what_reads_when_the_server_stops_is_told_in_our_words(path, fields, serve, storyteller):
    answers = []
    with serve({"storyteller": storyteller}, grace=0.1) as site:
        asking = threading.Thread(target=lambda: answers.append(site.ask("POST", path, fields)))
        asking.start()
        while not site.state.running:
            time.sleep(0.002)
    asking.join()

    [(status, headers, answer)] = answers
    assert (503, "server_error", "true") == (
        status,
        answer["error"]["type"],
        headers["x-should-retry"],
    )


def test_they_wait_for_memory_and_are_refused_where_they_never_fit(serve, storyteller):
    with serve({"storyteller": storyteller}, memory=token_bytes(storyteller) * 20) as site:
        assert 200 == site.ask("POST", SCORES, {"text": "The king"})[0]
        error = site.refusal(SCORES, text=LONG)
        echo = site.refusal(COMPLETIONS, prompt=LONG[:200], **ECHO)

    assert ("too_large", "too_large") == (error["code"], echo["code"])


def test_one_too_many_is_turned_away(serve, storyteller):
    with serve({"storyteller": storyteller}, max_queue=1, timeout=1.0) as site:
        slow = threading.Thread(target=site.ask, args=("POST", SCORES, {"text": LONG}))
        slow.start()
        while not site.state.running:
            time.sleep(0.002)
        statuses = [
            site.ask("POST", SCORES, {"text": "a king"})[0],
            site.ask("POST", COMPLETIONS, {"prompt": "a king", **ECHO})[0],
        ]
        slow.join()

    assert [429, 429] == statuses


def test_an_echo_that_does_not_fit_is_refused_before_it_is_read(site, storyteller, monkeypatch):
    read = []
    monkeypatch.setattr(
        "gpt2sdk_serve.echo._judged", lambda *given: read.append(given) or pytest.fail("read")
    )
    error = site.refusal(COMPLETIONS, prompt=LONG[:9000], **ECHO)

    assert ("context_length_exceeded", []) == (error["code"], read)


@pytest.mark.parametrize("stream", [True, False])
def test_an_echo_ends_in_time(stream, site, storyteller, monkeypatch):
    monkeypatch.setattr("gpt2sdk_serve.echo._judged", lambda *given: wait(given[-1]))
    began = time.perf_counter()
    fields = {"prompt": "The king", "timeout": 0.2, "stream": stream, **ECHO}
    status, _, answer = site.ask("POST", COMPLETIONS, fields)

    assert (503, "timeout") == (status, answer["error"]["code"])
    assert time.perf_counter() - began < 10


def test_who_hangs_up_ends_the_reading_and_nobody_begins_before_it_has_ended(storyteller):
    async def run():
        first, second = (job_of(storyteller) for _ in range(2))
        second.served = first.served
        order, began = [], threading.Event()

        def work(cancel):
            began.set()
            wait(cancel)
            time.sleep(0.1)
            order.append("ended")
            return []

        reading = asyncio.ensure_future(first.read(work))
        await asyncio.to_thread(began.wait)
        waiting = asyncio.ensure_future(second.read(lambda _: order.append("begun") or [3]))
        reading.cancel()
        return await waiting, order

    assert ([3], ["ended", "begun"]) == asyncio.run(run())


def test_who_waits_for_the_thread_is_told_in_time(storyteller):
    async def run():
        first, second = job_of(storyteller), job_of(storyteller, timeout=0.1)
        second.served = first.served
        reading = asyncio.ensure_future(first.read(wait))
        await asyncio.sleep(0)

        async def ask():
            async with second.admitted():
                await second.read(lambda _: pytest.fail("it was begun"))

        with pytest.raises(RequestError, match=r"within 0\.1 s"):
            await ask()
        assert not reading.done()
        first.end("shutdown")
        with pytest.raises(RequestError, match="stopping"):
            await reading

    asyncio.run(run())
