"""The particle filter and Metropolis-Hastings of the examples draw from the exact posterior."""

import math
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch

from gpt2sdk import Generator
from gpt2sdk.testing import Letters, TableModel

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
LETTERS = Letters("abcdefg")
END = 7
PROMPT = [0, 3]
LENGTH = 4
WISH, STRENGTH = "b", math.log(4.0)
# A total variation. Three thousand independent draws are about 0.02 off.
NEAR = 0.025


def strategy_of(name):
    """Load an example, and return the strategy it is named for."""
    spec = spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name.partition("_")[2])


@pytest.fixture(scope="module")
def particle_filter():
    return strategy_of("06_particle_filter")


@pytest.fixture(scope="module")
def metropolis_hastings():
    return strategy_of("07_metropolis_hastings")


@pytest.fixture(scope="module", params=[-50.0, 2.0], ids=["one length", "many lengths"])
def gen(request):
    """Eight tokens, of which one ends a text: never, or often."""
    model = TableModel(vocab_size=8, scale=1.0, bias={END: request.param}, seed=9)
    return Generator(model, LETTERS, decoder=LETTERS, eos_token_ids=[END])


def exact(gen):
    """Enumerate all texts: the posterior of the last token, and the evidence."""
    share = torch.zeros(8, dtype=torch.float64)
    texts = [((), 1.0)]
    while texts:
        text, probability = texts.pop()
        if len(text) == LENGTH or text[-1:] == (END,):
            wishes = LETTERS.decode(text).count(WISH)
            share[text[-1]] += probability * math.exp(STRENGTH * wishes)
            continue
        scores = gen.model.score(gen.model.make_cache(1), [[*PROMPT, *text]], [1])
        nexts = scores.logits[0].double().softmax(-1).tolist()
        texts += [((*text, token), probability * each) for token, each in enumerate(nexts)]
    return share / share.sum(), share.sum().item()


def distance(completions, weights, posterior):
    """Total variation between the last tokens of weighted completions and their posterior."""
    last = torch.tensor([completion.tokens[-1] for completion in completions])
    found = torch.zeros_like(posterior).index_add(0, last, weights)
    return (found / found.sum() - posterior).abs().sum().item() / 2


def filtered(gen, particle_filter, strength, runs=100, particles=32):
    """Run the filter with many seeds: completions, and their shares of the evidence."""
    result = gen.generate(
        [PROMPT] * runs,
        strategy=particle_filter,
        wish=WISH,
        strength=strength,
        particles=particles,
        num_return_sequences=particles,
        max_new_tokens=LENGTH,
        batch_size=100,
        seed=7,
    )
    scores = [completion.score for completion in result.completions]
    return result.completions, torch.tensor(scores, dtype=torch.float64).exp().view(runs, -1)


def walked(gen, metropolis_hastings, strength, chains=64, moves=90, burn_in=10):
    """Run many chains at once: their states after the first few."""
    result = gen.generate(
        [PROMPT] * chains,
        strategy=metropolis_hastings,
        wish=WISH,
        strength=strength,
        moves=moves,
        num_return_sequences=moves - burn_in,
        max_new_tokens=LENGTH,
        batch_size=chains,
        seed=7,
    )
    assert len(result.completions) == chains * (moves - burn_in)
    return result.completions, torch.ones(len(result.completions), dtype=torch.float64)


@pytest.mark.slow
def test_particle_filter_draws_from_the_posterior(gen, particle_filter):
    posterior, evidence = exact(gen)
    completions, shares = filtered(gen, particle_filter, STRENGTH)

    estimates = shares.sum(1)
    assert distance(completions, shares.flatten(), posterior) < NEAR
    assert abs(estimates.mean() - evidence) < 3 * estimates.std() / math.sqrt(len(estimates))


@pytest.mark.slow
def test_metropolis_hastings_draws_from_the_posterior(gen, metropolis_hastings):
    posterior, _ = exact(gen)

    assert distance(*walked(gen, metropolis_hastings, STRENGTH), posterior) < NEAR


@pytest.mark.slow
def test_leaving_the_weights_out_shows(gen, particle_filter, metropolis_hastings):
    posterior, evidence = exact(gen)
    completions, shares = filtered(gen, particle_filter, 0.0, runs=30)

    assert distance(completions, shares.flatten(), posterior) > 3 * NEAR
    assert abs(shares.sum(1).mean() - evidence) > 0.1 * evidence
    states = walked(gen, metropolis_hastings, 0.0, chains=32, moves=50)
    assert distance(*states, posterior) > 3 * NEAR


@pytest.mark.parametrize("name", ["06_particle_filter", "07_metropolis_hastings"])
def test_prompts_do_not_know_each_other(gen, name):
    options = {"strategy": strategy_of(name), "wish": WISH, "max_new_tokens": 9}
    prompts = [[0, 3], [5], [1, 1, 2]]
    together = gen.generate(prompts, seed=[4, 5, 6], num_return_sequences=4, **options)
    alone = [
        gen.generate(prompt, seed=seed, num_return_sequences=4, **options)
        for prompt, seed in zip(prompts, [4, 5, 6], strict=True)
    ]

    assert together.texts == [text for result in alone for text in result.texts]
    scores = [completion.score for result in alone for completion in result.completions]
    assert [completion.score for completion in together.completions] == scores
