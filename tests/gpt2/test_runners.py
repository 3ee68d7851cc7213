"""What a runner must do: compute what the modules compute, and step aside when they are wanted."""

import copy

import pytest
import torch
from torch import nn

from gpt2sdk.config import GPT2Config
from gpt2sdk.errors import PackedError
from gpt2sdk.gpt2.head import TiedHead
from gpt2sdk.gpt2.model import GPT2

# Large enough that all but the small square matrices are packed.
CONFIG = GPT2Config(
    vocab_size=300,
    n_positions=64,
    n_embd=240,
    n_layer=2,
    n_head=4,
    initializer_range=0.1,
    bos_token_id=0,
    eos_token_id=0,
)
ROWS = [[3, 1, 4, 1, 5], [2, 7], [1, 8, 2, 8]]


def build(dtype=torch.float32, **changes):
    return GPT2(CONFIG.model_copy(update=changes)).to(dtype).eval()


def score(model, rows=ROWS, wanted=()):
    return model.score(model.make_cache(len(rows)), rows, [len(row) for row in rows], wanted)


def assert_same(expected, got, tolerance=1e-5):
    spread = float(expected.max() - expected.min())
    assert float((expected - got).abs().max()) <= tolerance * spread


class Doubled(nn.Module):
    """Another kind of matrix, as a plugin would put in a plain one's place."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return 2 * self.inner(x)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.03), (torch.float64, 1e-6)]
)
@pytest.mark.parametrize("activation", ["gelu_new", "relu", "quick_gelu"])
@pytest.mark.parametrize("tied", [True, False])
def test_scores_are_those_of_the_modules(dtype, tolerance, activation, tied, run_by):
    changes = {"activation_function": activation, "tie_word_embeddings": tied}
    expected = score(build(dtype, **changes), wanted=[0, 1, 2])
    got = score(run_by(build(dtype, **changes)), wanted=[0, 1, 2])

    assert_same(expected.logits, got.logits, tolerance)
    for layer in (0, 1, 2):
        assert_same(expected.hidden_states[layer], got.hidden_states[layer], tolerance)


def test_results_can_be_written_to(run_by):
    model = run_by(build())
    scores = score(model, wanted=[2])

    scores.logits[0] += 1.0
    scores.hidden_states[2][0] += 1.0

    assert not scores.logits.requires_grad


def test_gradients_of_a_packed_model_are_refused(run_by):
    model, tokens = run_by(build()), torch.tensor([[3, 1, 4]])

    with pytest.raises(PackedError, match=r"call model.train\(\) or model.unpack\(\) first"):
        model(tokens, tokens)
    with torch.no_grad():
        assert_same(build()(tokens).logits, model(tokens).logits)
    with pytest.raises(PackedError):
        torch.optim.AdamW(model.parameters())


def test_who_computes_goes_on_while_another_unpacks(runner):
    model = build()
    running = runner.prepare(model)
    assert model.h[0].mlp.c_fc.packed is not None
    keep = [len(row) for row in ROWS]
    expected = running.score(model.make_cache(3), ROWS, keep, []).logits

    running.release()
    assert model.h[0].mlp.c_fc.packed is None
    assert torch.equal(expected, running.score(model.make_cache(3), ROWS, keep, []).logits)


def test_a_prepared_model_saves_its_weights(run_by):
    expected, state = build().state_dict(), run_by(build()).state_dict()

    assert list(expected) == list(state)
    assert all(torch.equal(value, state[name]) for name, value in expected.items())


def test_changed_weights_are_used(run_by):
    model, other = run_by(build()), build()
    score(model)
    model.unpack()
    for one in (model, other):
        with torch.no_grad():
            one.h[0].mlp.c_fc.weight.mul_(2.0)
            one.wte.weight.mul_(1.5)
            one.h[1].ln_1.bias.add_(1.0)

    assert_same(score(other).logits, score(model).logits)
    assert model.h[0].mlp.c_fc.packed is not None


def test_loaded_weights_are_used(run_by):
    model, other = run_by(build()), GPT2(CONFIG, seed=5).eval()

    model.load_state_dict(other.state_dict(), assign=True)

    assert_same(score(other).logits, score(model).logits)


def test_replaced_modules_are_called(run_by, runner):
    model, other = run_by(build()), build()
    score(model)
    for one in (model, other):
        one.h[1].attn.c_attn = Doubled(one.h[1].attn.c_attn)

    assert_same(score(other).logits, score(model).logits)
    assert "module" == model.prepare([runner])["h.1.attn.c_attn"]


class HalvedHead(TiedHead):
    """Another head that reads the table, as an adapter would put in a plain one's place."""

    def forward(self, x, embedding):
        return embedding.attend(x) / 2


def test_a_replaced_head_is_given_the_table(run_by, runner):
    model, plain = run_by(build()), run_by(build())
    score(model)
    model.lm_head = HalvedHead()

    assert_same(score(plain).logits / 2, score(model).logits)
    assert "module" == model.prepare([runner])["lm_head"]
    other = build()
    other.lm_head.forward = lambda x, embedding: embedding.attend(x) / 2
    assert "module" == other.prepare([runner])["lm_head"]
    assert_same(score(model).logits, score(other).logits)


def test_replaced_blocks_are_called(runner):
    model, other = build(), build()
    for one in (model, other):
        block = one.h[1]
        block.mlp = Doubled(block.mlp)

    assert {} == model.prepare([runner])
    assert_same(score(other).logits, score(model).logits)


def test_modules_with_a_forward_of_their_own_are_called(runner):
    model = build()
    plain = model.h[0].forward
    model.h[0].forward = lambda x, attend: plain(x, attend) * 0.0

    assert {} == model.prepare([runner])
    model.h[1].forward = model.h[0].forward
    assert float(score(model).logits.abs().max()) < 1e-3


def test_hooked_modules_are_called(run_by):
    model = run_by(build())
    called = []
    handle = model.h[1].attn.c_proj.register_forward_hook(lambda *_: called.append(1))

    expected = score(model).logits
    handle.remove()

    assert [1] == called
    assert_same(expected, score(model).logits)
    assert [1] == called


def test_training_unpacks_and_evaluation_packs_again(run_by):
    model = run_by(build())

    model.train()
    assert model.h[0].mlp.c_fc.packed is None
    score(model)
    assert model.h[0].mlp.c_fc.packed is None
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    model(torch.tensor([[3, 1, 4]]), torch.tensor([[3, 1, 4]])).loss.backward()
    optimizer.step()
    model.eval()
    got = score(model)

    assert model.h[0].mlp.c_fc.packed is not None
    assert_same(score(copy.deepcopy(model)).logits, got.logits)


def test_a_copy_is_a_model_of_its_own(run_by):
    model = run_by(build())
    expected = score(model).logits
    other = copy.deepcopy(model)
    assert model.h[0].mlp.c_fc.packed is not None
    with torch.no_grad():
        other.h[0].mlp.c_fc.weight.zero_()

    assert_same(expected, score(model).logits)
    assert not torch.allclose(expected, score(other).logits)


def test_a_model_prepared_inside_inference_mode_can_be_trained(runner):
    model = build()
    with torch.inference_mode():
        model.prepare([runner])
        inside = score(model).logits
    outside = score(model).logits
    model.train()
    model(torch.tensor([[3, 1, 4]]), torch.tensor([[3, 1, 4]])).loss.backward()

    assert_same(inside, outside)
    assert model.h[0].mlp.c_fc.weight.grad is not None
