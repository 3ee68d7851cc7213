"""The description of the API, and what strangers make of it."""

import pytest

from gpt2sdk_serve.answer_models import ChatBody, CompletionBody, ErrorBody
from gpt2sdk_serve.app import make_app
from gpt2sdk_serve.openapi import document
from gpt2sdk_serve.settings import ServeSettings


def test_every_endpoint_is_described(storyteller):
    app = make_app({"storyteller": storyteller}, ServeSettings())
    served = {
        (route.path.replace(":path", ""), method.lower())
        for route in app.routes
        for method in route.methods - {"HEAD"}
    }
    described = {(path, method) for path, item in document()["paths"].items() for method in item}
    pages = {each for each in served if each[0] == "/" or "." in each[0]}

    assert described == served - pages


def test_answers_are_as_they_are_described(site, chat_site):
    made = site.post("/v1/completions", prompt="The king", max_tokens=2, logprobs=2, echo=True)
    chat = chat_site.post(
        "/v1/chat/completions",
        messages=[{"role": "user", "content": "a"}],
        max_tokens=2,
        return_token_ids=True,
    )

    assert CompletionBody.model_validate(made, extra="forbid")
    assert ChatBody.model_validate(chat, extra="forbid")
    assert ErrorBody.model_validate({"error": site.refusal("/v1/completions")}, extra="forbid")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_nothing_that_strangers_send_is_a_500(chat_site):
    schemathesis = pytest.importorskip("schemathesis", reason="needs schemathesis")
    from hypothesis import HealthCheck, Phase, given, settings

    schema = schemathesis.openapi.from_dict(document())
    checked = 0
    for result in schema.get_all_operations():
        operation = result.ok()

        @given(case=operation.as_strategy())
        @settings(
            max_examples=25,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def ask(case):
            nonlocal checked
            if isinstance(case.body, dict):
                case.body["max_tokens"] = 2
            answer = case.call(base_url=chat_site.url, timeout=30)
            checked += 1
            assert answer.status_code < 500, (case.body, answer.text)
            if answer.status_code == 400:
                assert answer.headers["x-should-retry"] == ["false"]
                assert answer.json()["error"]["message"]

        ask()

    assert checked > 100
