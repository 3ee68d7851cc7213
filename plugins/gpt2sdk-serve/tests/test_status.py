"""Metrics, options, decisions, scores and tokens."""

import re

import pytest

from gpt2sdk import option_records
from gpt2sdk_serve.metrics import Histogram


def counts(site):
    """Return every line of the metrics."""
    _, headers, body = site.ask("GET", "/metrics")
    assert "text/plain; version=0.0.4; charset=utf-8" == headers["content-type"]
    lines = body.decode().splitlines()
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))
    }


def test_metrics_count_tokens_drafts_and_times(serve, storyteller):
    with serve({"storyteller": storyteller}) as site:
        before = counts(site)
        prompt = "the cat the cat the cat the cat"
        site.post(
            "/v1/completions",
            prompt=prompt,
            max_tokens=20,
            temperature=0,
            drafter="prompt_lookup",
        )
        site.ask("POST", "/v1/completions", {"prompt": prompt, "max_tokens": 3, "stream": True})
        site.ask("POST", "/v1/completions", {"prompt": 3})
        after = counts(site)

    model = '{model="storyteller"}'
    length = len(storyteller.tokenizer.encode(prompt))
    assert 2 * length == after[f"gpt2sdk_prompt_tokens_total{model}"]
    assert 23 == after[f"gpt2sdk_generated_tokens_total{model}"]
    assert after[f"gpt2sdk_drafted_tokens_total{model}"] > 0
    assert after[f"gpt2sdk_accepted_tokens_total{model}"] > 0
    assert 1 == after[f"gpt2sdk_time_to_first_token_seconds_count{model}"]
    assert 2 == after[f"gpt2sdk_request_seconds_count{model}"]
    assert 2 == after['gpt2sdk_requests_total{path="/v1/completions",status="200"}']
    assert 1 == after['gpt2sdk_requests_total{path="/v1/completions",status="400"}']
    hits = f"gpt2sdk_prefix_cache_hits_total{model}"
    assert after[hits] > before[hits]
    for gauge in ("requests", f"rows{model}", f"rows_waiting{model}", f"memory_bytes{model}"):
        assert 0 == after[f"gpt2sdk_{gauge}"]


def test_every_metric_has_one_type_and_lines_of_the_format(site):
    _, _, body = site.ask("GET", "/metrics")
    lines = body.decode().splitlines()
    types = [line.split()[2] for line in lines if line.startswith("# TYPE")]

    assert len(set(types)) == len(types)
    for line in lines:
        assert line.startswith("# ") or re.fullmatch(
            r'[a-z0-9_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.e+-]+', line
        )


def test_paths_that_are_not_there_share_one_label(site):
    for path in ("/a", "/b", "/c?x=1"):
        site.ask("GET", path)

    assert not [name for name in counts(site) if 'path="/a"' in name]


def test_a_histogram_counts_what_is_not_above_each_bound():
    histogram = Histogram("t", "Times.", (1.0, 2.0))
    for seconds in (0.5, 1.0, 1.5, 9.0):
        histogram.note(seconds)

    assert [
        '{le="1.0"} 2',
        '{le="2.0"} 3',
        '{le="+Inf"} 4',
    ] == [line.removeprefix("t_bucket") for line in histogram.lines() if "bucket" in line]
    assert 3.0 == histogram.mean()


def test_options_lists_every_component_with_its_options(site, storyteller):
    _, _, answer = site.ask("GET", "/options")
    listed = {(role, each["name"]): each for each in answer["components"] for role in each["roles"]}
    roles = {"strategy", "sampler", "drafter"}
    records = [
        each
        for each in option_records(storyteller.registry)
        if each.component and each.role in roles
    ]

    assert {(each.role, each.component) for each in records} <= listed.keys()
    beam = listed["strategy", "beam"]
    [width] = [each for each in beam["options"] if each["name"] == "num_beams"]
    assert "integer" == width["schema"]["type"]
    assert (1, 4) == (width["schema"]["minimum"], width["default"])
    assert width["description"]
    assert [] == listed["strategy", "greedy"]["options"]
    assert "seed" in {each["name"] for each in answer["call"]}


