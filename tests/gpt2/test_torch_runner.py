"""A prepared model computes what its modules compute, and steps aside when they are wanted."""

import copy

import pytest
import torch
from torch import nn

from gpt2sdk.components.runner import Runner
from gpt2sdk.config import GPT2Config
from gpt2sdk.errors import PackedError
from gpt2sdk.gpt2.head import TiedHead
from gpt2sdk.gpt2.model import GPT2
from gpt2sdk.gpt2.torch_runner import TorchRunner

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


def build(dtype=torch.float32, *, prepared=False, **changes):
    model = GPT2(CONFIG.model_copy(update=changes)).to(dtype).eval()
    if prepared:
        model.prepare()
    return model


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
def test_scores_are_those_of_the_modules(dtype, tolerance, activation, tied):
    changes = {"activation_function": activation, "tie_word_embeddings": tied}
    expected = score(build(dtype, **changes), wanted=[0, 1, 2])
    got = score(build(dtype, prepared=True, **changes), wanted=[0, 1, 2])

    assert_same(expected.logits, got.logits, tolerance)
    for layer in (0, 1, 2):
        assert_same(expected.hidden_states[layer], got.hidden_states[layer], tolerance)


def test_it_says_how_each_matrix_is_computed():
    kernels = build().prepare()

    assert "onednn+gelu" == kernels["h.0.mlp.c_fc"]
    assert "onednn" == kernels["h.1.attn.c_attn"] == kernels["lm_head"]
    assert "torch" == kernels["h.0.attn.c_proj"]
    assert 9 == len(kernels)


def test_results_can_be_written_to():
    model = build(prepared=True)
    scores = score(model, wanted=[2])

    scores.logits[0] += 1.0
    scores.hidden_states[2][0] += 1.0

    assert not scores.logits.requires_grad


def test_a_packed_model_holds_each_block_matrix_once_until_it_is_unpacked():
    model, plain = build(prepared=True), build()
    expected = dict(plain.named_parameters())

    packed = {name for name, each in model.named_parameters() if each.is_meta}
    assert {
        f"h.{n}.{m}.weight" for n in (0, 1) for m in ("attn.c_attn", "mlp.c_fc", "mlp.c_proj")
    } == packed
    sizes = [(each.shape, each.dtype) for each in plain.parameters()]
    assert sizes == [(each.shape, each.dtype) for each in model.parameters()]
    model.unpack()
    assert all(torch.equal(expected[name], each) for name, each in model.named_parameters())


def test_gradients_of_a_packed_model_are_refused():
    model, tokens = build(prepared=True), torch.tensor([[3, 1, 4]])

    with pytest.raises(PackedError, match=r"call model.train\(\) or model.unpack\(\) first"):
        model(tokens, tokens)
    with torch.no_grad():
        assert_same(build()(tokens).logits, model(tokens).logits)
    with pytest.raises(PackedError):
        torch.optim.AdamW(model.parameters())


def test_who_computes_goes_on_while_another_unpacks():
    model = build()
    running = TorchRunner().prepare(model)
    assert model.h[0].mlp.c_fc.packed is not None
    keep = [len(row) for row in ROWS]
    expected = running.score(model.make_cache(3), ROWS, keep, []).logits

    running.release()
    assert model.h[0].mlp.c_fc.packed is None
    assert torch.equal(expected, running.score(model.make_cache(3), ROWS, keep, []).logits)


class Refusing(Runner):
    """Runs nothing."""

    def probe(self, model, device):
        return "it never does"

    def prepare(self, model):
        raise AssertionError


class Echo(Refusing):
    """Hands the work on, under its own name."""

    order = 7

    def probe(self, model, device):
        return None

    def prepare(self, model):
        return TorchRunner().prepare(model)


def test_the_first_runner_that_can_is_used_and_asked_again_when_weights_changed():
    model = build()
    model.prepare([TorchRunner(), Refusing(), Echo()])
    assert isinstance(model.runner, Echo)
    model.unpack()
    assert model.runner is None
    score(model)
    assert isinstance(model.runner, Echo)
    model.prepare()
    assert isinstance(model.runner, TorchRunner)


def test_a_prepared_model_saves_its_weights():
    expected, state = build().state_dict(), build(prepared=True).state_dict()

    assert list(expected) == list(state)
    assert all(torch.equal(value, state[name]) for name, value in expected.items())


