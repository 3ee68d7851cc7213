"""The torch functions: what they pack, and who comes before them."""

import torch

from gpt2sdk.components.runner import Runner
from gpt2sdk.config import GPT2Config
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


def test_it_says_how_each_matrix_is_computed():
    kernels = build().prepare()

    assert "onednn+gelu" == kernels["h.0.mlp.c_fc"]
    assert "onednn" == kernels["h.1.attn.c_attn"] == kernels["lm_head"]
    assert "torch" == kernels["h.0.attn.c_proj"]
    assert 9 == len(kernels)


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
