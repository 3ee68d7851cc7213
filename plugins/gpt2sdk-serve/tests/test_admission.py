"""Who may begin, when, and how it ends: memory, queues, deadlines, the end of the server."""

import asyncio
import json
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpt2sdk import Generator
from gpt2sdk_serve import ServeSettings
from gpt2sdk_serve.admission import Admission, token_bytes
from gpt2sdk_serve.job import ServedJob
from gpt2sdk_serve.problem import RequestError
from gpt2sdk_serve.prompts import Prompts
from gpt2sdk_serve.state import ServerState

COMPLETIONS = "/v1/completions"


def test_memory_is_handed_out_in_the_order_in_which_it_was_asked_for():
    async def run():
        admission, order = Admission(10), []

        async def ask(name, cost):
            await admission.take(cost)
            order.append(name)

        await admission.take(8)
        tasks = [asyncio.ensure_future(ask(*each)) for each in (("a", 6), ("b", 1), ("c", 3))]
        await asyncio.sleep(0)
        assert ([], 3) == (order, admission.waiting)
        admission.give(8)
        await asyncio.gather(*tasks)
        return order, admission.taken

    assert (["a", "b", "c"], 10) == asyncio.run(run())


@given(st.lists(st.tuples(st.integers(0, 10), st.booleans()), max_size=30))
def test_all_memory_comes_back_whoever_gives_up(asked):
    async def run():
        admission = Admission(10)

        async def use(cost):
            await admission.take(cost)
            try:
                assert admission.taken <= 10
                await asyncio.sleep(0)
            finally:
                admission.give(cost)

        tasks = [asyncio.ensure_future(use(cost)) for cost, _ in asked]
        await asyncio.sleep(0)
        for task, (_, leaves) in zip(tasks, asked, strict=True):
            if leaves and not task.done():
                task.cancel()
                await asyncio.sleep(0)
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
        return admission.taken, admission.waiting

    assert (0, 0) == asyncio.run(run())


def test_what_never_fits_is_refused_at_once():
    with pytest.raises(RequestError, match="may need 12 MB"):
        asyncio.run(Admission(10**7).take(12 * 10**6))


def test_a_token_takes_the_bytes_of_its_keys_and_values(storyteller):
    config = storyteller.config

    assert 2 * config.n_layer * config.n_embd * 4 == token_bytes(storyteller)


def test_a_job_may_be_ended_while_its_time_is_up(storyteller):
    async def run():
        failures = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: failures.append(context))
        settings = ServeSettings(memory=1000 * token_bytes(storyteller))
        state = ServerState({"storyteller": storyteller}, settings)
        served = state.model(None)
        await served.admission.take(settings.memory)
        prompts = Prompts(("a",), ((1,),), single=True)
        jobs = [ServedJob(state, served, prompts, 0.05) for _ in range(2)]

        async def ask(job):
            async with job.admitted():
                pytest.fail("there was no room")

        tasks = [asyncio.ensure_future(ask(job)) for job in jobs]
        await asyncio.sleep(0)

        def stop():
            for job in list(state.running):
                job.end("shutdown")

        # Alarms, then timeouts, then this: while both jobs' timeouts have struck.
        loop.call_later(0.06, loop.call_soon, stop)
        time.sleep(0.1)  # noqa: ASYNC251 - so that all of it is due in one turn of the loop
        found = await asyncio.gather(*tasks, return_exceptions=True)
        return failures, [each.code for each in found]

    assert ([], ["overloaded", "overloaded"]) == asyncio.run(run())


def test_models_share_what_is_free(storyteller, monkeypatch):
    monkeypatch.setattr("gpt2sdk_serve.state.free_memory", lambda _: 1200)
    other = Generator.from_pretrained("storyteller")
    served = {"one": storyteller, "alias": storyteller, "two": other}
    state = ServerState(served, ServeSettings())

    assert [300, 300] == [each.admission.limit for each in state.distinct]
    assert 7 == ServerState(served, ServeSettings(memory=7)).distinct[1].admission.limit


def together(site, fields):
    """Ask all at once, and return the answers in order."""
    answers = [None] * len(fields)

    def ask(place):
        answers[place] = site.ask("POST", COMPLETIONS, fields[place])

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(len(fields))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_requests_wait_for_memory_and_all_are_answered(serve, storyteller):
    memory = token_bytes(storyteller) * 100
    with serve({"storyteller": storyteller}, memory=memory) as site:
        fields = [{"prompt": "The king", "seed": n, "max_tokens": 60} for n in range(6)]
        most = 0
        watched = threading.Event()

        def watch():
            nonlocal most
            while not watched.wait(0.002):
                most = max(most, site.state.distinct[0].engine.rows)

        watcher = threading.Thread(target=watch)
        watcher.start()
        answers = together(site, fields)
        watched.set()
        watcher.join()
        too_large = site.refusal(COMPLETIONS, prompt="The king", max_tokens=60, n=2)
        beams = site.refusal(
            COMPLETIONS, prompt="The king", max_tokens=60, strategy="beam", num_beams=2
        )

    assert 1 == most
    assert ("too_large", "too_large") == (too_large["code"], beams["code"])
    for seed, (status, _, answer) in enumerate(answers):
        assert 200 == status
        alone = storyteller.generate("The king", seed=seed, max_new_tokens=60).text
        assert alone == answer["choices"][0]["text"]


