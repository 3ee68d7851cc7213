"""`/v1/completions`, as OpenAI's client asks it."""

import asyncio
import math

import pytest

openai = pytest.importorskip("openai", reason="needs openai: requirements-dev.txt")

KING = "The king"


def test_models_lists_every_name(client):
    listed = {model.id: model for model in client.models.list()}

    assert ["storyteller", "teller"] == list(listed)
    assert listed["storyteller"].root == listed["teller"].root
    assert "teller" == client.models.retrieve("teller").id


def test_a_completion_is_what_generate_writes(client, storyteller):
    made = client.completions.create(model="storyteller", prompt=KING, seed=7, max_tokens=12)
    alone = storyteller.generate(KING, seed=7, max_new_tokens=12)

    assert alone.text == made.choices[0].text
    assert "length" == made.choices[0].finish_reason
    assert (2, 12, 14) == (
        made.usage.prompt_tokens,
        made.usage.completion_tokens,
        made.usage.total_tokens,
    )
    assert made.id.startswith("cmpl-")
    assert "text_completion" == made.object


def test_sixteen_tokens_and_a_temperature_of_1_are_the_defaults(client, storyteller):
    made = client.completions.create(model="storyteller", prompt=KING, seed=3)

    assert storyteller.generate(KING, seed=3, max_new_tokens=16).text == made.choices[0].text


def test_null_means_the_default(site, storyteller):
    made = site.post(
        "/v1/completions", prompt=KING, seed=3, max_tokens=None, stop=None, n=None, logit_bias=None
    )

    assert storyteller.generate(KING, seed=3, max_new_tokens=16).text == made["choices"][0]["text"]


def test_a_temperature_of_0_is_greedy(client, storyteller):
    texts = {
        client.completions.create(
            model="storyteller", prompt=KING, temperature=0, seed=seed, max_tokens=10
        )
        .choices[0]
        .text
        for seed in (1, 2)
    }

    assert {storyteller.generate(KING, strategy="greedy", max_new_tokens=10).text} == texts


def test_a_seed_that_is_not_given_is_drawn_and_returned(client):
    first = client.completions.create(model="storyteller", prompt=KING, max_tokens=12)
    seed = first.gpt2sdk["seed"]
    again = client.completions.create(model="storyteller", prompt=KING, max_tokens=12, seed=seed)

    assert first.choices[0].text == again.choices[0].text
    assert first.system_fingerprint == again.system_fingerprint


def test_several_prompts_and_completions_are_numbered_through(client, storyteller):
    made = client.completions.create(
        model="storyteller", prompt=[KING, "The cat"], n=2, seed=5, max_tokens=6
    )
    alone = storyteller.generate(
        [KING, "The cat"], num_return_sequences=2, seed=5, max_new_tokens=6
    )

    assert [0, 1, 2, 3] == [choice.index for choice in made.choices]
    assert alone.texts == [choice.text for choice in made.choices]


def test_token_ids_go_in_and_come_out(client, storyteller):
    tokens = storyteller.tokenizer.encode(KING)
    made = client.completions.create(
        model="storyteller",
        prompt=tokens,
        seed=7,
        max_tokens=5,
        extra_body={"return_token_ids": True},
    )
    alone = storyteller.generate(tokens, seed=7, max_new_tokens=5).completions[0]

    assert (tokens, list(alone.tokens)) == (
        made.choices[0].prompt_token_ids,
        made.choices[0].token_ids,
    )


def test_lists_of_token_ids_are_several_prompts(client, storyteller):
    prompts = [storyteller.tokenizer.encode(text) for text in (KING, "The cat")]
    made = client.completions.create(model="storyteller", prompt=prompts, seed=7, max_tokens=5)

    assert storyteller.generate(prompts, seed=7, max_new_tokens=5).texts == [
        choice.text for choice in made.choices
    ]


def test_a_stop_text_ends_a_completion_before_it(client, storyteller):
    whole = storyteller.generate(KING, seed=7, max_new_tokens=40).text
    stop = whole[10:14]
    made = client.completions.create(
        model="storyteller", prompt=KING, seed=7, max_tokens=40, stop=[stop]
    )

    assert whole[: whole.index(stop)] == made.choices[0].text
    assert "stop" == made.choices[0].finish_reason
    assert "stop_string" == made.choices[0].gpt2sdk["finish_reason"]


def test_a_bias_of_100_all_but_forces_a_token(client, storyteller):
    [token] = storyteller.tokenizer.encode(" cat")
    made = client.completions.create(
        model="storyteller", prompt=KING, seed=7, max_tokens=3, logit_bias={str(token): 100}
    )

    assert " cat cat cat" == made.choices[0].text


