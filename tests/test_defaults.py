"""The core's strategies and samplers pick the tokens that their formulas say."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpt2sdk import Generator, strategy
from gpt2sdk.defaults import Greedy, Multinomial, gpt2sdk_components, greedy, sample
from gpt2sdk.gpt2.architecture import GPT2Architecture
from gpt2sdk.gpt2.torch_runner import TorchRunner
from gpt2sdk.plugins.registry import Registry
from gpt2sdk.testing import Letters, TableModel, make_rows

finite = st.floats(-20, 20, width=32)
rows_of_logits = st.integers(2, 9).flatmap(
    lambda width: st.lists(
        st.lists(st.one_of(finite, st.just(-torch.inf)), min_size=width, max_size=width).filter(
            lambda row: max(row) > -torch.inf
        ),
        min_size=1,
        max_size=9,
    )
)


def rows(count, **options):
    """Return so many rows, each with a random number of its own."""
    return make_rows([[0]] * count, purpose="multinomial", **options)


def first_home(logits, numbers):
    """The token whose exponential number, divided by its probability, is the least."""
    times = numbers.double() / logits.double().softmax(-1)
    return times.tolist().index(min(times.tolist()))


@given(rows_of_logits, st.integers())
def test_multinomial_draws_in_a_race(logits, seed):
    logits, view = torch.tensor(logits), rows(len(logits), seed=seed)
    numbers = view.exponentials(range(logits.shape[1]))
    expected = [first_home(*row) for row in zip(logits, numbers, strict=True)]

    assert expected == Multinomial().choose(logits, view).tolist()


@given(rows_of_logits, st.integers())
def test_a_token_that_is_out_is_never_drawn(logits, seed):
    drawn = Multinomial().choose(torch.tensor(logits), rows(len(logits), seed=seed))

    assert all(row[token] > -torch.inf for row, token in zip(logits, drawn.tolist(), strict=True))


def test_tokens_are_drawn_as_often_as_they_are_probable():
    probabilities = torch.tensor([0.5, 0.0, 0.2, 0.3])
    count = 10_000
    drawn = Multinomial().choose(probabilities.log().expand(count, -1), rows(count))

    shares = torch.bincount(drawn, minlength=4) / count
    assert torch.allclose(probabilities, shares, atol=0.015)


def test_a_row_draws_alone_what_it_draws_among_others():
    logits = torch.randn(11, 50, generator=torch.Generator().manual_seed(0))
    view = rows(11)
    together = Multinomial().choose(logits, view)

    for place in range(11):
        alone = Multinomial().choose(logits[place : place + 1], view.select([place]))
        assert together[place] == alone[0]


def test_greedy_takes_the_lowest_of_the_best():
    logits = torch.tensor(
        [[0.9, 0.0, 0.0, 0.9], [0.0, 0.0, 0.0, 0.0], [-torch.inf, -1.0, 0.1, 0.1]]
    )

    assert [0, 0, 2] == Greedy().choose(logits, rows(3)).tolist()


@pytest.mark.parametrize("sampler", [Greedy(), Multinomial()])
def test_tokens_are_int64(sampler):
    assert torch.int64 == sampler.choose(torch.zeros(2, 3), rows(2)).dtype


@strategy(rows_independent=True)
def cautious(session):
    """Go on greedily, whatever sampler the call has."""
    yield from greedy(session)


@pytest.fixture(scope="module")
def gen():
    letters = Letters()
    registry = Registry(discover=False)
    return Generator(TableModel(), letters, decoder=letters, registry=registry)


def test_greedy_is_sample_with_the_greedy_sampler(gen):
    options = {"max_new_tokens": 20, "eos_token_id": None, "num_return_sequences": 2}
    expected = gen.generate(["a", "bc"], sampler="greedy", **options).texts

    assert expected == gen.generate(["a", "bc"], strategy="greedy", **options).texts
    assert expected == gen.generate(["a", "bc"], strategy=cautious, **options).texts
    assert expected != gen.generate(["a", "bc"], seed=1, **options).texts


def test_greedy_takes_the_best_token_of_the_model_each_time(gen):
    tokens = list(gen.generate([3], strategy="greedy", max_new_tokens=8).completions[0].tokens)
    history = [3, *tokens]

    for end in range(1, len(history)):
        cache = gen.model.make_cache(1)
        logits = gen.model.score(cache, [history[:end]], [1]).logits
        assert logits[0].argmax() == history[end]


def test_the_core_offers_its_own_through_the_hook():
    assert (
        sample,
        greedy,
        Greedy,
        Multinomial,
        GPT2Architecture,
        TorchRunner,
    ) == gpt2sdk_components()
    assert (True, True) == (sample.component.rows_independent, sample.component.draws)
    assert (True, False) == (greedy.component.rows_independent, greedy.component.draws)
    assert (0, 0) == (sample.component().hold(), greedy.component().hold())
