"""What is wrong with a request is said once, as a 400 that nobody sends again."""

import json
import time

import pytest

from gpt2sdk import GenerationError, LogitsProcessor, hookimpl

openai = pytest.importorskip("openai", reason="needs openai: requirements-dev.txt")

COMPLETIONS = "/v1/completions"


@pytest.mark.parametrize(
    ("fields", "param", "said"),
    [
        ({}, "prompt", "prompt is missing"),
        ({"prompt": None}, "prompt", "expected a text, token ids, or a list of such"),
        ({"prompt": 3}, "prompt", "prompt is 3"),
        ({"prompt": True}, "prompt", "expected a text"),
        ({"prompt": {"a": 1}}, "prompt", "expected a text"),
        ({"prompt": []}, "prompt", "prompt is an empty list"),
        ({"prompt": ""}, "prompt", "prompt is empty"),
        ({"prompt": [[]]}, "prompt", "prompt[0] is empty"),
        ({"prompt": ["a", ""]}, "prompt", "prompt[1] is empty"),
        ({"prompt": ["a", 3]}, "prompt", "prompt[1] is 3"),
        ({"prompt": [1, "a"]}, "prompt", "prompt[0] is 1"),
        ({"prompt": [1, True]}, "prompt", "prompt[0] is 1"),
        ({"prompt": [1.5]}, "prompt", "prompt[0] is 1.5"),
        ({"prompt": [-1]}, "prompt", "token id -1, expected 0 to 4095"),
        ({"prompt": [4096]}, "prompt", "token id 4096"),
        ({"prompt": [2**80]}, "prompt", "token id"),
        ({"prompt": [[5], [4096]]}, "prompt", "prompt[1] has token id 4096"),
        ({"prompt": "a\ud800"}, None, "Unicode"),
        ({"prompt": ["a"] * 257}, "prompt", "257 prompts, expected 256 at most"),
        ({"prompt": [5] * 513}, "prompt", "the window is 512"),
        ({"prompt": [5] * 131_073, "echo": True, "logprobs": 0}, "prompt", "than 131072 tokens"),
        ({"prompt": "a", "max_tokens": 0}, "max_tokens", "0 is for prompts that are echoed"),
        ({"prompt": "a", "max_tokens": -1}, "max_tokens", "greater than or equal to 0"),
        ({"prompt": "a", "max_tokens": 600}, "prompt", "may grow by 600"),
        ({"prompt": "a", "max_tokens": "5"}, "max_tokens", "valid integer"),
        ({"prompt": "a", "max_tokens": 10**9}, "max_tokens", "16384 at most"),
        ({"prompt": "a", "n": 0}, "n", "greater than or equal to 1"),
        ({"prompt": "a", "n": True}, "n", "valid integer"),
        ({"prompt": "a", "n": 600}, "n", "600 rows, expected 512 at most"),
        ({"prompt": ["a"] * 200, "n": 3}, "n", "600 rows"),
        ({"prompt": "a", "best_of": 1, "n": 2}, "best_of", "n or more"),
        ({"prompt": "a", "best_of": 2, "stream": True}, "best_of", "cannot be streamed"),
        ({"prompt": "a", "logprobs": -1}, "logprobs", "greater than or equal to 0"),
        ({"prompt": "a", "logprobs": 21}, "logprobs", "20 at most"),
        ({"prompt": "a", "logprobs": True}, "logprobs", "valid integer"),
        ({"prompt": "a", "temperature": -0.1}, "temperature", "greater than or equal to 0"),
        ({"prompt": "a", "temperature": "hot"}, "temperature", "valid number"),
        ({"prompt": "a", "top_p": 0}, "top_p", "greater than 0"),
        ({"prompt": "a", "top_p": 1.1}, "top_p", "less than or equal to 1"),
        ({"prompt": "a", "frequency_penalty": 3}, "frequency_penalty", "less than or equal to 2"),
        ({"prompt": "a", "logit_bias": {"x": 1}}, "logit_bias", "logit_bias"),
        ({"prompt": "a", "logit_bias": {"-1": 1}}, "logit_bias", "logit_bias"),
        ({"prompt": "a", "logit_bias": {"4096": 1}}, "logit_bias", "logit_bias"),
        ({"prompt": "a", "logit_bias": {"5": 101}}, "logit_bias.5", "less than or equal to 100"),
        ({"prompt": "a", "logit_bias": {"5": "b"}}, "logit_bias.5", "valid number"),
        ({"prompt": "a", "logit_bias": [1]}, "logit_bias", "valid dictionary"),
        (
            {"prompt": "a", "logit_bias": {str(i): 1 for i in range(1025)}},
            "logit_bias",
            "1025 entries, expected 1024 at most",
        ),
        ({"prompt": "a", "stop": 3}, "stop", "stop"),
        ({"prompt": "a", "stop": [""]}, "stop", "stop"),
        ({"prompt": "a", "stop": [3]}, "stop", "stop"),
        ({"prompt": "a", "seed": 1.5}, "seed", "valid integer"),
        ({"prompt": "a", "suffix": "b"}, "suffix", "cannot do"),
        ({"prompt": "a", "stream": "yes"}, "stream", "valid boolean"),
        ({"prompt": "a", "stream_options": {"x": 1}}, "stream_options.x", "not permitted"),
        ({"prompt": "a", "max_tokenz": 3}, "max_tokenz", "did you mean max_tokens?"),
        ({"prompt": "a", "temprature": 3}, "temprature", "did you mean temperature?"),
        ({"prompt": "a", "utter_nonsense": 3}, "utter_nonsense", "there is no option"),
        ({"prompt": "a", "functions": [{}]}, "functions", "cannot do"),
        ({"prompt": "a", "top_k": "many"}, "top_k", "top_k"),
        ({"prompt": "a", "gpt2sdk": {"top_kk": 3}}, "top_kk", "did you mean top_k?"),
        ({"prompt": "a", "gpt2sdk": []}, "gpt2sdk", "valid dictionary"),
        ({"prompt": "a", "gpt2sdk": {"strategy": "os.system"}}, "strategy", "no strategy"),
        ({"prompt": "a", "gpt2sdk": {"strategy": 3}}, "strategy", "strategy"),
        ({"prompt": "a", "gpt2sdk": {"drafter": "corpus", "corpus": "x"}}, "corpus", "preset"),
        ({"prompt": "a", "top_k": 3, "gpt2sdk": {"top_k": 4}}, "top_k", "given twice"),
        ({"prompt": "a", "gpt2sdk": {"max_new_tokens": 4}}, "max_new_tokens", "max_tokens"),
        ({"prompt": "a", "gpt2sdk": {"batch_size": 4}}, "batch_size", "the server's to decide"),
        ({"prompt": "a", "gpt2sdk": {"seed": "x"}}, "seed", "whole number"),
        ({"prompt": "a", "gpt2sdk": {"num-return-sequences": 4}}, "num-return-sequences", "n"),
        ({"prompt": "a", "response_format": {"type": "xml"}}, "response_format.type", "Input"),
        (
            {"prompt": "a", "response_format": {"type": "json_schema"}},
            "response_format",
            "has no schema",
        ),
        ({"prompt": "a", "timeout": 0}, "timeout", "greater than 0"),
        ({"prompt": "a", "model": 3}, "model", "valid string"),
    ],
    ids=lambda value: json.dumps(value)[:40] if isinstance(value, dict) else "",
)
def test_the_message_names_the_field_and_what_was_expected(fields, param, said, site):
    error = site.refusal(COMPLETIONS, **fields)

    assert ("invalid_request_error", param) == (error["type"], error["param"])
    assert said in error["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"a"',
        b"3",
        b"\xff\xfe",
        b'{"prompt": NaN}',
        b'{"a": 1e999}',
        b"[" * 100_000,
        b'{"prompt": ' + b"9" * 5000 + b"}",
    ],
    ids=lambda body: body[:12].decode("latin-1"),
)
@pytest.mark.parametrize(
    "path", [COMPLETIONS, "/v1/chat/completions", "/v1/decisions", "/v1/scores", "/tokenize"]
)
def test_a_body_that_is_no_json_object_is_refused(body, path, site):
    status, headers, answer = site.ask("POST", path, body)

    assert (400, "false") == (status, headers["x-should-retry"])
    assert answer["error"]["code"] in ("invalid_json", "missing")


