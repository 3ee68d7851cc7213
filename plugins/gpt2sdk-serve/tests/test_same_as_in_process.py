"""Whatever else the server does, an answer is what the call would be in the process, alone."""

import json
import random
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from gpt2sdk import Generator

PROMPTS = ("The king", "Once upon a time", "A cat", "The king was old and had three sons", "Then")
OPTIONS = (
    {},
    {"temperature": 0},
    {"temperature": 0.7, "top_p": 0.9},
    {"top_k": 20, "repetition_penalty": 1.2},
    {"min_p": 0.05, "presence_penalty": 0.5},
    {"strategy": "beam", "num_beams": 3},
    {"strategy": "greedy", "drafter": "prompt_lookup"},
    {"strategy": "best_of_n", "best_of": 3},
    {"strategy": "contrastive_search", "penalty_alpha": 0.6},
    {"drafter": "prompt_lookup", "temperature": 0.5},
    {"choice": [" good", " bad", " old"]},
    {"stop": ["the", "."]},
    {"no_repeat_ngram_size": 2},
    {"sampler": "mirostat", "mirostat_tau": 3.0},
)


def asked(number, chance):
    """Return the fields of a request, and what a call in the process is given."""
    options = dict(chance.choice(OPTIONS))
    several = chance.randint(1, 2)
    prompt = chance.choice(PROMPTS) if several == 1 else list(chance.sample(PROMPTS, 2))
    count = 1 if options.get("strategy") == "contrastive_search" else chance.choice((1, 1, 2))
    tokens = chance.randint(1, 24)
    fields = {"prompt": prompt, "seed": number, "max_tokens": tokens, "n": count}
    own = {name: options.pop(name) for name in ("stop", "temperature", "top_p") if name in options}
    given = {"seed": number, "max_new_tokens": tokens, "num_return_sequences": count}
    return {**fields, **own, "gpt2sdk": options}, prompt, {**given, **own, **options}


def read(body, *, stream):
    """Return the texts of an answer in order."""
    if not stream:
        return [choice["text"] for choice in json.loads(body)["choices"]]
    texts = {}
    for event in body.decode().split("\n\n"):
        if event.startswith("data: {"):
            for choice in json.loads(event[6:])["choices"]:
                texts[choice["index"]] = texts.get(choice["index"], "") + choice["text"]
    return [texts[index] for index in sorted(texts)]


def hang_up(site, fields, wait):
    """Ask, and leave in the midst of it."""
    body = json.dumps({**fields, "max_tokens": 200}).encode()
    head = (
        f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", site.port)) as raw:
        raw.sendall(head.encode() + body)
        raw.settimeout(wait)
        try:
            raw.recv(64)
        except TimeoutError:
            return


@pytest.mark.slow
@pytest.mark.parametrize("quantization", [None, "int8"])
def test_answers_under_load_are_those_of_the_process(quantization, serve):
    generator = Generator.from_pretrained("storyteller", quantization=quantization)
    if "native" not in " ".join(generator.notes):
        pytest.skip("needs the native engine, whose results have the same bits in any batch")
    chance = random.Random(17)  # noqa: S311 - the same requests each time
    jobs = [(number, *asked(number, chance), chance.random()) for number in range(100)]

    def run(site, job):
        number, fields, _, _, luck = job
        if luck < 0.15:
            return hang_up(site, {**fields, "stream": luck < 0.08}, luck)
        stream = number % 2 == 0
        status, _, body = site.ask("POST", "/v1/completions", {**fields, "stream": stream})
        body = json.dumps(body).encode() if isinstance(body, dict) else body
        return status, read(body, stream=stream) if status == 200 else body

    with serve({"s": generator}, batch_size=12) as site, ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda job: run(site, job), jobs))
        assert [] == [answer[1] for answer in answers if answer and answer[0] != 200]
        assert 0 == site.state.distinct[0].admission.taken

    different = []
    for (number, _, prompt, given, _), answer in zip(jobs, answers, strict=True):
        if answer and answer[1] != generator.generate(prompt, **given).texts:
            different.append((number, prompt, given))
    assert [] == different
    assert 70 < sum(answer is not None for answer in answers)


def test_a_prompt_that_was_read_before_has_the_same_answer(serve, storyteller):
    prompt = "The king was old and had three sons, and the youngest of them was called " * 3
    fields = {"prompt": prompt, "seed": 7, "max_tokens": 20, "logprobs": 0}
    with serve({"storyteller": storyteller}) as site:
        storyteller.clear_cache()
        texts = [site.post("/v1/completions", **fields)["choices"][0]["text"] for _ in range(3)]
        fed = site.post("/v1/completions", **{**fields, "logprobs": None})["gpt2sdk"]["usage"]

    assert {storyteller.generate(prompt, seed=7, max_new_tokens=20).text} == set(texts)
    assert fed["tokens_fed"] < 40


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_sampling_does_not_depend_on_how_many_rows_run(batch_size, serve, storyteller):
    fields = [{"prompt": "The king", "seed": n, "max_tokens": 16, "n": 2} for n in range(6)]
    with serve({"s": storyteller}, batch_size=batch_size) as site, ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda each: site.post("/v1/completions", **each), fields))

    for seed, answer in enumerate(answers):
        alone = storyteller.generate(
            "The king", seed=seed, max_new_tokens=16, num_return_sequences=2
        )
        assert alone.texts == [choice["text"] for choice in answer["choices"]]
