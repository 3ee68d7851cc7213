"""Streams: what is certain is sent at once, and joined it is the whole answer."""

import asyncio
import json
import socket
import time
from collections import defaultdict

import pytest

openai = pytest.importorskip("openai", reason="needs openai: requirements-dev.txt")

KING = "The king"


def joined(chunks):
    """Return the text of each choice, and why it ended."""
    texts, reasons = defaultdict(str), {}
    for chunk in chunks:
        for choice in chunk.choices:
            assert choice.finish_reason is None or choice.index not in reasons
            texts[choice.index] += choice.text
            if choice.finish_reason is not None:
                reasons[choice.index] = choice.finish_reason
    return dict(texts), reasons


def hung_up(site):
    """Return how many requests ended since their clients had hung up."""
    return site.state.metrics.cancelled.values.get((("why", "disconnect"),), 0)


def test_the_chunks_of_a_stream_are_the_whole_answer(client):
    asked = {"model": "storyteller", "prompt": KING, "seed": 7, "max_tokens": 30}
    whole = client.completions.create(**asked)
    chunks = list(client.completions.create(**asked, stream=True))

    assert ({0: whole.choices[0].text}, {0: "length"}) == joined(chunks)
    assert 1 == len({chunk.id for chunk in chunks})
    assert len(chunks) > 10


def test_a_stream_of_several_choices_mixes_them(client):
    asked = {"model": "storyteller", "prompt": [KING, "A cat"], "n": 2, "seed": 7, "max_tokens": 9}
    whole = client.completions.create(**asked)
    chunks = list(client.completions.create(**asked, stream=True))

    texts, reasons = joined(chunks)
    assert {choice.index: choice.text for choice in whole.choices} == texts
    assert {0, 1, 2, 3} == reasons.keys()
    assert len({chunk.choices[0].index for chunk in chunks[:8]}) > 1


def test_strategies_that_rewrite_are_streamed_at_their_end(client, storyteller):
    chunks = client.completions.create(
        model="storyteller",
        prompt=KING,
        max_tokens=8,
        seed=7,
        stream=True,
        extra_body={"strategy": "beam", "num_beams": 3},
    )

    alone = storyteller.generate(KING, strategy="beam", num_beams=3, max_new_tokens=8, seed=7)
    assert {0: alone.text} == joined(chunks)[0]


def test_usage_is_a_last_chunk_without_choices_where_it_is_asked_for(client):
    asked = {"model": "storyteller", "prompt": KING, "seed": 7, "max_tokens": 5, "stream": True}
    *chunks, last = client.completions.create(**asked, stream_options={"include_usage": True})
    without = list(client.completions.create(**asked))

    assert ([], (2, 5, 7)) == (
        last.choices,
        (last.usage.prompt_tokens, last.usage.completion_tokens, last.usage.total_tokens),
    )
    assert {None} == {chunk.usage for chunk in (*chunks, *without)}
    assert 7 == last.gpt2sdk["seed"]


def test_the_usage_of_a_prompt_that_is_judged_alone_has_no_new_tokens(client):
    asked = {"model": "storyteller", "prompt": KING, "max_tokens": 0, "echo": True, "logprobs": 1}
    streamed = client.completions.create(
        **asked, stream=True, stream_options={"include_usage": True, "continuous_usage_stats": True}
    )
    whole = client.completions.create(**asked)

    assert {0} == {each.usage.completion_tokens for each in (whole, *streamed)}


def test_the_usage_so_far_comes_with_every_chunk_where_it_is_asked_for(client):
    chunks = client.completions.create(
        model="storyteller",
        prompt=KING,
        seed=7,
        max_tokens=4,
        stream=True,
        stream_options={"include_usage": True, "continuous_usage_stats": True},
    )

    assert [1, 2, 3, 4, 4] == [chunk.usage.completion_tokens for chunk in chunks]


def test_no_part_of_a_stop_text_is_streamed(client, storyteller):
    whole = storyteller.generate(KING, seed=7, max_new_tokens=40).text
    stop = whole[12:19]
    chunks = list(
        client.completions.create(
            model="storyteller", prompt=KING, seed=7, max_tokens=40, stop=stop, stream=True
        )
    )

    assert ({0: whole[:12]}, {0: "stop"}) == joined(chunks)


