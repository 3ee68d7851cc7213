"""What a request's fields and options come to: how many rows, and whose value counts."""

import pytest

from gpt2sdk_serve import ServeSettings
from gpt2sdk_serve.call_options import read_options
from gpt2sdk_serve.completion_fields import CompletionFields
from gpt2sdk_serve.problem import RequestError

OWN = {"max_new_tokens": 4, "num_return_sequences": 1}


def options_of(storyteller, fields, prompts=1, **settings):
    asked = CompletionFields(prompt="a", **fields)
    return read_options(asked, storyteller, ServeSettings(**settings), OWN, prompts)


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        ({}, (1, 1)),
        ({"num-beams": 9, "strategy": "beam"}, (9, 9)),
        ({"beam.num-beams": 9, "strategy": "beam"}, (9, 9)),
        ({"num_beams": {"each": [3, 9]}, "strategy": "beam"}, (3, 9)),
        ({"strategy": "diverse_beam", "num_beams": 4, "num_beam_groups": 2}, (8, 8)),
        ({"strategy": "contrastive_search", "top_k": 50}, (50, 50)),
        ({"strategy": "smc", "num_particles": 16, "beam_factor": 8}, (128, 128)),
        ({"strategy": "particle_gibbs", "num_particles": 8, "num_iterations": 99}, (8, 8)),
        ({"strategy": "particle_gibbs", "num_particles": 8, "ancestor_sampling": True}, (16, 16)),
        ({"strategy": "metropolis_hastings", "num_moves": 200}, (2, 2)),
        ({"strategy": "power_sampling", "num_moves": 200}, (2, 2)),
    ],
    ids=str,
)
def test_a_prompt_has_as_many_rows_as_its_strategy_says(options, rows, storyteller):
    assert rows == options_of(storyteller, {"gpt2sdk": options}, prompts=2).rows


@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "beam", "num-beams": 200},
        {"strategy": "contrastive_search", "top_k": 200},
        {"strategy": "smc", "num_particles": 64, "beam_factor": 64},
        {"strategy": "beam", "num_beams": {"each": [200, 200, 200]}},
    ],
    ids=str,
)
def test_more_rows_than_the_server_allows_are_refused(options, storyteller):
    with pytest.raises(RequestError, match="rows, expected 512 at most"):
        options_of(storyteller, {"gpt2sdk": options}, prompts=3)


@pytest.mark.parametrize(
    ("field", "neutral", "usual"),
    [
        ("temperature", 1, {"temperature": 0.25}),
        ("temperature", 1.0, {"temperature.temperature": 0.25}),
        ("top_p", 1, {"top-p": 0.5}),
        ("frequency_penalty", 0, {"frequency_penalty": 0.5}),
        ("presence_penalty", 0.0, {"presence_penalty": 0.5}),
        ("logit_bias", {}, {"logit_bias": {"1": 2.0}}),
        ("stop", [], {"stop": ["a"]}),
    ],
)
def test_what_a_request_says_counts_though_it_asks_for_nothing(field, neutral, usual, storyteller):
    preset = {"min_p": 0.1, **usual}
    unsaid = options_of(storyteller, {}, preset=preset).preset
    said = options_of(storyteller, {field: neutral}, preset=preset).preset

    assert preset.items() <= unsaid.items()
    assert {"min_p", *OWN, "seed"} == said.keys()


def test_a_format_that_asks_for_text_takes_the_place_of_the_servers(storyteller):
    usual = {"json_schema": {"type": "object"}}
    fields = {"response_format": {"type": "text"}}

    assert "json_schema" not in options_of(storyteller, fields, preset=usual).preset


@pytest.mark.parametrize(
    "fields",
    [
        {"logit_bias": {str(token): 1.0 for token in range(1025)}},
        {"gpt2sdk": {"logit_bias": {str(token): 1.0 for token in range(1025)}}},
        {"gpt2sdk": {"logit-bias": {str(token): 1.0 for token in range(1025)}}},
        {
            "gpt2sdk": {
                "processors": [
                    {"name": "logit_bias", "logit_bias": {str(token): 1.0 for token in part}}
                    for part in (range(1000), range(25))
                ]
            }
        },
    ],
    ids=["field", "option", "dash", "list"],
)
def test_biases_are_counted_wherever_they_stand(fields, storyteller):
    with pytest.raises(RequestError, match="1025 entries, expected 1024"):
        options_of(storyteller, fields)


def test_biases_of_the_server_itself_are_not_counted(storyteller):
    preset = {"logit_bias": {str(token): 1.0 for token in range(3)}}

    assert (
        preset["logit_bias"]
        == options_of(storyteller, {}, preset=preset, max_biases=2).preset["logit_bias"]
    )