def test_changed_weights_are_used():
    model, other = build(prepared=True), build()
    score(model)
    model.unpack()
    for one in (model, other):
        with torch.no_grad():
            one.h[0].mlp.c_fc.weight.mul_(2.0)
            one.wte.weight.mul_(1.5)
            one.h[1].ln_1.bias.add_(1.0)

    assert_same(score(other).logits, score(model).logits)
    assert model.h[0].mlp.c_fc.packed is not None


def test_loaded_weights_are_used():
    model, other = build(prepared=True), GPT2(CONFIG, seed=5).eval()

    model.load_state_dict(other.state_dict(), assign=True)

    assert_same(score(other).logits, score(model).logits)


def test_replaced_modules_are_called():
    model, other = build(prepared=True), build()
    score(model)
    for one in (model, other):
        one.h[1].attn.c_attn = Doubled(one.h[1].attn.c_attn)

    assert_same(score(other).logits, score(model).logits)
    assert "module" == model.prepare()["h.1.attn.c_attn"]


class HalvedHead(TiedHead):
    """Another head that reads the table, as an adapter would put in a plain one's place."""

    def forward(self, x, embedding):
        return embedding.attend(x) / 2


def test_a_replaced_head_is_given_the_table():
    model, plain = build(prepared=True), build(prepared=True)
    score(model)
    model.lm_head = HalvedHead()

    assert_same(score(plain).logits / 2, score(model).logits)
    assert "module" == model.prepare()["lm_head"]
    other = build()
    other.lm_head.forward = lambda x, embedding: embedding.attend(x) / 2
    assert "module" == other.prepare()["lm_head"]
    assert_same(score(model).logits, score(other).logits)


def test_replaced_blocks_are_called():
    model, other = build(), build()
    for one in (model, other):
        block = one.h[1]
        block.mlp = Doubled(block.mlp)

    assert {} == model.prepare()
    assert_same(score(other).logits, score(model).logits)


def test_modules_with_a_forward_of_their_own_are_called():
    model = build()
    plain = model.h[0].forward
    model.h[0].forward = lambda x, attend: plain(x, attend) * 0.0

    assert {} == model.prepare()
    model.h[1].forward = model.h[0].forward
    assert float(score(model).logits.abs().max()) < 1e-3


def test_hooked_modules_are_called():
    model = build(prepared=True)
    called = []
    handle = model.h[1].attn.c_proj.register_forward_hook(lambda *_: called.append(1))

    expected = score(model).logits
    handle.remove()

    assert [1] == called
    assert_same(expected, score(model).logits)
    assert [1] == called


def test_training_unpacks_and_evaluation_packs_again():
    model = build(prepared=True)

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


def test_a_copy_is_a_model_of_its_own():
    model = build(prepared=True)
    expected = score(model).logits
    other = copy.deepcopy(model)
    assert model.h[0].mlp.c_fc.packed is not None
    with torch.no_grad():
        other.h[0].mlp.c_fc.weight.zero_()

    assert_same(expected, score(model).logits)
    assert not torch.allclose(expected, score(other).logits)


def test_a_model_prepared_inside_inference_mode_can_be_trained():
    model = build()
    with torch.inference_mode():
        model.prepare()
        inside = score(model).logits
    outside = score(model).logits
    model.train()
    model(torch.tensor([[3, 1, 4]]), torch.tensor([[3, 1, 4]])).loss.backward()

    assert_same(inside, outside)
    assert model.h[0].mlp.c_fc.weight.grad is not None


def test_a_common_offset_does_not_coarsen_bfloat16_logits():
    """The logits of the released GPT-2 lie around −100, where bfloat16 has steps of one half."""
    model = build()
    with torch.no_grad():
        model.ln_f.bias.fill_(3.0)
        model.wte.weight.sub_(0.15)
    exact = score(model).logits
    coarse = model.bfloat16()
    plain = score(coarse).logits
    coarse.prepare()
    centred = score(coarse).logits

    assert exact.mean() < -100
    assert float((exact - centred).std()) < 0.5 * float((exact - plain).std())


def test_a_model_on_the_meta_device_is_left_alone():
    with torch.device("meta"):
        model = GPT2(CONFIG)

    assert {"torch"} == set(model.prepare().values())