def test_no_half_characters_are_streamed(client, storyteller):
    prompt = "naïve café — 東京 🙂 " * 3
    tokens = storyteller.tokenizer.encode(prompt)
    bias = {str(token): 30 for token in set(tokens)}
    chunks = client.completions.create(
        model="storyteller",
        prompt=tokens[:-1],
        seed=7,
        max_tokens=40,
        stream=True,
        logit_bias=bias,
        extra_body={"return_token_ids": True},
    )
    pieces = [(choice.text, choice.token_ids) for chunk in chunks for choice in chunk.choices]
    made = [token for _, ids in pieces for token in ids]
    text = "".join(piece for piece, _ in pieces)

    alone = storyteller.generate(
        tokens[:-1], seed=7, max_new_tokens=40, logit_bias={int(k): v for k, v in bias.items()}
    )
    assert (alone.text, list(alone.completions[0].tokens)) == (text, made)


def test_log_probabilities_come_with_the_chunks_of_their_tokens(client):
    asked = {"model": "storyteller", "prompt": KING, "seed": 7, "max_tokens": 12, "logprobs": 2}
    asked["stop"] = "zzz"
    [whole] = client.completions.create(**asked).choices
    found = defaultdict(list)
    for chunk in client.completions.create(**asked, stream=True):
        for name, values in chunk.choices[0].logprobs.model_dump().items():
            found[name] += values

    assert whole.logprobs.model_dump() == dict(found)


def test_echo_stands_in_the_first_chunk(client):
    asked = {
        "model": "storyteller",
        "prompt": KING,
        "seed": 7,
        "max_tokens": 6,
        "echo": True,
        "logprobs": 1,
    }
    [whole] = client.completions.create(**asked).choices
    chunks = list(client.completions.create(**asked, stream=True))
    offsets = [each for chunk in chunks for each in chunk.choices[0].logprobs.text_offset]

    assert {0: whole.text} == joined(chunks)[0]
    assert whole.logprobs.text_offset == offsets
    assert chunks[0].choices[0].text.startswith(KING)


def test_the_asynchronous_client_streams_as_well(site, storyteller):
    async def ask():
        async with openai.AsyncOpenAI(base_url=f"{site.url}/v1", api_key="none") as client:
            stream = await client.completions.create(
                model="storyteller", prompt=KING, seed=7, max_tokens=9, stream=True
            )
            return [chunk async for chunk in stream]

    alone = storyteller.generate(KING, seed=7, max_new_tokens=9).text
    assert {0: alone} == joined(asyncio.run(ask()))[0]


def test_events_are_lines_of_data_and_end_with_done(site):
    _, headers, body = site.ask(
        "POST", "/v1/completions", {"prompt": KING, "stream": True, "max_tokens": 3, "seed": 7}
    )
    *events, last, rest = body.decode().split("\n\n")

    assert "text/event-stream" == headers["content-type"].partition(";")[0]
    assert ("data: [DONE]", "") == (last, rest)
    for event in events:
        assert event.startswith("data: {")
        chunk = json.loads(event.removeprefix("data: "))
        assert chunk["choices"][0]["finish_reason"] in (None, "length")


def test_a_mistake_in_a_stream_request_is_a_usual_error(site):
    error = site.refusal("/v1/completions", prompt=KING, stream=True, gpt2sdk={"top_kk": 3})

    assert "there is no option top_kk: did you mean top_k?" == error["message"]


def until(condition, seconds=10.0):
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


@pytest.mark.parametrize("stream", [True, False])
def test_who_hangs_up_ends_their_rows(stream, site):
    body = json.dumps({"prompt": KING, "stream": stream, "max_tokens": 500, "n": 8}).encode()
    head = (
        f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    [served] = site.state.distinct
    before = hung_up(site)
    with socket.create_connection(("127.0.0.1", site.port)) as raw:
        raw.sendall(head.encode() + body)
        assert until(lambda: served.engine.rows == 8)

    assert until(lambda: served.engine.rows == 0 and not site.state.running, 2.0)
    assert 0 == served.admission.taken
    assert until(lambda: before + 1 == hung_up(site))


def test_a_client_that_reads_nothing_is_let_go(serve, storyteller):
    with serve({"storyteller": storyteller}, stall=0.3) as site:
        # Log-probabilities make chunks so large that they fill what lies between both ends.
        body = json.dumps(
            {"prompt": KING, "stream": True, "max_tokens": 500, "n": 32, "logprobs": 20}
        ).encode()
        head = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
        head += f"Content-Length: {len(body)}\r\n\r\n"
        with socket.socket() as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            raw.connect(("127.0.0.1", site.port))
            raw.sendall(head.encode() + body)
            assert until(lambda: site.state.running)
            assert until(lambda: not site.state.running, 60.0)
        assert 0 == site.state.distinct[0].engine.rows
        assert site.state.metrics.cancelled.values