def test_penalties_and_top_p_have_the_meaning_of_the_options(client, storyteller):
    options = {"top_p": 0.8, "frequency_penalty": 0.5, "presence_penalty": 0.25}
    made = client.completions.create(
        model="storyteller", prompt=KING, seed=7, max_tokens=20, temperature=0.7, **options
    )
    alone = storyteller.generate(KING, seed=7, max_new_tokens=20, temperature=0.7, **options)

    assert alone.text == made.choices[0].text


def test_options_of_peers_stand_beside_the_fields(client, storyteller):
    made = client.completions.create(
        model="storyteller",
        prompt=KING,
        seed=7,
        max_tokens=20,
        extra_body={"top_k": 5, "repetition_penalty": 1.3, "min_p": 0.05},
    )
    alone = storyteller.generate(
        KING, seed=7, max_new_tokens=20, top_k=5, repetition_penalty=1.3, min_p=0.05
    )

    assert alone.text == made.choices[0].text


@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "beam", "num_beams": 3},
        {"strategy": "greedy"},
        {"strategy": "best_of_n", "best_of": 3},
        {"drafter": "prompt_lookup"},
        {"processors": [{"name": "top_k", "top_k": 20}, {"name": "min_p", "min_p": 0.05}]},
        {"sampler": "mirostat", "mirostat_tau": 3.0},
    ],
    ids=lambda options: str(next(iter(options.values())))[:20],
)
def test_any_strategy_and_component_is_an_option(options, client, storyteller):
    made = client.completions.create(
        model="storyteller", prompt=KING, seed=7, max_tokens=12, extra_body={"gpt2sdk": options}
    )
    alone = storyteller.generate(KING, seed=7, max_new_tokens=12, **options)

    assert alone.text == made.choices[0].text


def test_a_json_schema_gives_a_completion_its_form(client, storyteller):
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
    made = client.completions.create(
        model="storyteller",
        prompt=KING,
        seed=7,
        max_tokens=60,
        extra_body={
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "a", "schema": schema},
            }
        },
    )
    alone = storyteller.generate(KING, seed=7, max_new_tokens=60, json_schema=schema)

    assert alone.text == made.choices[0].text


def test_the_best_of_several_are_the_likeliest_per_token(client, storyteller):
    made = client.completions.create(
        model="storyteller", prompt=KING, seed=7, max_tokens=8, n=2, best_of=5
    )
    alone = storyteller.generate(
        KING, seed=7, max_new_tokens=8, num_return_sequences=5, logprobs=0
    ).completions
    means = sorted(alone, key=lambda each: -math.fsum(each.logprobs) / len(each.logprobs))

    assert [each.text for each in means[:2]] == [choice.text for choice in made.choices]
    assert [0, 1] == [choice.index for choice in made.choices]
    assert 40 == made.usage.completion_tokens


def test_harmless_fields_are_accepted_and_change_nothing(client, storyteller):
    made = client.completions.create(
        model="storyteller",
        prompt=KING,
        seed=7,
        max_tokens=5,
        user="me",
        extra_body={"metadata": {"a": "b"}, "store": True, "service_tier": "auto"},
    )

    assert storyteller.generate(KING, seed=7, max_new_tokens=5).text == made.choices[0].text


def test_a_record_repeats_the_completion(site, storyteller):
    made = site.post("/v1/completions", prompt=KING, max_tokens=9, top_p=0.9, return_record=True)
    again = storyteller.generate(KING, config=made["gpt2sdk"]["record"])

    assert again.text == made["choices"][0]["text"]


def test_the_asynchronous_client_has_the_same_answer(site, storyteller):
    async def ask():
        async with openai.AsyncOpenAI(base_url=f"{site.url}/v1", api_key="none") as client:
            one = client.completions.create(model="storyteller", prompt=KING, seed=7, max_tokens=9)
            other = client.completions.create(model="teller", prompt=KING, seed=8, max_tokens=9)
            return await asyncio.gather(one, other)

    texts = [made.choices[0].text for made in asyncio.run(ask())]

    assert [storyteller.generate(KING, seed=s, max_new_tokens=9).text for s in (7, 8)] == texts


def test_the_servers_preset_counts_where_a_request_gives_nothing(serve, storyteller):
    preset = {"strategy": "beam", "num_beams": 3, "repetition_penalty": 1.2}
    with serve({"storyteller": storyteller}, preset=preset) as site:
        usual = site.post("/v1/completions", prompt=KING, seed=7, max_tokens=8)
        other = site.post(
            "/v1/completions", prompt=KING, seed=7, max_tokens=8, gpt2sdk={"strategy": "greedy"}
        )

    beams = storyteller.generate(KING, seed=7, max_new_tokens=8, **preset)
    greedy = storyteller.generate(KING, max_new_tokens=8, strategy="greedy", repetition_penalty=1.2)
    assert [beams.text, greedy.text] == [each["choices"][0]["text"] for each in (usual, other)]