def test_one_too_many_is_told_when_to_come_back(serve, storyteller):
    with serve({"storyteller": storyteller}, max_queue=2) as site:
        fields = [{"prompt": "The king", "seed": n, "max_tokens": 300} for n in range(8)]
        answers = together(site, fields)

    told = {status: headers for status, headers, _ in answers}
    assert {200, 429} == told.keys()
    assert "true" == told[429]["x-should-retry"]
    assert 1 <= int(told[429]["retry-after"]) <= 30
    assert 2 <= [status for status, _, _ in answers].count(200)


def test_the_client_comes_back_by_itself(serve, storyteller):
    openai = pytest.importorskip("openai", reason="needs openai: requirements-dev.txt")
    with serve({"storyteller": storyteller}, max_queue=1) as site:
        slow = threading.Thread(
            target=site.ask, args=("POST", COMPLETIONS, {"prompt": "a b", "max_tokens": 300})
        )
        slow.start()
        while not site.state.running:
            time.sleep(0.002)
        with openai.OpenAI(base_url=f"{site.url}/v1", api_key="x", max_retries=5) as client:
            made = client.completions.create(model="storyteller", prompt="The king", max_tokens=2)
        slow.join()

    assert 2 == made.usage.completion_tokens
    statuses = dict(site.state.metrics.requests.values)
    assert any(("status", "429") in key for key in statuses)


@pytest.mark.parametrize("stream", [True, False])
def test_a_request_that_runs_out_of_time_is_answered_with_what_it_has(stream, site, storyteller):
    whole = storyteller.generate("The king", seed=7, max_new_tokens=500).text
    fields = {"prompt": "The king", "seed": 7, "max_tokens": 500, "timeout": 0.15, "stream": stream}
    _, _, body = site.ask("POST", COMPLETIONS, fields)
    if stream:
        events = [event for event in body.decode().split("\n\n") if event.startswith("data: {")]
        choices = [json.loads(event[6:])["choices"][0] for event in events]
    else:
        choices = body["choices"]
    text = "".join(choice["text"] for choice in choices)

    assert whole.startswith(text)
    assert len(text) < len(whole)
    assert ("length", "timeout") == (
        choices[-1]["finish_reason"],
        choices[-1]["gpt2sdk"]["finish_reason"],
    )


def test_who_waits_for_memory_too_long_is_told_so(serve, storyteller):
    memory = token_bytes(storyteller) * 520
    with serve({"storyteller": storyteller}, memory=memory) as site:
        slow = {"prompt": "The king", "max_tokens": 500, "seed": 7}
        late = {"prompt": "The cat", "max_tokens": 50, "timeout": 0.05}
        first = threading.Thread(target=site.ask, args=("POST", COMPLETIONS, slow))
        first.start()
        while not site.state.running:
            time.sleep(0.002)
        status, headers, answer = site.ask("POST", COMPLETIONS, late)
        first.join()
        assert 0 == site.state.distinct[0].admission.taken

    assert (503, "overloaded") == (status, answer["error"]["code"])
    assert "true" == headers["x-should-retry"]


def test_stopping_finishes_what_runs_and_takes_nothing_new(serve, storyteller):
    answers = []
    with serve({"storyteller": storyteller}) as site:
        fields = {"prompt": "The king", "seed": 7, "max_tokens": 200}
        running = threading.Thread(
            target=lambda: answers.append(site.ask("POST", COMPLETIONS, fields))
        )
        running.start()
        while not site.state.running:
            time.sleep(0.002)
    running.join()

    [(status, _, answer)] = answers
    alone = storyteller.generate("The king", seed=7, max_new_tokens=200).text
    assert (200, alone) == (status, answer["choices"][0]["text"])
    assert site.state.stopping
    with pytest.raises(RequestError, match="stopping"):
        site.state.check_room()


@pytest.mark.parametrize("stream", [True, False])
def test_what_runs_too_long_is_answered_as_it_is_when_the_server_stops(stream, serve, storyteller):
    answers = []
    with serve({"storyteller": storyteller}, grace=0.1) as site:
        fields = {"prompt": "The king", "seed": 7, "max_tokens": 500, "stream": stream}
        running = threading.Thread(
            target=lambda: answers.append(site.ask("POST", COMPLETIONS, fields))
        )
        running.start()
        while not site.state.distinct[0].engine.rows:
            time.sleep(0.002)
    running.join()

    [(status, _, body)] = answers
    told = body.decode() if stream else json.dumps(body)
    assert 200 == status
    assert "shutdown" in told
    assert '"length"' in told