def test_a_decision_is_what_choose_says(site, storyteller):
    made = site.post("/v1/decisions", prompt=["The king", "The cat"], options=[" was", " were"])
    alone = storyteller.choose(["The king", "The cat"], [" was", " were"])

    assert [each.best for each in alone] == [each["best"] for each in made["data"]]
    assert [list(each.logprobs) for each in alone] == [
        [option["logprob"] for option in each["options"]] for each in made["data"]
    ]
    assert [0, 1] == [each["index"] for each in made["data"]]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": "a"}, "options"),
        ({"prompt": "a", "options": []}, "options"),
        ({"prompt": "a", "options": ["b", "b"]}, "options"),
        ({"prompt": "a", "options": [""]}, "options"),
        ({"prompt": "a", "options": [" b"], "normalization": "x"}, "normalization"),
        ({"prompt": "a", "options": [f" {n}" for n in range(5000)]}, "options"),
        ({"prompt": "a", "options": [" b"], "more": 1}, "more"),
        ({"prompt": ["a", "b"], "options": [" b" * 40_000]}, "options"),
    ],
)
def test_what_is_wrong_with_a_decision_is_named(fields, param, site):
    assert param == site.refusal("/v1/decisions", **fields)["param"]


def test_scores_are_what_score_says(site, storyteller):
    made = site.post("/v1/scores", text=["The king was", "A cat"], context="Once: ", top=2)
    alone = storyteller.score(["The king was", "A cat"], context="Once: ", top=2)

    assert [list(each.logprobs) for each in alone] == [each["logprobs"] for each in made["data"]]
    assert [each.bits for each in alone] == [each["bits"] for each in made["data"]]
    assert [2] * 3 == [len(each) for each in made["data"][0]["top_logprobs"]]


def test_texts_become_tokens_and_texts_again(site, storyteller):
    text = "Naïve — the king 🙂"
    made = site.post("/tokenize", prompt=text, return_token_strs=True)
    tokens = storyteller.tokenizer.encode(text)

    assert (tokens, len(tokens)) == (made["tokens"], made["count"])
    assert text == site.post("/detokenize", tokens=tokens)["prompt"]
    assert len(tokens) == len(made["token_strs"])
    assert storyteller.context_length == made["max_model_len"]


def test_special_tokens_are_those_only_alone_or_where_asked_for(site, storyteller):
    end = storyteller.tokenizer.eos_token_id
    text = "a<|endoftext|>"

    assert [end] == site.post("/tokenize", prompt="<|endoftext|>")["tokens"]
    assert end not in site.post("/tokenize", prompt=text)["tokens"]
    assert end == site.post("/tokenize", prompt=text, allow_special=True)["tokens"][-1]
    assert "<|endoftext|>" == site.post("/detokenize", tokens=[end])["prompt"]


def test_a_chat_is_tokenized_as_it_would_be_answered(chat_site):
    messages = [{"role": "user", "content": "Hello"}]
    made = chat_site.post("/tokenize", messages=messages)
    answered = chat_site.post(
        "/v1/chat/completions", messages=messages, max_tokens=1, return_token_ids=True
    )

    assert answered["choices"][0]["prompt_token_ids"] == made["tokens"]
    assert "user" not in (site_info := chat_site.ask("GET", "/tokenizer_info")[2])
    assert chat_site.state.settings.chat_template == site_info["chat_template"]


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/tokenize", {}),
        ("/tokenize", {"prompt": "a", "messages": []}),
        ("/tokenize", {"messages": []}),
        ("/tokenize", {"prompt": "\ud800"}),
        ("/detokenize", {"tokens": "a"}),
        ("/detokenize", {"tokens": [[1]]}),
        ("/detokenize", {"tokens": [4096]}),
        ("/v1/scores", {"text": ""}),
        ("/v1/scores", {"text": [" a" * 70_000] * 2}),
        ("/v1/scores", {"text": "a", "top": 21}),
    ],
)
def test_what_cannot_be_tokenized_or_scored_is_refused(path, fields, chat_site):
    chat_site.refusal(path, **fields)
