"""The loss and its gradients are those of the plain forward pass, and of transformers."""

import copy

import pytest
import torch
from torch.nn import functional

from gpt2sdk import GPT2Config
from gpt2sdk.gpt2 import GPT2, CausalAttention, Heads, save_pretrained
from gpt2sdk_train import Objective
from gpt2sdk_train.attention import TrainingAttention
from gpt2sdk_train.cross_entropy import linear_cross_entropy, token_losses
from gpt2sdk_train.dropout import Dropout, fast_dropout, keep_scale

SIZES = {"vocab_size": 97, "n_positions": 24, "n_embd": 32, "n_layer": 3, "n_head": 4}


@pytest.fixture
def tokens():
    return torch.randint(97, (3, 20), generator=torch.Generator().manual_seed(1))


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters()}


def largest_difference(expected, got):
    assert expected.keys() == got.keys()
    return max(float((expected[name] - got[name]).abs().max()) for name in expected)


@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"tie_word_embeddings": False},
        {"scale_attn_by_inverse_layer_idx": True},
        {"scale_attn_weights": False, "reorder_and_upcast_attn": True},
        {"activation_function": "relu", "n_inner": 48},
    ],
    ids=str,
)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_are_those_of_the_plain_forward_pass(sizes, checkpointing, tokens):
    model = GPT2(GPT2Config(**SIZES, **sizes, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0))
    model.train()
    plain = model(tokens, tokens).loss
    expected = gradients(model, plain)
    model.gradient_checkpointing = checkpointing
    loss = Objective(model)(tokens)

    assert torch.allclose(plain, loss, atol=1e-6)
    assert largest_difference(expected, gradients(model, loss)) < 1e-6


def test_gradients_are_those_of_transformers(tokens, tmp_path):
    from transformers import GPT2LMHeadModel

    model = GPT2(GPT2Config(**SIZES, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0))
    save_pretrained(model, model.config, None, tmp_path)
    theirs = GPT2LMHeadModel.from_pretrained(tmp_path).train()
    theirs(tokens, labels=tokens).loss.backward()
    own = gradients(model.train(), Objective(model)(tokens))

    expected = {}
    for name, parameter in theirs.transformer.named_parameters():
        turned = name.endswith(GPT2.stored_transposed)
        expected[name] = parameter.grad.T if turned else parameter.grad
    assert largest_difference(expected, own) < 1e-5


def test_bf16_is_close_to_float32(tokens):
    model = GPT2(GPT2Config(**SIZES, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)).train()
    expected = gradients(model, Objective(model)(tokens))
    got = gradients(model, Objective(model, bf16=True)(tokens))

    for name, gradient in expected.items():
        assert (got[name] - gradient).norm() < 0.05 * gradient.norm() + 1e-4, name
        assert got[name].dtype == torch.float32


def test_losses_are_those_of_the_mean(tokens):
    model = GPT2(GPT2Config(**SIZES)).eval()
    objective = Objective(model).eval()

    losses = objective.losses(tokens)
    assert (3, 19) == tuple(losses.shape)
    assert torch.allclose(losses.mean(), objective(tokens), atol=1e-6)


def test_hooks_and_patches_act(tokens):
    model = GPT2(GPT2Config(**SIZES)).eval()
    plain = Objective(model)(tokens)

    with model.patch("h.1.mlp", torch.zeros_like):
        assert not torch.equal(plain, Objective(model)(tokens))


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_attention_has_the_gradients_of_its_steps(dropout):
    heads = Heads(2, 4, 0.5, upcast=False, dropout=dropout)
    qkv = torch.randn(2, 5, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    qkv.requires_grad_(requires_grad=True)
    ahead = torch.randn(2, 5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    torch.manual_seed(7)
    mixed = TrainingAttention()(0, qkv, heads)
    (got,) = torch.autograd.grad(mixed, qkv, ahead)

    torch.manual_seed(7)
    query, key, value = qkv.view(2, 5, 6, 4).transpose(1, 2).split(2, dim=1)
    later = torch.ones(5, 5, dtype=torch.bool).triu(1)
    weights = (query @ key.mT * 0.5).masked_fill(later, -torch.inf).softmax(-1)
    if dropout:
        weights = weights * keep_scale(weights.flatten(0, 1), dropout).view_as(weights)
    stepwise = (weights @ value).transpose(1, 2).reshape(2, 5, 8)
    (expected,) = torch.autograd.grad(stepwise, qkv, ahead)

    assert torch.allclose(stepwise, mixed)
    assert torch.allclose(expected, got)


def test_long_texts_take_the_fused_kernel():
    heads = Heads(1, 2, 1.0, upcast=False)
    qkv = torch.randn(1, 1100, 6)

    assert torch.equal(CausalAttention()(0, qkv, heads), TrainingAttention()(0, qkv, heads))


def test_the_loss_does_not_depend_on_its_pieces(monkeypatch):
    x = torch.randn(30, 8, requires_grad=True)
    weight = torch.randn(11, 8, requires_grad=True)
    labels = torch.randint(11, (30,))
    expected = functional.cross_entropy(x @ weight.T, labels)
    wanted = torch.autograd.grad(expected, (x, weight))

    monkeypatch.setattr("gpt2sdk_train.cross_entropy._PRODUCT", 77)
    monkeypatch.setattr("gpt2sdk_train.cross_entropy._PIECE", 33)
    loss = linear_cross_entropy(x, weight, labels)
    got = torch.autograd.grad(loss, (x, weight))

    assert torch.allclose(expected, loss)
    assert all(
        torch.allclose(one, other, atol=1e-6) for one, other in zip(wanted, got, strict=True)
    )
    assert torch.allclose(expected, token_losses(x, weight, labels).mean())


def test_dropout_drops_its_share_and_keeps_the_mean():
    torch.manual_seed(0)
    scale = keep_scale(torch.empty(400_001), 0.1)

    assert {0.0, float(torch.tensor(65536 / (65536 - 6554)))} == set(scale.unique().tolist())
    assert 0.1 == pytest.approx(float((scale == 0).float().mean()), abs=2e-3)
    assert 1.0 == pytest.approx(float(scale.mean()), abs=2e-3)


def test_dropout_has_the_gradient_of_what_it_kept():
    x = torch.ones(50, requires_grad=True)
    dropped = Dropout(0.5).train()(x)
    dropped.sum().backward()

    assert torch.equal(dropped.detach(), x.grad)
    assert torch.equal(x, Dropout(0.5).eval()(x))
    assert torch.equal(x, Dropout(0.0).train()(x))
    assert torch.equal(torch.zeros(50), Dropout(1.0).train()(x))


def test_fast_dropout_is_taken_back():
    model = GPT2(GPT2Config(**SIZES)).train()
    before = copy.copy(dict(model.named_modules()))
    with fast_dropout(model):
        kinds = {type(module) for module in model.modules()}
        assert Dropout in kinds
        assert torch.nn.Dropout not in kinds
        model.eval()

    assert before == dict(model.named_modules())
    assert not model.drop.training
