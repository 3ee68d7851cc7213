"""What a model says of where its keys and values come from."""

import copy

import pytest
import torch
from torch import nn

from gpt2sdk.testing import tiny_gpt2


@pytest.fixture(params=["plain", "prepared"])
def model(request):
    made = tiny_gpt2()
    if request.param == "prepared":
        made.prepare()
    return made


def write(tensor):
    with torch.no_grad():
        tensor.add_(1)


def test_a_model_that_stays_as_it_is_says_the_same(model):
    before = model.origin()
    model.score(model.make_cache(1), [[1, 2]], [1])
    with model.capture("h.0"):
        pass

    assert model.origin() == before
    assert before is not None
    assert hash(before) == hash(model.origin())


@pytest.mark.parametrize(
    "change",
    [
        lambda model: write(model.wpe.weight),
        lambda model: write(model.h[1].ln_2.weight),
        lambda model: write(model.h[0].attn.c_attn.bias),
        lambda model: model.unpack() or write(model.h[0].mlp.c_fc.weight),
        lambda model: model.load_state_dict(tiny_gpt2(3).state_dict()),
        lambda model: setattr(model.ln_f, "weight", nn.Parameter(torch.ones(32))),
        lambda model: model.h.__setitem__(0, copy.deepcopy(model.h[1])),
        lambda model: model.to(torch.float64),
    ],
)
def test_other_weights_are_another_origin(model, change):
    before = model.origin()
    change(model)

    assert model.origin() != before


def test_gradients_that_were_applied_are_another_origin(model):
    before = model.origin()
    model.train().requires_grad_()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    model(torch.tensor([[1, 2, 3]]), torch.tensor([[1, 2, 3]])).loss.backward()
    optimizer.step()

    assert model.origin() != before
    assert model.eval().origin() != before


def test_there_is_none_while_somebody_looks_on_or_changes_what_modules_return(model):
    with model.capture("h.0.mlp"):
        assert model.origin() is None
    with model.patch("h.0.mlp", torch.zeros_like):
        assert model.origin() is None
    assert model.origin() is not None


def test_there_is_none_for_modules_with_hooks_for_all_or_a_forward_of_their_own():
    model = tiny_gpt2()
    handle = nn.modules.module.register_module_forward_hook(lambda *_: None)
    assert model.origin() is None
    handle.remove()
    assert model.origin() is not None
    model.h[0].mlp.forward = torch.zeros_like
    assert model.origin() is None


def test_a_copy_has_an_origin_of_its_own(model):
    assert copy.deepcopy(model).origin() != model.origin()
