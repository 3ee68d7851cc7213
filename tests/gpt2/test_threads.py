"""Several threads score one model while others look at it, copy it and unpack it."""

import copy
import pickle
import sys
import threading
import time

import pytest
import torch
from torch import nn

from gpt2sdk.components.quantized import QuantizedLinear
from gpt2sdk.config import GPT2Config
from gpt2sdk.gpt2.model import GPT2

CONFIG = GPT2Config(
    vocab_size=300, n_positions=64, n_embd=272, n_layer=2, n_head=4, initializer_range=0.1
)
ROW = [3, 1, 4, 1, 5]


class Halves(QuantizedLinear):
    """Half of each number, packed under another name; exchanging takes its time."""

    def __init__(self, layer):
        super().__init__()
        self.out_features, self.in_features = layer.weight.shape
        self.register_buffer("halved", layer.weight.detach() / 2)
        self.register_buffer("whole", None)
        self.register_buffer("bias", layer.bias.detach())

    @property
    def kernel(self):
        return "halves" if self.whole is None else "whole"

    def held(self):
        with self.exchanging:
            return self.halved * 2 if self.whole is None else self.whole

    def stored(self):
        return {"": self.held() / 2}

    def dequantize(self):
        return self.held()

    def pack(self):
        with self.exchanging:
            if self.whole is None:
                half, self.halved = self.halved, None
                time.sleep(0.001)
                self.whole = half * 2

    def unpack(self):
        with self.exchanging:
            if self.whole is not None:
                whole, self.whole = self.whole, None
                time.sleep(0.001)
                self.halved = whole / 2

    def forward(self, x):
        return nn.functional.linear(x, self.held(), self.bias)


def build(*, quantized, runners=()):
    model = GPT2(CONFIG).eval()
    for block in model.h if quantized else ():
        block.mlp.c_fc = Halves(block.mlp.c_fc)
    model.prepare(runners)
    return model


def score(model):
    return model.score(model.make_cache(1), [ROW], [len(ROW)]).logits


@pytest.fixture
def switching():
    """Let threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


LOOKS = {
    "counted": lambda model: sum(p.numel() for p in model.parameters()),
    "copied": copy.deepcopy,
    "unpacked": GPT2.unpack,
    "saved": lambda model: model.state_dict(),
}


@pytest.mark.parametrize("quantized", [False, True], ids=["plain", "quantized"])
def test_scores_are_the_same_whatever_other_threads_do(runner, quantized, switching):
    model = build(quantized=quantized, runners=[runner])
    # Matrices that a runner does not know leave the model to the torch functions.
    assert quantized or runner.name == model.runner.name
    expected = score(model)
    errors, end = [], time.monotonic() + 2.0

    def repeat(act):
        try:
            while time.monotonic() < end:
                act()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test tells
            errors.append(repr(error))

    def run():
        torch.testing.assert_close(score(model), expected, rtol=1e-5, atol=1e-5)

    def look():
        for act in LOOKS.values():
            act(model)
        model.prepare([runner])

    threads = [threading.Thread(target=repeat, args=[act]) for act in (run, run, run, look)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [] == errors
    run()


def test_copies_have_the_numbers():
    model = build(quantized=True)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301 - our own
        assert torch.allclose(score(model), score(twin), rtol=1e-5, atol=1e-5)


def test_a_hook_may_unpack_in_the_middle_of_scores_of_several_threads():
    model = build(quantized=True)
    expected = score(model)
    both = threading.Barrier(2)
    got = []

    def hook(*_):
        both.wait(timeout=5)
        model.unpack()

    model.h[1].register_forward_pre_hook(hook)
    threads = [threading.Thread(target=lambda: got.append(score(model))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)

    assert 2 == len(got)
    assert all(torch.allclose(expected, each, rtol=1e-5, atol=1e-4) for each in got)


def test_counting_parameters_leaves_matrices_packed():
    model = build(quantized=True)
    sum(parameter.numel() for parameter in model.parameters())

    assert "whole" == model.h[0].mlp.c_fc.kernel
    assert model.h[0].attn.c_attn.packed is not None


def test_matrices_are_packed_and_unpacked_in_tight_memory(monkeypatch):
    import contextlib

    from gpt2sdk.gpt2 import prepared as module

    seen = []

    @contextlib.contextmanager
    def tight():
        seen.append("in")
        yield

    model = build(quantized=False)
    monkeypatch.setattr(module, "tight_memory", tight)
    model.unpack()
    score(model)

    # Unpacked, and packed again.
    assert ["in", "in"] == seen
