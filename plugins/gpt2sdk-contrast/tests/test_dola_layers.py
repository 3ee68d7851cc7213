"""DoLa: by hand, and against the published algorithm on whole passes of transformers' GPT-2."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional
from transformers import AutoModelForCausalLM

from gpt2sdk import Generator, OptionError
from gpt2sdk.testing import TableModel, make_rows, process, tiny_tokenizer
from gpt2sdk_contrast.dola_layers import DolaLayers, contrast_layers, divergences, half

INF = float("inf")


def transformers_layers(dola_layers, count, *, tied):
    """Return the earlier layers that `transformers-community/dola` compares."""
    start = 0 if not tied else {1: 0, 2: 1}.get(count, 2)
    if dola_layers == "low":
        if start == count // 2:
            return [start]
        return list(range(start, count // 2 if count <= 40 else 20, 2))
    if dola_layers == "high":
        return list(range(count // 2 if count <= 40 else count - 20, count, 2))
    return dola_layers


def transformers_contrast(final, earlier):
    """Return the scores of `transformers-community/dola` for one row, step by step."""
    chosen = 0
    if len(earlier) > 1:
        p, q = final.softmax(-1), earlier.softmax(-1)
        mean = 0.5 * (p + q)
        kl1 = functional.kl_div(final.log_softmax(-1)[None], mean, reduction="none").mean(-1)
        kl2 = functional.kl_div(earlier.log_softmax(-1), mean, reduction="none").mean(-1)
        chosen = int((0.5 * (kl1 + kl2)).mean(-1).argmax())
    scores, base = final.log_softmax(-1), earlier[chosen].log_softmax(-1)
    out = scores < scores.amax(-1, keepdim=True) + math.log(0.1)
    return scores.masked_fill(out, -INF) - base.masked_fill(out, -1e-3)


def test_tokens_that_the_last_layer_learned_win():
    last = torch.tensor([[0.5, 0.4, 0.1]]).log()
    earlier = torch.tensor([[[0.8, 0.1, 0.1]]]).log()

    found = contrast_layers(last, earlier, 0.5).exp()

    torch.testing.assert_close(torch.tensor([[0.625, 4.0, 0.0]]), found)


def test_each_row_is_contrasted_with_its_own_farthest_layer():
    last = torch.tensor([[0.5, 0.5], [0.5, 0.5]]).log()
    layers = torch.tensor([[[0.9, 0.1], [0.6, 0.4]], [[0.6, 0.4], [0.9, 0.1]]]).log()

    found = contrast_layers(last, layers, 0.1)

    assert torch.equal(found[0], found[1])
    torch.testing.assert_close(torch.tensor([5 / 9, 5.0]), found[0].exp())


def test_divergences_have_the_mean_first():
    # With m = (0.75, 0.25), KL(m | p) = 0.75 ln 1.5 + 0.25 ln 0.5 and KL(m | q) likewise of q.
    last, layer = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[[1.0, 1e-3]]]).log()
    mean = torch.tensor([0.75, 0.2505])
    expected = (mean * (mean.log() - (last[0] + layer[0, 0]) / 2)).sum()

    torch.testing.assert_close(expected, divergences(last, layer)[0, 0])


@given(st.floats(0.01, 1.0), st.integers(0, 99), st.integers(1, 3))
def test_it_keeps_a_token_and_unmasks_none(share, seed, count):
    generator = torch.Generator().manual_seed(seed)
    last, layers = (
        torch.randn(2, 9, generator=generator),
        9 * torch.randn(count, 2, 9, generator=generator),
    )
    last[0, :5] = -INF

    found = contrast_layers(last, layers, share)

    assert found.isfinite().any(-1).all()
    assert found[0, :5].isneginf().all()
    assert not found.isnan().any()


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("count", [1, 2, 4, 6, 12, 24, 36, 40, 41, 48])
def test_low_and_high_are_the_layers_of_transformers(count, tied):
    for word in ("low", "high"):
        assert transformers_layers(word, count, tied=tied) == half(word, count, tied=tied)


def test_of_three_layers_low_is_the_second():
    assert [2] == half("low", 3, tied=True)


@pytest.mark.parametrize("layers", [0, [0], [1, 0], "low"])
def test_hidden_states_are_those_after_each_rows_last_token(layers):
    model = TableModel(28)
    rows = make_rows([[4, 5, 9, 8], [7]], prompt_lengths=[2, 1])
    numbers = {0: [0], "low": [1]}.get(layers, layers) if not isinstance(layers, list) else layers
    scores = [
        model.score(model.make_cache(1), [tokens], [1], [0, 1, 2]) for tokens in ([4, 5, 9, 8], [7])
    ]
    logits = torch.cat([each.logits for each in scores])
    states = torch.stack(
        [torch.cat([each.hidden_states[layer] for each in scores]) for layer in numbers]
    )

    found = process(DolaLayers(dola_layers=layers), logits, rows)

    assert torch.equal(contrast_layers(logits, model.unembed(states), 0.1), found)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("layers", ["low", "high", 3, [1, 3, 5], [0, 1, 2, 3, 4]])
def test_rows_are_those_of_the_published_algorithm(layers, tied, build, anew, grow, tmp_path):
    generator = Generator(build(layers=6, tied=tied), tiny_tokenizer(), eos_token_ids=[])
    generator.save_pretrained(tmp_path / "saved")
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    numbers = [layers] if isinstance(layers, int) else transformers_layers(layers, 6, tied=tied)

    def score(logits, tokens, prompt):
        with torch.no_grad():
            output = theirs(torch.tensor([tokens]), output_hidden_states=True)
            earlier = [theirs.lm_head(output.hidden_states[layer][:, -1]) for layer in numbers]
        return transformers_contrast(output.logits[:, -1], torch.stack(earlier))

    found = grow(generator, dola_layers=layers)

    assert grow(generator, processors=[anew(score)]) == found
    assert grow(generator) != found


def test_earlier_layers_may_be_read_through_the_final_norm(expert, anew, grow):
    model = expert.model

    def score(logits, tokens, prompt):
        with torch.no_grad():
            states = model(torch.tensor([tokens]), hidden_states=True).hidden_states
            earlier = [
                model.lm_head(model.ln_f(states[layer][:, -1]), model.wte) for layer in (2, 4)
            ]
        return transformers_contrast(logits, torch.stack(earlier))

    found = grow(expert, dola_layers=[2, 4], dola_final_norm=True)

    assert grow(expert, processors=[anew(score)]) == found
    assert grow(expert, dola_layers=[2, 4]) != found


def test_it_composes_with_a_second_model(expert, amateur, grow):
    both = grow(expert, dola_layers="high", amateur_model=amateur)

    assert both not in (grow(expert, dola_layers="high"), grow(expert, amateur_model=amateur))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (6, "dola_layers has 6: expected layers from 0 to 5, below the last"),
        ([1, -1], "dola_layers has -1: expected layers from 0 to 5"),
        ("middle", 'should be "low", "high", a layer or a list of layers'),
        ([], 'should be "low", "high", a layer or a list of layers'),
        (True, 'should be "low", "high", a layer or a list of layers'),
    ],
)
def test_layers_have_to_be_there(layers, message, expert):
    with pytest.raises(OptionError, match=message):
        expert.generate("Once", dola_layers=layers)


class Plain(TableModel):
    """A model whose layers cannot be asked."""

    unembed = property()


def test_a_model_whose_layers_cannot_be_asked_is_refused():
    generator = Generator(Plain(tiny_tokenizer().vocab_size), tiny_tokenizer())
    with pytest.raises(OptionError, match="Plain has no final_norm and unembed"):
        generator.generate("Once", dola_layers="low")
