"""Each strategy draws from the exact target: total variation against enumeration of all texts."""

import math

import pytest
import torch

from gpt2sdk import Generator, LogitsProcessor
from gpt2sdk.testing import Letters, TableModel
from gpt2sdk_steering import AllowedTokens, Potential, ProcessorPotential, as_potential

pytestmark = pytest.mark.slow

LETTERS = Letters("abc")
END = 3
PROMPT = [0, 2]
LENGTH = 3
# Cells are what a text ends with and how long it is. Some thousand independent draws are 0.02 off.
NEAR = 0.05


@pytest.fixture(scope="module")
def gen():
    """Four tokens, of which one ends a text."""
    model = TableModel(vocab_size=4, scale=1.0, bias={END: 0.5}, seed=9)
    return Generator(model, LETTERS, decoder=LETTERS, eos_token_ids=[END])


def bees(text):
    """Make a text three times as likely for each b."""
    return math.log(3.0) * text.count("b")


class Bees(Potential):
    """The same, and what next tokens add is known."""

    def prefix(self, continuation):
        return bees(continuation.text)

    def next(self, continuation):
        return torch.tensor([0.0, math.log(3.0), 0.0, 0.0])


class FewerBees(LogitsProcessor):
    """The same as a processor."""

    more: bool = False

    def process(self, logits, rows):
        return logits + torch.tensor([0.0, math.log(3.0), 0.0, 0.0])


class Twice(LogitsProcessor):
    """Add each token's log-probability once more."""

    twice: bool = True

    def process(self, logits, rows):
        return 2.0 * logits


class NoC(LogitsProcessor):
    """Rule c out, step by step."""

    c: bool = True

    def process(self, logits, rows):
        return logits.index_fill(1, torch.tensor([2]), -math.inf)


def no_c(text):
    """Rule texts with a c out."""
    return -math.inf if "c" in text else 0.0


def exact(gen, weight, *, at_limit="end", alpha=1.0):
    """Enumerate all texts: the target's normalised weights, and its evidence."""
    found, texts = {}, [((), 1.0)]
    while texts:
        text, probability = texts.pop()
        ended = text[-1:] == (END,)
        if ended or (len(text) == LENGTH and at_limit == "cut"):
            found[text] = probability**alpha * math.exp(weight(LETTERS.decode(text)))
        elif len(text) < LENGTH:
            scores = gen.model.score(gen.model.make_cache(1), [[*PROMPT, *text]], [1])
            nexts = scores.logits[0].double().softmax(-1).tolist()
            texts += [((*text, token), probability * each) for token, each in enumerate(nexts)]
    evidence = math.fsum(found.values())
    return {text: share / evidence for text, share in found.items()}, evidence


def cells(shares):
    """Add up what texts of one length and last letter have."""
    found = {}
    for text, share in shares.items():
        cell = len(text), tuple(token for token in text if token != END)[-1:]
        found[cell] = found.get(cell, 0.0) + share
    return found


def distance(one, other):
    """Total variation between two distributions over texts, by their cells."""
    one, other = cells(one), cells(other)
    return sum(abs(one.get(cell, 0.0) - other.get(cell, 0.0)) for cell in {*one, *other}) / 2


def populations(gen, strategy, runs, size, **options):
    """Grow populations of particles: shares of the evidence by run, and by text."""
    result = gen.generate(
        [PROMPT] * runs,
        strategy=strategy,
        num_particles=size,
        num_return_sequences=size,
        max_new_tokens=LENGTH,
        batch_size=runs,
        seed=7,
        **options,
    )
    by_run = [{} for _ in range(runs)]
    for each in result.completions:
        run = by_run[each.prompt_index]
        if each.score is not None:
            run[each.tokens] = run.get(each.tokens, 0.0) + math.exp(each.score)
    return by_run


def together(by_run):
    """Add up the shares of all runs: right on average, since no run is normalised."""
    found = {}
    for run in by_run:
        for text, share in run.items():
            found[text] = found.get(text, 0.0) + share
    total = math.fsum(found.values())
    return {text: share / total for text, share in found.items()}


def on_average(by_run):
    """Add up the normalised shares of all runs."""
    return together([{t: s / sum(run.values()) for t, s in run.items()} for run in by_run])


def chains(gen, strategy, count=1000, **options):
    """Run chains: how often each text is their end."""
    result = gen.generate(
        PROMPT,
        strategy=strategy,
        num_return_sequences=count,
        max_new_tokens=LENGTH,
        seed=7,
        **options,
    )
    return together([{each.tokens: 1.0} for each in result.completions])


def assert_exact(by_run, posterior, evidence):
    """Both the weights and the evidence are right, up to what so many runs are off by."""
    estimates = torch.tensor([sum(run.values()) for run in by_run])
    error = estimates.std().item() / math.sqrt(len(estimates))

    assert distance(together(by_run), posterior) < NEAR
    assert abs(estimates.mean().item() - evidence) < 3 * error
    assert error < 0.05 * evidence