def test_a_body_that_is_too_large_is_not_read(site):
    status, _, answer = site.ask("POST", COMPLETIONS, {"prompt": "a" * (4 * 2**20)})

    assert (413, "too_large") == (status, answer["error"]["code"])


def test_an_unknown_model_is_404_and_names_those_there_are(client):
    with pytest.raises(openai.NotFoundError, match="there are storyteller, teller"):
        client.completions.create(model="gpt-17", prompt="a")


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [("GET", "/v1/nothing", 404), ("GET", COMPLETIONS, 405), ("POST", "/health", 405)],
)
def test_other_paths_and_methods_are_errors_of_the_same_form(method, path, expected, site):
    status, headers, answer = site.ask(method, path)

    assert (expected, "false") == (status, headers["x-should-retry"])
    assert "message" in answer["error"]


class Faulty(LogitsProcessor):
    """Raises once a row has some tokens."""

    fault_at: int | None = None

    def process(self, logits, rows):
        if self.fault_at is not None and max(rows.lengths - rows.prompt_lengths) >= self.fault_at:
            raise ZeroDivisionError("the secret is 17")
        return logits


class FaultyPlugin:
    """Offers it."""

    @hookimpl
    def gpt2sdk_components(self):
        return [Faulty]


@pytest.fixture(scope="module")
def faulty_site(serve):
    from gpt2sdk import Generator

    with serve({"s": Generator.from_pretrained("storyteller", plugins=[FaultyPlugin()])}) as site:
        yield site


