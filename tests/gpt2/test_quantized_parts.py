"""Quantized modules in a model: called directly, packed where they stay, stored as they were."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional

from gpt2sdk.components.quantized import QuantizedLinear, QuantizedTable
from gpt2sdk.config import GPT2Config
from gpt2sdk.gpt2.model import GPT2

CONFIG = GPT2Config(
    vocab_size=30,
    n_positions=16,
    n_embd=8,
    n_layer=2,
    n_head=2,
    initializer_range=0.3,
    bos_token_id=0,
    eos_token_id=0,
)
ROWS = [[3, 1, 4, 1, 5], [2, 7]]


class Counted:
    """Numbers as counts of 1/8; packed, they are transposed."""

    def keep(self, weight):
        self.register_buffer("counts", (weight.detach() * 8).round().to(torch.int8))
        self.register_buffer("transposed", None)

    @property
    def kernel(self):
        return "eighths packed" if self.counts is None else "eighths"

    def stored(self):
        return {"": self.counts if self.counts is not None else self.transposed.t().contiguous()}

    def dequantize(self):
        return self.stored()[""].float() / 8

    def pack(self):
        if self.counts is not None:
            self.transposed, self.counts = self.counts.t().contiguous(), None

    def unpack(self):
        if self.counts is None:
            self.counts, self.transposed = self.transposed.t().contiguous(), None


class Eighths(Counted, QuantizedLinear):
    """A layer."""

    def __init__(self, linear):
        super().__init__()
        self.out_features, self.in_features = linear.weight.shape
        bias = None if linear.bias is None else linear.bias.detach().clone()
        self.register_buffer("bias", bias)
        self.keep(linear.weight)

    def forward(self, input):  # noqa: A002 - as torch calls it
        return functional.linear(input, self.dequantize(), self.bias)


class EighthsTable(Counted, QuantizedTable):
    """A table."""

    def __init__(self, table):
        super().__init__()
        self.keep(table.weight)

    def forward(self, tokens):
        return self.dequantize()[tokens]

    def attend(self, x):
        return functional.linear(x, self.dequantize())


def build(*, quantized=True, **changes):
    """Return a model whose numbers are eighths, quantized or not."""
    model = GPT2(CONFIG.model_copy(update=changes)).eval()
    names = [name for name, each in model.named_modules() if isinstance(each, nn.Linear)]
    for name in [*names, "wte"]:
        module = model.get_submodule(name)
        if quantized:
            made = EighthsTable(module) if name == "wte" else Eighths(module)
            model.set_submodule(name, made)
        else:
            module.weight.data = (module.weight.detach() * 8).round() / 8
    return model


def loaded(model, state):
    """Load into a packed model."""
    model.prepare()
    model.load_state_dict(state)
    return model


def score(model):
    return model.score(model.make_cache(2), ROWS, [5, 2]).logits


@pytest.mark.parametrize("tied", [True, False])
def test_a_quantized_model_computes_what_its_numbers_say(tied):
    plain = build(quantized=False, tie_word_embeddings=tied)
    model = build(tie_word_embeddings=tied)
    expected = score(plain)
    tokens = torch.tensor(ROWS[:1])

    assert torch.equal(expected, score(model))
    assert torch.equal(plain(tokens).logits, model(tokens).logits)
    model.prepare()
    assert torch.allclose(expected, score(model), atol=1e-6)


@pytest.mark.parametrize("tied", [True, False])
def test_prepare_packs_them_and_says_how_they_are_computed(tied):
    model = build(tie_word_embeddings=tied)
    kernels = model.prepare()

    assert {"eighths packed"} == set(kernels.values())
    assert 9 == len(kernels)
    assert model.wte.counts is None


def test_they_are_called_directly_unless_they_are_hooked():
    model = build()
    model.prepare()
    calls = []
    handle = model.h[0].mlp.c_fc.register_forward_hook(lambda *_: calls.append(1))
    hooked = score(model)
    handle.remove()

    assert [1] == calls
    assert torch.allclose(hooked, score(model), atol=1e-6)
    assert [1] == calls


def test_what_was_unpacked_is_packed_again_for_the_next_score():
    model = build()
    model.prepare()
    score(model)
    model.h[1].mlp.c_fc.unpack()
    score(model)

    assert model.h[1].mlp.c_fc.counts is None


def test_an_exchanged_matrix_is_noticed():
    model = build()
    model.prepare()
    before = score(model)
    layer = model.h[0].mlp.c_fc
    layer.transposed = -layer.transposed

    assert not torch.allclose(before, score(model))


@pytest.mark.parametrize(
    "look",
    [
        copy.deepcopy,
        lambda model: pickle.loads(pickle.dumps(model)),  # noqa: S301 - our own
        lambda model: model.to("cpu"),
        lambda model: loaded(build(), model.state_dict()),
    ],
    ids=["copied", "pickled", "moved", "loaded"],
)
def test_who_copies_moves_or_loads_sees_the_stored_form(look):
    expected = build().h[0].attn.c_attn.counts
    model = build()
    model.prepare()
    seen = look(model)

    assert torch.equal(expected, seen.h[0].attn.c_attn.counts)
    assert torch.equal(score(build()), score(seen.train().eval()))


def test_who_saves_sees_the_stored_form():
    model = build()
    model.prepare()
    saved = model.state_dict()

    assert build().state_dict().keys() == saved.keys()
    assert torch.equal(build().wte.counts, saved["wte.counts"])


def test_unpack_unpacks_them():
    model = build()
    model.prepare()
    model.unpack()

    assert model.wte.counts is not None
    assert model.h[0].mlp.c_proj.counts is not None


def lend(model):
    """Let somebody hold every matrix of a model, negated."""
    for module in model.modules():
        if isinstance(module, Counted):
            held = module.counts.neg()
            module.lend("counts", lambda held=held: held.neg())
    return model


def test_lent_matrices_compute_are_saved_and_are_copied_as_ever():
    expected, model = build(), lend(build())

    held = [name for name, buffer in model.named_buffers() if "bias" not in name]
    assert [] == held
    assert torch.equal(score(expected), score(model))
    state = model.state_dict()
    assert expected.state_dict().keys() == state.keys()
    assert all(torch.equal(each, state[name]) for name, each in expected.state_dict().items())
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(expected))):  # noqa: S301 - our own
        assert torch.equal(score(expected), score(twin))
        assert dict(twin.h[0].mlp.c_fc.named_buffers()).get("counts") is not None
    assert dict(model.h[0].mlp.c_fc.named_buffers()).get("counts") is None


def test_what_was_lent_is_held_again_when_it_is_reclaimed_moved_or_loaded():
    state = build().state_dict()
    for act in (
        lambda model: [each.reclaim() for each in model.modules() if isinstance(each, Counted)],
        lambda model: model.double().float(),
        lambda model: model.load_state_dict(state),
    ):
        model = lend(build())
        act(model)
        assert torch.equal(state["wte.counts"], dict(model.wte.named_buffers()).get("counts"))
        assert torch.equal(score(build()), score(model))
