"""Ensembles: by hand, and against models that read everything anew."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpt2sdk import OptionError
from gpt2sdk.testing import TableModel, make_rows, process
from gpt2sdk_contrast.ensemble import Ensemble, mix

INF = float("inf")


def logprobs(*probabilities):
    return torch.tensor([probabilities]).log()


def test_a_product_is_a_weighted_geometric_mean():
    found = mix([logprobs(0.5, 0.5), logprobs(0.9, 0.1)], [0.5, 0.5], "product")

    # sqrt(0.9) : sqrt(0.1) is 3 : 1.
    torch.testing.assert_close(torch.tensor([[0.75, 0.25]]), found.exp())


def test_a_mean_is_a_weighted_sum():
    found = mix([logprobs(0.5, 0.5), logprobs(0.9, 0.1)], [0.25, 0.75], "mean")

    torch.testing.assert_close(torch.tensor([[0.8, 0.2]]), found.exp())


def test_each_can_veto_in_a_product_and_bring_in_a_token_in_a_mean():
    both = [logprobs(0.5, 0.5, 1e-9), logprobs(0.0, 0.5, 0.5)]

    product, mean = (mix(both, [0.5, 0.5], operation) for operation in ("product", "mean"))

    assert -INF == product[0, 0]
    assert mean[0, 2] > -2


def test_what_is_out_for_the_row_stays_out():
    found = mix([logprobs(0.5, 0.5, 0.0), logprobs(0.1, 0.1, 0.8)], [0.5, 0.5], "mean")

    assert -INF == found[0, 2]
    torch.testing.assert_close(1.0, found.exp().sum().item())


def test_where_models_agree_on_nothing_the_row_stays():
    row = logprobs(0.25, 0.75, 0.0)

    torch.testing.assert_close(row, mix([row, logprobs(0.0, 0.0, 1.0)], [0.5, 0.5], "product"))


@given(st.sampled_from(["product", "mean"]), st.lists(st.floats(0.01, 1), min_size=2, max_size=4))
def test_mixtures_are_distributions_and_a_model_with_itself_is_itself(operation, weights):
    generator = torch.Generator().manual_seed(len(weights))
    several = torch.randn(len(weights), 2, 9, generator=generator).log_softmax(-1)
    shares = [weight / sum(weights) for weight in weights]

    torch.testing.assert_close(torch.ones(2), mix(list(several), shares, operation).exp().sum(-1))
    torch.testing.assert_close(several[0], mix([several[0]] * len(shares), shares, operation))


@pytest.mark.parametrize("weights", [None, (2.0, 2.0, 2.0), (0.1, 0.1, 0.1)])
def test_weights_are_equal_by_default_and_divided_by_their_sum(weights):
    models = [TableModel(28, seed=seed) for seed in (1, 2)]
    logits = torch.randn(1, 28, generator=torch.Generator().manual_seed(0))
    rows = make_rows([[4, 5, 6]], prompt_lengths=[2])

    found = process(Ensemble(ensemble=models, ensemble_weights=weights), logits, rows)

    scores = [model.score(model.make_cache(1), [[4, 5, 6]], [1]).logits for model in models]
    mean = torch.stack([logits, *scores]).log_softmax(-1).mean(0)
    torch.testing.assert_close(mean.log_softmax(-1), found)


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 1.0, 1.0)])
def test_there_is_a_weight_for_each_model(weights):
    with pytest.raises(OptionError, match=f"has {len(weights)}, expected 2 weights"):
        process(Ensemble(ensemble=[TableModel(28)], ensemble_weights=weights), torch.zeros(1, 28))


@pytest.mark.parametrize("operation", ["product", "mean"])
def test_rows_are_those_of_models_that_read_all_anew(
    operation, expert, amateur, build, anew, logits_of, grow
):
    third = build(seed=2)
    weights = [0.5, 0.2, 0.3]

    def score(logits, tokens, prompt):
        others = [logits_of(model, tokens) for model in (amateur.model, third)]
        return mix([each.log_softmax(-1) for each in (logits, *others)], weights, operation)

    options = {"ensemble_op": operation, "ensemble_weights": weights}
    found = grow(expert, ensemble=[amateur, third], **options)

    assert grow(expert, processors=[anew(score)]) == found
    assert grow(expert) != found
