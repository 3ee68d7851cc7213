"""Placed models write what others write, whatever the strategy."""

import re

import pytest

import gpt2sdk_accelerate
from gpt2sdk import Generator, OptionError, PlacementError
from gpt2sdk.testing import save_tiny_model
from gpt2sdk_accelerate.auto import Auto

PLACEMENTS = ["auto", "balanced", "cpu-offload", "disk_offload", {"": "cpu", "h.1": "disk"}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpt2")
    save_tiny_model(folder)
    return folder


@pytest.fixture(scope="module")
def plain(folder):
    return Generator.from_pretrained(folder, device="cpu")


def load(folder, placement, **more):
    return Generator.from_pretrained(
        folder, device="cpu", placement=placement, max_memory={"cpu": "50MB"}, **more
    )


@pytest.mark.parametrize("placement", PLACEMENTS, ids=str)
@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "greedy"},
        {"num_return_sequences": 3, "temperature": 0.9},
        {"drafter": "prompt_lookup"},
        {"strategy": "beam", "num_beams": 3},
        {"guidance_scale": 1.5, "negative_prompt": "The end"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_text_is_that_of_a_model_in_memory(placement, options, folder, plain):
    prompt = "Once upon a time and a time and a"
    expected = plain.generate(prompt, max_new_tokens=12, seed=7, **options)
    got = load(folder, placement).generate(prompt, max_new_tokens=12, seed=7, **options)

    assert [each.tokens for each in expected.completions] == [
        each.tokens for each in got.completions
    ]


def test_scores_are_those_of_a_model_in_memory(folder, plain):
    expected = plain.score("Once upon a time").logprobs
    got = load(folder, "disk_offload").score("Once upon a time").logprobs

    assert pytest.approx(expected, abs=1e-5) == got


def test_a_runner_runs_a_placed_model_or_says_why_not(folder, plain, runner):
    said = "runner=.* cannot run this model: the model's parts are placed"
    options = {"strategy": "greedy", "max_new_tokens": 8}
    try:
        gen = load(folder, "disk_offload", runner=runner)
    except OptionError as error:
        assert re.match(said, str(error))  # noqa: PT017 - one of the two
        gen = load(folder, "disk_offload")
        assert runner.name != gen.model.runner.name

    assert plain.generate("Once", **options).text == gen.generate("Once", **options).text


def test_what_does_not_fit_is_an_error_before_work(folder):
    with pytest.raises(PlacementError, match="does not fit"):
        Generator.from_pretrained(
            folder, device="cpu", placement="auto", max_memory={"cpu": "100kB"}
        )


def test_settings_are_checked():
    with pytest.raises(OptionError, match="cache_tokens"):
        Auto(cache_tokens=-1)


def test_every_placement_and_setting_stands_in_the_readme():
    from pathlib import Path

    readme = (Path(__file__).parents[1] / "README.md").read_text()
    components = gpt2sdk_accelerate.gpt2sdk_components()
    names = {each.name for each in components} | {
        o for each in components for o in each.model_fields
    }

    assert [] == [name for name in sorted(names) if f"`{name}`" not in readme]


@pytest.mark.parametrize(("quantization", "most"), [(None, 1e-5), ("int8", 1e-5), ("int4", 2e-3)])
def test_quantized_weights_on_disk_compute_what_those_in_memory_do(quantization, most):
    """As parts of the range of the logits."""
    pytest.importorskip("gpt2sdk_storyteller")
    pytest.importorskip("gpt2sdk_quantization")
    tokens = [(place * 977) % 4096 for place in range(40)]
    logits = []
    for placement in (None, "disk_offload"):
        model = Generator.from_pretrained(
            "storyteller",
            device="cpu",
            quantization=quantization,
            placement=placement,
            runner="torch",
        ).model
        logits.append(model.score(model.make_cache(1), [tokens], [40]).logits)
    resident, offloaded = logits
    spread = resident.max() - resident.min()

    assert not model.residency.permanent("h.0")
    assert (resident - offloaded).abs().max() <= most * spread
