"""The same calls on a GPU as on a CPU."""

import pytest
import torch

from gpt2sdk import Generator
from gpt2sdk.race import NO_TOKEN, keys, race
from gpt2sdk.rng import purpose_key
from gpt2sdk.testing import Letters, tiny_gpt2

pytestmark = pytest.mark.gpu

CALLS = {
    "greedy": {"strategy": "greedy"},
    "sampled": {"temperature": 0.9, "top_k": 40, "top_p": 0.95, "min_p": 0.01, "seed": 5},
    "penalties": {"repetition_penalty": 1.3, "no_repeat_ngram_size": 2, "presence_penalty": 0.4},
    "mirostat": {"sampler": "mirostat"},
    "guided": {"guidance_scale": 1.5, "negative_prompt": [3, 1]},
    "beams": {"strategy": "beam", "num_beams": 3},
    "drafted": {"strategy": "greedy", "drafter": "prompt_lookup"},
    "refilled": {"batch_size": 2, "seed": 9},
}


def generator(device, dtype=torch.float32):
    model, letters = tiny_gpt2().to(device=device, dtype=dtype), Letters()
    model.prepare()
    return Generator(model, letters, decoder=letters, eos_token_ids=[])


@pytest.mark.parametrize("name", CALLS)
def test_tokens_are_those_of_a_cpu(name):
    prompts = [[1, 2, 3], [4, 5], [6], [7, 8, 9, 1, 2], [3] * 12]
    options = {"seed": 3, "max_new_tokens": 24, **CALLS[name]}
    if "strategy" in options:
        options.pop("seed")
    there = generator("cuda").generate(prompts, **options)
    here = generator("cpu").generate(prompts, **options)

    assert [each.tokens for each in there.completions] == [each.tokens for each in here.completions]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_runs_and_repeats(dtype):
    gen = generator("cuda", dtype)
    first = gen.generate([1, 2, 3], max_new_tokens=30, seed=1)
    again = gen.generate([1, 2, 3], max_new_tokens=30, seed=1)

    assert first.completions == again.completions


def test_a_race_is_won_by_those_who_win_it_on_a_cpu():
    logits = 3.0 * torch.randn(200, 50_257, generator=torch.Generator().manual_seed(0))
    seeds, draws = torch.arange(-100, 100), torch.arange(200)
    made = keys(seeds, draws % 3, draws, purpose_key("multinomial"))
    there = keys(seeds.cuda(), (draws % 3).cuda(), draws.cuda(), purpose_key("multinomial"))

    assert made.tolist() == there.tolist()
    assert race(logits, made).tolist() == race(logits.cuda(), there).tolist()
    assert [NO_TOKEN] * 200 == race(torch.full_like(logits, torch.nan).cuda(), there).tolist()


def test_logits_are_close_to_a_cpus():
    logits = []
    for device in ("cpu", "cuda"):
        model = tiny_gpt2().to(device)
        cache = model.make_cache(2)
        model.score(cache, [[1, 2, 3], [4]], [1, 1])
        logits.append(model.score(cache, [[5, 6], [7]], [2, 1]).logits.cpu())

    spread = float(logits[0].max() - logits[0].min())
    assert float((logits[0] - logits[1]).abs().max()) < 1e-4 * spread
