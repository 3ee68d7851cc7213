"""Safe by default: who may ask, what answers carry, what is logged."""

import logging
import socket
import time

import pytest

from gpt2sdk import OptionError
from gpt2sdk_serve import ServeSettings
from gpt2sdk_serve.guards import is_key, is_loopback
from gpt2sdk_serve.log import one_line

KEY = "abc-äöü-123"


@pytest.fixture(scope="module")
def locked(serve, storyteller):
    """Return a server that wants a key."""
    with serve({"storyteller": storyteller}, api_key=KEY) as site:
        yield site


def bearer(key):
    return {"Authorization": f"Bearer {key}".encode()}


def test_other_machines_are_served_only_with_a_key():
    with pytest.raises(OptionError, match="GPT2SDK_API_KEY"):
        ServeSettings(host="10.0.0.1")
    with pytest.raises(OptionError, match="the key is empty"):
        ServeSettings(api_key=" ")

    assert not ServeSettings(host="10.0.0.1", api_key="k").is_local
    assert "secret" not in repr(ServeSettings(api_key="secret"))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models"),
        ("POST", "/v1/completions"),
        ("POST", "/v1/decisions"),
        ("POST", "/tokenize"),
        ("GET", "/options"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
        ("GET", "/v1/nothing"),
    ],
)
@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer no"}, {"Authorization": KEY[:3]}]
)
def test_without_the_key_nothing_is_said(method, path, headers, locked):
    status, told, answer = locked.ask(method, path, headers=headers)

    assert (401, "false") == (status, told["x-should-retry"])
    assert "authentication_error" == answer["error"]["type"]


def test_with_the_key_everything_is(locked):
    status, _, answer = locked.ask("GET", "/v1/models", headers=bearer(KEY))

    assert (200, "storyteller") == (status, answer["data"][0]["id"])


@pytest.mark.parametrize("path", ["/", "/health"])
def test_the_page_and_the_health_need_no_key(path, locked):
    assert 200 == locked.ask("GET", path)[0]


def test_a_key_is_compared_as_a_whole():
    assert [True, True, False, False, False, False] == [
        is_key(header.encode().decode("latin-1"), KEY)
        for header in (
            f"Bearer {KEY}",
            f"bearer  {KEY} ",
            f"Bearer {KEY}4",
            f"Bearer {KEY[:-1]}",
            f"Basic {KEY}",
            "",
        )
    ]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("evil.example", 421),
        ("evil.example:8000", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("10.0.0.1", 421),
        ("", 421),
    ],
)
def test_a_name_that_was_pointed_here_is_refused(host, expected, site):
    status, _, _ = site.ask("GET", "/v1/models", headers={"Host": host})

    assert expected == status
    assert is_loopback(host) == (expected == 200)


def test_no_other_site_may_read_an_answer(site):
    for method, path in (("GET", "/"), ("GET", "/v1/models"), ("OPTIONS", "/v1/completions")):
        _, headers, _ = site.ask(method, path, headers={"Origin": "https://evil.example"})
        assert not [name for name in headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Content-Type": "application/json"}, 200),
        ({"Origin": "http://127.0.0.1:{port}", "Content-Type": "application/json"}, 200),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "Application/JSON; charset=utf-8"}, 200),
        ({}, 200),
    ],
    ids=str,
)
def test_no_other_site_may_send_anything(headers, expected, site):
    told = {name: value.format(port=site.port) for name, value in headers.items()}
    fields = {"prompt": "a", "max_tokens": 1}
    status, _, answer = site.ask("POST", "/v1/completions", fields, told)

    assert expected == status, answer
    assert status == 200 or answer["error"]["code"] in {"foreign_origin", "no_json"}
    assert 200 == site.ask("GET", "/", headers={"Sec-Fetch-Site": "cross-site"})[0]


def test_a_key_says_who_asks_from_wherever(locked):
    told = {**bearer(KEY), "Origin": "https://chat.example"}

    assert 200 == locked.ask("POST", "/v1/completions", {"prompt": "a", "max_tokens": 1}, told)[0]


def test_the_newline_at_a_files_end_is_no_part_of_a_key():
    assert ServeSettings(api_key=" abc\n").api_key == "abc"
    assert is_key("Bearer abc", ServeSettings(api_key=" abc\n").api_key)


