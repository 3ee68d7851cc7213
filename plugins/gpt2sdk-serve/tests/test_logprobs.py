"""Log-probabilities and echoed prompts in `/v1/completions`."""

import math

import pytest

KING = "The king"


def test_each_token_has_its_log_probability_and_place(site, storyteller):
    [choice] = site.post("/v1/completions", prompt=KING, seed=7, max_tokens=10, logprobs=3)[
        "choices"
    ]
    alone = storyteller.generate(KING, seed=7, max_new_tokens=10, logprobs=3).completions[0]
    told = choice["logprobs"]

    assert list(alone.logprobs) == told["token_logprobs"]
    assert "".join(told["tokens"]) == choice["text"]
    for token, place in zip(told["tokens"], told["text_offset"], strict=True):
        assert token == choice["text"][place : place + len(token)]
    for token, top in zip(told["tokens"], told["top_logprobs"], strict=True):
        assert token in top
        assert len(top) in (3, 4)


def test_logprobs_of_0_name_the_tokens_alone(site):
    [choice] = site.post("/v1/completions", prompt=KING, seed=7, max_tokens=4, logprobs=0)[
        "choices"
    ]

    assert [{token} for token in choice["logprobs"]["tokens"]] == [
        top.keys() for top in choice["logprobs"]["top_logprobs"]
    ]


def test_without_logprobs_there_are_none(site):
    assert site.post("/v1/completions", prompt=KING, max_tokens=2)["choices"][0]["logprobs"] is None


def test_echo_begins_with_the_prompt_as_it_was_written(site):
    text = "Once—naïve <|endoftext|> café"
    [choice] = site.post("/v1/completions", prompt=text, seed=7, max_tokens=3, echo=True)["choices"]

    assert choice["text"].startswith(text)


def test_echo_tells_of_the_prompts_tokens_but_the_first(site, storyteller):
    tokens = storyteller.tokenizer.encode("The king was old and the cat was new")
    [choice] = site.post(
        "/v1/completions", prompt=tokens, seed=7, max_tokens=2, echo=True, logprobs=2
    )["choices"]
    told, score = choice["logprobs"], storyteller.score(tokens, bos=False)

    assert [None, *score.logprobs] == told["token_logprobs"][: len(tokens)]
    assert told["top_logprobs"][0] is None
    assert "".join(told["tokens"]) == choice["text"]
    for token, place in zip(told["tokens"], told["text_offset"], strict=True):
        assert token == choice["text"][place : place + len(token)]


def test_no_tokens_are_written_where_a_prompt_is_judged_alone(site, storyteller):
    tokens = storyteller.tokenizer.encode(KING + " was old")
    made = site.post("/v1/completions", prompt=tokens, max_tokens=0, echo=True, logprobs=1)
    [choice] = made["choices"]

    assert KING + " was old" == choice["text"]
    assert len(tokens) == len(choice["logprobs"]["tokens"])
    assert 0 == made["usage"]["completion_tokens"]


@pytest.mark.parametrize("window", [9, 40])
def test_the_form_that_lm_eval_asks_for_gives_the_scores_of_a_continuation(
    window, site, storyteller
):
    encode = storyteller.tokenizer.encode
    pairs = [
        ("The king", " was a good man"),
        ("Once upon a", " time there was a poor woman"),
        ("The cat sat", " on the"),
    ]
    prompts = [[*encode(context), *encode(rest)][-window:] for context, rest in pairs]
    lengths = [
        len(tokens) - len(encode(rest)) for tokens, (_, rest) in zip(prompts, pairs, strict=True)
    ]
    made = site.post(
        "/v1/completions",
        prompt=prompts,
        temperature=0,
        max_tokens=1,
        logprobs=1,
        seed=1234,
        echo=True,
    )

    for choice, tokens, length in zip(made["choices"], prompts, lengths, strict=True):
        told = choice["logprobs"]
        numbers = told["token_logprobs"][length:-1]
        greedy = all(
            number == max(top.values())
            for number, top in zip(numbers, told["top_logprobs"][length:-1], strict=True)
        )
        score = storyteller.score(tokens[length:], context=tokens[:length], bos=False)
        assert (math.fsum(score.logprobs), score.greedy) == (math.fsum(numbers), greedy)


def test_bytes_that_are_no_characters_have_names_of_their_own(site, storyteller):
    text = "東京 🙂"
    tokens = storyteller.tokenizer.encode(text)
    [choice] = site.post(
        "/v1/completions", prompt=tokens, max_tokens=1, seed=7, echo=True, logprobs=20
    )["choices"]
    names = choice["logprobs"]["tokens"][: len(tokens)]
    spelled = b"".join(
        bytes.fromhex(name.removeprefix("bytes:").replace("\\x", ""))
        if name.startswith("bytes:")
        else name.encode()
        for name in names
    )

    assert text == spelled.decode()
    assert any(name.startswith("bytes:") for name in names)
    # A token that goes on with a character stands where the character begins.
    assert choice["logprobs"]["text_offset"][: len(tokens)] == sorted(
        choice["logprobs"]["text_offset"][: len(tokens)]
    )
    assert max(choice["logprobs"]["text_offset"]) <= len(choice["text"])
    assert {21, 20} >= {len(top) for top in choice["logprobs"]["top_logprobs"][1:]}


def test_an_end_token_is_told_of_and_has_no_text(site, storyteller):
    end = storyteller.tokenizer.eos_token_id
    [choice] = site.post(
        "/v1/completions", prompt=KING, seed=7, max_tokens=5, logprobs=0, logit_bias={str(end): 100}
    )["choices"]

    assert ("", "stop", ["<|endoftext|>"]) == (
        choice["text"],
        choice["finish_reason"],
        choice["logprobs"]["tokens"],
    )


def test_tokens_behind_a_stop_text_are_told_of_as_they_are_paid_for(site):
    asked = {"prompt": KING, "seed": 7, "max_tokens": 30, "logprobs": 0}
    text = site.post("/v1/completions", **asked)["choices"][0]["text"]
    made = site.post("/v1/completions", **asked, stop=text[9:12])

    assert made["usage"]["completion_tokens"] == len(made["choices"][0]["logprobs"]["tokens"])