def test_a_component_that_raises_is_a_500_of_its_own_request(faulty_site):
    status, headers, answer = faulty_site.ask(
        "POST", COMPLETIONS, {"prompt": "The king", "fault_at": 3}
    )

    assert (500, "false") == (status, headers["x-should-retry"])
    assert ("server_error", "component_failed") == (
        answer["error"]["type"],
        answer["error"]["code"],
    )
    assert "faulty" in answer["error"]["message"]
    assert faulty_site.post(COMPLETIONS, prompt="The king", max_tokens=3)["choices"][0]["text"]
    assert not faulty_site.state.running


def count_of(site):
    """How many requests were answered, once no answer is on its way: each is counted behind it."""
    counted = -1
    while counted != (now := sum(site.state.metrics.requests.values.values())):
        counted = now
        time.sleep(0.1)
    return counted


def test_the_client_does_not_send_again_what_a_component_failed_at(faulty_site):
    before = count_of(faulty_site)
    with (
        openai.OpenAI(base_url=f"{faulty_site.url}/v1", api_key="x", max_retries=3) as client,
        pytest.raises(openai.InternalServerError),
    ):
        client.completions.create(model="s", prompt="a b", extra_body={"fault_at": 1})

    assert 1 == count_of(faulty_site) - before


@pytest.mark.parametrize("wrong", [{"max_tokens": -1}, {"extra_body": {"top_k": "x"}}])
def test_the_client_does_not_send_again_what_was_wrong(wrong, site):
    before = count_of(site)
    with (
        openai.OpenAI(base_url=f"{site.url}/v1", api_key="x", max_retries=3) as client,
        pytest.raises(openai.BadRequestError),
    ):
        client.completions.create(model="storyteller", prompt="a", **wrong)

    assert 1 == count_of(site) - before


def test_in_a_stream_what_raises_is_an_event(faulty_site):
    with openai.OpenAI(base_url=f"{faulty_site.url}/v1", api_key="x") as client:
        stream = client.completions.create(
            model="s", prompt="The king", max_tokens=9, stream=True, extra_body={"fault_at": 3}
        )
        read = []
        with pytest.raises(openai.APIError, match="faulty"):
            read.extend(stream)

    assert 3 <= len(read) <= 4


def test_others_go_on_beside_a_component_that_raises(faulty_site):
    from concurrent.futures import ThreadPoolExecutor

    def ask(number):
        more = {"fault_at": 5} if number % 3 == 0 else {}
        fields = {"prompt": "The king", "seed": number, "max_tokens": 20, **more}
        return faulty_site.ask("POST", COMPLETIONS, fields)

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(ask, range(24)))

    assert [500 if number % 3 == 0 else 200 for number in range(24)] == [a[0] for a in answers]
    generator = faulty_site.state.distinct[0].generator
    for number in (1, 2, 22):
        alone = generator.generate("The king", seed=number, max_new_tokens=20).text
        assert alone == answers[number][2]["choices"][0]["text"]


def test_the_process_itself_raises_the_same():
    from gpt2sdk import Generator

    generator = Generator.from_pretrained("storyteller", plugins=[FaultyPlugin()])
    with pytest.raises(GenerationError, match="faulty"):
        generator.generate("The king", fault_at=3)
