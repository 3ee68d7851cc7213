"""The model: shapes, loss, padding, fresh weights, and what it refuses."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpt2sdk.components.causal_lm import CausalLM
from gpt2sdk.config import GPT2Config
from gpt2sdk.errors import ContextOverflowError, OptionError
from gpt2sdk.gpt2.layout import parameter_shapes
from gpt2sdk.gpt2.model import GPT2

CONFIG = GPT2Config(
    vocab_size=13,
    n_positions=24,
    n_embd=16,
    n_layer=3,
    n_head=4,
    initializer_range=0.3,
    bos_token_id=0,
    eos_token_id=0,
)
MODEL = GPT2(CONFIG).eval()


def build(**changes):
    return GPT2(CONFIG.model_copy(update=changes)).eval()


def forward(row):
    with torch.no_grad():
        return MODEL(torch.tensor([row])).logits[0]


tokens = st.integers(0, 12)
rows = st.lists(st.lists(tokens, min_size=1, max_size=12), min_size=1, max_size=4)


def test_it_is_a_causal_lm():
    assert isinstance(MODEL, CausalLM)
    assert (13, 24, 3) == (MODEL.vocab_size, MODEL.context_length, MODEL.layers)
    assert torch.device("cpu") == MODEL.device


@pytest.mark.parametrize("tied", [True, False])
def test_parameters_are_those_of_the_checkpoint(tied):
    model = build(tie_word_embeddings=tied, n_inner=40)
    expected = parameter_shapes(model.config)

    assert expected == {name: tuple(value.shape) for name, value in model.named_parameters()}
    assert expected == {name: tuple(value.shape) for name, value in model.state_dict().items()}


def test_two_blocks_by_hand():
    """With all matrices 0, blocks add their biases: logits are norms times embeddings."""
    model = build(n_layer=2, n_embd=4, n_head=2, vocab_size=3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith("h.") and parameter.ndim == 2:
                parameter.zero_()
        model.wte.weight.copy_(torch.eye(3, 4))
        model.wpe.weight.zero_()
        model.h[0].mlp.c_proj.bias.copy_(torch.tensor([0.0, 0.0, 0.0, 3.0]))
        model.h[1].attn.c_proj.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0]))

        # The stream (2, 0, 0, 3) has mean 5/4 and variance 27/16.
        logits = model(torch.tensor([[0]])).logits[0, 0]

    scale = math.sqrt(27 / 16 + 1e-5)
    expected = torch.tensor([0.75, -1.25, -1.25]) / scale
    torch.testing.assert_close(expected, logits)


@given(rows=rows)
def test_padding_changes_nothing(rows):
    longest = max(map(len, rows))
    padded = torch.tensor([row + [-5] * (longest - len(row)) for row in rows])
    lengths = torch.tensor([len(row) for row in rows])

    with torch.no_grad():
        logits = MODEL(padded, lengths=lengths).logits

    for row, got in zip(rows, logits, strict=True):
        torch.testing.assert_close(forward(row), got[: len(row)], rtol=1e-4, atol=1e-4)


@given(row=st.lists(tokens, min_size=1, max_size=24), cut=st.integers(0, 24))
def test_cached_is_uncached(row, cut):
    cache = MODEL.make_cache(1)
    first = MODEL.score(cache, [row[:cut]], [len(row[:cut])]).logits
    second = MODEL.score(cache, [row[cut:]], [len(row[cut:])]).logits

    torch.testing.assert_close(forward(row), torch.cat([first, second]), rtol=1e-4, atol=1e-4)


@given(row=st.lists(tokens, min_size=2, max_size=12), later=tokens)
def test_later_tokens_do_not_change_earlier_logits(row, later):
    changed = [*row[:-1], later]

    torch.testing.assert_close(forward(row)[:-1], forward(changed)[:-1])


def test_only_kept_positions_are_scored():
    scores = MODEL.score(MODEL.make_cache(3), [[1, 2, 3], [4], [5, 6]], [2, 0, 1], [1, 3])

    expected = torch.stack([*forward([1, 2, 3])[1:], forward([5, 6])[1]])
    torch.testing.assert_close(expected, scores.logits)
    assert [(1, (3, 16)), (3, (3, 16))] == [
        (layer, tuple(stream.shape)) for layer, stream in scores.hidden_states.items()
    ]


@pytest.mark.parametrize("prepared", [False, True])
def test_hidden_states_of_scores_are_those_of_forward(prepared):
    model = build()
    if prepared:
        model.prepare()
    scores = model.score(model.make_cache(1), [[1, 2, 3]], [3], [0, 2, 3])

    with torch.no_grad():
        whole = model(torch.tensor([[1, 2, 3]]), hidden_states=True).hidden_states
        for layer in (0, 2):
            torch.testing.assert_close(whole[layer][0], scores.hidden_states[layer])
        torch.testing.assert_close(whole[3][0], model.ln_f(scores.hidden_states[3]))


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize("tied", [False, True])
def test_any_layer_can_be_read_through_the_last_norm_and_the_head(prepared, tied):
    model = build(tie_word_embeddings=tied)
    if prepared:
        model.prepare()
    scores = model.score(model.make_cache(1), [[1, 2, 3]], [3], [1, 3])
    states = scores.hidden_states
    head = model.wte.weight if tied else model.lm_head.weight

    torch.testing.assert_close(scores.logits, model.unembed(model.final_norm(states[3])))
    torch.testing.assert_close(model.ln_f(states[1]), model.final_norm(states[1]))
    torch.testing.assert_close(states[1] @ head.T, model.unembed(states[1]))


def test_hidden_states_of_any_shape_are_read():
    model = build()
    states = torch.randn(2, 3, 16)

    assert (2, 3, 13) == tuple(model.unembed(model.final_norm(states)).shape)
    assert (13,) == tuple(model.unembed(states[0, 0]).shape)
    assert (0, 13) == tuple(model.unembed(states[0, :0]).shape)
    torch.testing.assert_close(model.unembed(states)[1, 2], model.unembed(states[1, 2]))
    assert not model.unembed(states.requires_grad_()).requires_grad


@pytest.mark.parametrize("prepared", [False, True])
def test_nothing_fed_or_kept_is_nothing_scored(prepared):
    model = build()
    if prepared:
        model.prepare()
    cache = model.make_cache(2)

    nothing = model.score(cache, [[], []], [0, 0], [1])
    unscored = model.score(cache, [[1, 2], [3]], [0, 0], [1])

    assert (0, 13) == tuple(nothing.logits.shape) == tuple(unscored.logits.shape)
    assert (0, 16) == tuple(nothing.hidden_states[1].shape)
    assert (0, 16) == tuple(unscored.hidden_states[1].shape)
    assert (2, 1) == cache.lengths
    torch.testing.assert_close(forward([1, 2, 4])[2:], model.score(cache, [[4], []], [1, 0]).logits)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_scores_are_float32_whatever_the_model_is(dtype):
    model = build().to(dtype)

    logits = model.score(model.make_cache(1), [[1, 2]], [2]).logits
    with torch.no_grad():
        whole = model(torch.tensor([[1, 2]])).logits[0]

    assert torch.float32 == logits.dtype
    assert (torch.float64 if dtype == torch.float64 else torch.float32) == whole.dtype
    torch.testing.assert_close(whole.float(), logits, rtol=0.05, atol=0.05)


def test_the_loss_of_no_knowledge_is_the_logarithm_of_the_vocabulary():
    model = build()
    with torch.no_grad():
        model.wte.weight.zero_()
    row = torch.tensor([[1, 2, 3]])

    assert math.log(13) == pytest.approx(model(row, row).loss.item())


def test_ignored_labels_and_padding_are_left_out_of_the_loss():
    row = torch.tensor([[1, 2, 3, 4, 0, 0]])
    labels = torch.tensor([[1, 2, -100, 4, 7, 7]])
    length = torch.tensor([4])

    logprobs = forward([1, 2, 3, 4]).log_softmax(-1)
    with torch.no_grad():
        got = MODEL(row, labels, lengths=length).loss

    torch.testing.assert_close(-(logprobs[0, 2] + logprobs[2, 4]) / 2, got)


def test_checkpointing_changes_no_gradient():
    model = build(resid_pdrop=0.2, embd_pdrop=0.2, attn_pdrop=0.0).train()
    row = torch.tensor([[1, 2, 3, 4]])
    gradients = []
    for checkpointing in (False, True):
        model.gradient_checkpointing = checkpointing
        model.zero_grad()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model(row, row).loss.backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])

    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed)


@pytest.mark.parametrize("field", ["resid_pdrop", "embd_pdrop", "attn_pdrop"])
def test_dropout_acts_in_training_only(field):
    dropouts = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0} | {field: 0.5}
    model = build(**dropouts)
    row = torch.tensor([[1, 2, 3, 4]])

    evaluated = model(row).logits
    scored = model.score(model.make_cache(1), row.tolist(), [4]).logits
    model.train()

    assert not torch.allclose(evaluated, model(row).logits)
    torch.testing.assert_close(evaluated[0], scored)
    torch.testing.assert_close(scored, model.score(model.make_cache(1), row.tolist(), [4]).logits)
    assert all(module.training for module in model.modules())


def test_fresh_weights_follow_the_paper():
    model = GPT2(GPT2Config(n_layer=2, n_embd=192, n_head=4, vocab_size=500, n_positions=200))

    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any()
        elif parameter.ndim == 1:
            assert (parameter == 1).all()
        else:
            expected = 0.01 if name.endswith("c_proj.weight") else 0.02
            assert expected == pytest.approx(parameter.std().item(), rel=0.03)


def test_seeds_give_weights_and_leave_torch_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one, same, other = (GPT2(CONFIG, seed=seed).state_dict() for seed in (3, 3, 4))

    assert all(torch.equal(value, same[name]) for name, value in one.items())
    assert not torch.equal(one["wte.weight"], other["wte.weight"])
    assert torch.equal(before, torch.get_rng_state())


def test_on_the_meta_device_there_are_no_weights():
    with torch.device("meta"):
        model = GPT2(CONFIG)
    model.load_state_dict(MODEL.state_dict(), assign=True)

    with torch.no_grad():
        assert torch.equal(forward([1, 2]), model.eval()(torch.tensor([[1, 2]])).logits[0])


@pytest.mark.parametrize("token", [13, -1])
def test_a_token_outside_the_vocabulary_is_named(token):
    with pytest.raises(OptionError, match=rf"token {token}: expected .*from 0 to 12"):
        MODEL(torch.tensor([[1, token]]))
    with pytest.raises(OptionError, match=rf"token {token}: expected .*from 0 to 12"):
        MODEL.score(MODEL.make_cache(1), [[1, token]], [1])


def test_more_than_the_window_is_refused():
    with pytest.raises(ContextOverflowError, match=r"25 tokens, .* window is 24"):
        MODEL(torch.zeros(1, 25, dtype=torch.int64))
    with pytest.raises(ContextOverflowError, match=r"fed 25 more, .* window is 24"):
        MODEL.score(MODEL.make_cache(1), [[0] * 25], [1])


def test_a_full_window_can_be_used():
    row = [place % 13 for place in range(24)]
    cache = MODEL.make_cache(1)
    MODEL.score(cache, [row[:23]], [0])

    torch.testing.assert_close(forward(row)[-1:], MODEL.score(cache, [row[23:]], [1]).logits)


@pytest.mark.parametrize("layer", [-1, 4])
def test_layers_that_are_none_are_refused(layer):
    with pytest.raises(OptionError, match=f"hidden_states {layer}: expected layers from 0 to 3"):
        MODEL.score(MODEL.make_cache(1), [[1]], [1], [layer])


def test_a_cache_of_another_model_is_refused():
    other = build(n_layer=2).make_cache(1)

    with pytest.raises(OptionError, match="this model's make_cache"):
        MODEL.score(other, [[1]], [1])


def test_unknown_activations_are_refused():
    with pytest.raises(OptionError, match="activation_function='gelu_neu'"):
        build(activation_function="gelu_neu")