SCHEMES = [
    {"resampling": "multinomial", "at_limit": "end"},
    {"resampling": "stratified", "at_limit": "cut"},
    {"resampling": "systematic", "at_limit": "end"},
    {"resampling": "residual", "at_limit": "cut"},
    {"resampling": "optimal", "beam_factor": 3, "at_limit": "end"},
    {"resampling": "residual", "beam_factor": 2, "at_limit": "end"},
]


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: str(list(scheme.values())))
def test_smc_draws_from_the_posterior_with_each_resampling(gen, scheme):
    by_run = populations(gen, "smc", 150, 16, potential=bees, ess_threshold=1.0, **scheme)

    assert_exact(by_run, *exact(gen, bees, at_limit=scheme["at_limit"]))


@pytest.mark.parametrize(
    "options",
    [
        {"ess_threshold": 0.0},
        {"ess_threshold": 0.5},
        {"unit": 2, "ess_threshold": 1.0},
        {"unit": lambda it: it.text.endswith("b"), "ess_threshold": 1.0},
        {"potential": Bees(), "ess_threshold": 1.0},
        {"potential": ProcessorPotential(FewerBees())},
        {"potential": Bees() ** 0.5 * as_potential(bees) ** 0.5},
    ],
    ids=["importance", "half", "two tokens", "ragged", "next", "processor", "product"],
)
def test_smc_draws_from_the_posterior_however_it_is_weighed(gen, options):
    by_run = populations(gen, "smc", 150, 16, **{"potential": bees, **options})

    assert_exact(by_run, *exact(gen, bees))


def test_smc_conditions_on_a_constraint(gen):
    allowed = AllowedTokens(lambda it: [0, 1, END])

    assert_exact(populations(gen, "smc", 150, 16, potential=allowed), *exact(gen, no_c))


def test_a_constraint_in_the_chain_is_another_distribution(gen):
    by_run = populations(gen, "smc", 150, 16, processors=[NoC(c=False)], at_limit="cut")
    globally = exact(gen, no_c, at_limit="cut")[0]

    assert distance(together(by_run), globally) > NEAR


@pytest.mark.parametrize(
    "options",
    [{}, {"max_accepts": 4}, {"max_rejects": 1}, {"max_accepts": 3, "max_rejects": 2}],
    ids=str,
)
def test_awrs_draws_from_the_constrained_model(gen, options):
    by_run = populations(gen, "awrs", 150, 16, constraint=no_c, **options)

    assert_exact(by_run, *exact(gen, no_c))


@pytest.mark.parametrize("potential", [bees, Bees()], ids=["afterwards", "next"])
def test_awrs_takes_a_potential_besides(gen, potential):
    by_run = populations(gen, "awrs", 150, 16, constraint=no_c, potential=potential)

    assert_exact(by_run, *exact(gen, lambda text: no_c(text) + bees(text)))


@pytest.mark.parametrize(
    "options",
    [{"ess_threshold": 0.7}, {"ancestor_sampling": True}, {"ancestor_sampling": True, "unit": 2}],
    ids=["plain", "ancestors", "ancestors of units"],
)
def test_particle_gibbs_comes_to_the_posterior_with_few_particles(gen, options):
    def many_bees(text):
        return math.log(8.0) * text.count("b")

    options = {"ess_threshold": 1.0, "potential": many_bees, "at_limit": "cut", **options}
    posterior = exact(gen, many_bees, at_limit="cut")[0]
    once = populations(gen, "particle_gibbs", 250, 3, num_iterations=1, **options)
    often = populations(gen, "particle_gibbs", 250, 3, num_iterations=10, **options)

    assert distance(on_average(once), posterior) > 0.2
    assert distance(on_average(often), posterior) < 0.08


@pytest.mark.parametrize("at_limit", ["end", "cut"])
@pytest.mark.parametrize("potential", [bees, Bees()], ids=["afterwards", "next"])
def test_metropolis_hastings_comes_to_the_posterior(gen, potential, at_limit):
    options = {"potential": potential, "at_limit": at_limit}
    posterior = exact(gen, bees, at_limit=at_limit)[0]
    moved = chains(gen, "metropolis_hastings", num_moves=12, **options)

    assert distance(moved, posterior) < NEAR
    if potential is bees:
        assert (
            distance(chains(gen, "metropolis_hastings", num_moves=0, **options), posterior)
            > 2 * NEAR
        )


@pytest.mark.parametrize("block_size", [2, 192])
def test_power_sampling_comes_to_the_power_of_whole_texts(gen, block_size):
    target = exact(gen, lambda text: 0.0, alpha=2.0, at_limit="cut")[0]
    options = {"alpha": 2.0, "block_size": block_size}

    assert distance(chains(gen, "power_sampling", num_moves=12, **options), target) < NEAR
    assert distance(chains(gen, "power_sampling", num_moves=0, **options), target) > 2 * NEAR


def test_a_potential_that_reads_log_probabilities_is_shown_those_of_the_model(gen):
    # What it adds is log p, so the power is one more.
    target = exact(gen, lambda text: 0.0, alpha=1.5, at_limit="cut")[0]
    options = {"alpha": 0.5, "potential": ProcessorPotential(Twice())}

    assert distance(chains(gen, "power_sampling", num_moves=12, **options), target) < NEAR


def test_leaving_the_weights_out_shows(gen):
    posterior, evidence = exact(gen, bees)
    by_run = populations(gen, "smc", 150, 16)
    estimates = torch.tensor([sum(run.values()) for run in by_run])

    assert distance(together(by_run), posterior) > 3 * NEAR
    assert abs(estimates.mean() - evidence) > 0.1 * evidence