@pytest.mark.parametrize("path", ["/", "/v1/models", "/v1/nothing", "/metrics"])
def test_every_answer_has_the_headers_that_keep_browsers_safe(path, site):
    _, headers, _ = site.ask("GET", path)

    assert "nosniff" == headers["x-content-type-options"]
    assert "DENY" == headers["x-frame-options"]
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert "server" not in headers


@pytest.mark.parametrize("path", ["/../settings.py", "/page/index.html", "/%2e%2e/app.py", "//"])
def test_only_the_files_of_the_page_are_there(path, site):
    assert 404 == site.ask("GET", path)[0]


def test_what_nobody_expected_is_logged_without_its_words_and_not_told(site, caplog, monkeypatch):
    def fail(text):
        raise RuntimeError(f"secret {text}\nGET /fake 200")

    monkeypatch.setattr(site.state.distinct[0], "encode", fail)
    with caplog.at_level(logging.INFO, "gpt2sdk_serve"):
        status, _, answer = site.ask("POST", "/v1/completions", {"prompt": "my prompt"})

    assert (500, "internal_error") == (status, answer["error"]["code"])
    assert "Traceback" not in str(answer)
    assert "secret" not in str(answer) + caplog.text
    assert "my prompt" not in caplog.text
    assert "RuntimeError" in caplog.text


def test_nobody_writes_lines_of_their_own_into_the_log(site, caplog):
    with caplog.at_level(logging.INFO, "gpt2sdk_serve"):
        site.ask("GET", "/v1/models/%0aINFO%20fake%1b[31m%e2%80%ae")
        # It is logged behind its answer.
        while "fake" not in caplog.text:
            time.sleep(0.002)

    [line] = [line for record in caplog.records if "fake" in (line := record.getMessage())]
    assert "\\nINFO fake\\x1b[31m\\u202e" in line
    assert line.isprintable()


def test_prompts_are_logged_only_where_that_was_asked_for(serve, site, storyteller, caplog):
    with caplog.at_level(logging.INFO, "gpt2sdk_serve"):
        site.post("/v1/completions", prompt="The king\nof cats", max_tokens=2, seed=1)
        assert "of cats" not in caplog.text
        with serve({"storyteller": storyteller}, log_prompts=True) as telling:
            telling.post("/v1/completions", prompt="The king\nof cats", max_tokens=2, seed=1)

    lines = [record.getMessage() for record in caplog.records]
    assert "prompt: The king\\nof cats" in lines
    assert all(line.isprintable() for line in lines)


def test_a_log_line_is_cut_and_printable():
    assert "a\\r\\x00b\\u2028" == one_line("a\r\x00b\u2028")
    assert 2001 == len(one_line("a" * 5000))


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        (
            b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n"
        ),
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    ],
    ids=["bytes", "two hosts", "length", "smuggling", "long"],
)
def test_rubbish_ends_its_connection_and_nothing_else(raw, site):
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as sent:
        sent.sendall(raw)
        sent.shutdown(socket.SHUT_WR)
        answer = b""
        while part := sent.recv(65536):
            answer += part

    assert answer.split(b" ")[1] in (b"400", b"421", b"431") if answer else True
    assert 200 == site.ask("GET", "/health")[0]


@pytest.mark.parametrize(
    "options",
    [
        {"stop_regex": "(a+)+b"},
        {"stop_regex": ["a"] * 17},
        {"json_schema": {"enum": ["x" * 25_000]}},
        {"num_return_sequences": 4},
        {"strategy": "beam", "num_beams": 1000},
        {"processors": [{"name": "top_k", "top_k": 3}] * 70_000},
        {"assistant_model": "storyteller", "drafter": "draft_model"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_options_of_strangers_have_limits_and_open_nothing(options, site):
    site.refusal("/v1/completions", prompt="a", gpt2sdk=options)


def test_special_tokens_in_a_prompt_are_text(site, storyteller):
    made = site.post(
        "/v1/completions", prompt="a<|endoftext|>", max_tokens=1, return_token_ids=True
    )

    assert storyteller.tokenizer.eos_token_id not in made["choices"][0]["prompt_token_ids"]
