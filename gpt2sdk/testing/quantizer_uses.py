"""Checks of what is done with a quantizer's modules: threads, casts, gradients, bad numbers."""

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from threading import Event, Thread
from time import sleep

import torch
from torch import Tensor

from gpt2sdk.components.quantized import QuantizedLinear, QuantizedTable
from gpt2sdk.errors import CheckpointError
from gpt2sdk.testing.promise import promise
from gpt2sdk.testing.quantizer_cases import HANDY, Case

# How long threads disturb each other, and how often they take turns then.
_SECONDS, _SWITCH = 0.5, 1e-5
# How far products may be once a model is cast, and gradients, in parts of their norm.
_CAST_TOLERANCE, _GRADIENT_TOLERANCE = 0.03, 0.01


def check_forms(case: Case, tolerance: float) -> float:
    """Products are the same packed and unpacked; return how far they are at most.

    Returns:
        The largest difference, in parts of the row's largest product.
    """
    module, x = case.make(), case.inputs()
    plain = case.products(module, x).float()
    module.pack()
    packed = case.products(module, x).float()
    largest = packed.abs().amax(dim=-1, keepdim=True).clamp_min(1e-30)
    apart = float(((plain - packed).abs() / largest).max())
    message = f"{case}: unpacked, products differ by {apart:.1e}, more than {tolerance:.0e}"
    promise(apart <= tolerance, message)
    return apart


def check_threads(case: Case) -> None:
    """Threads may compute while others pack and unpack: the numbers stay what they were."""
    if case.matrix.shape != HANDY:
        return
    module, x = case.make(), case.inputs(4)
    stored = _copied(case, module)
    expected = case.products(module, x).float()
    close = 0.02 * float(expected.abs().max())
    module.pack()

    def compute() -> None:
        found = case.products(module, x).float()
        apart = float((found - expected).abs().max())
        promise(apart <= close, f"products are {apart} away")

    problems: list[str] = []
    stop = Event()
    actions = (compute, module.pack, module.unpack, lambda: _copied(case, module))
    threads = [Thread(target=_repeat, args=(action, stop, problems)) for action in actions]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH)
    try:
        for thread in threads:
            thread.start()
        sleep(_SECONDS)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(interval)
    promise(not problems, f"{case}: beside threads that pack and unpack it, {problems[:1]}")
    promise(_same(case, module, stored), f"{case}: threads that pack and unpack change its numbers")


def check_fixed(case: Case) -> None:
    """What is portable computes from memory that someone else keeps, and is saved as it was."""
    if not case.plan.portable:
        return
    module, x = case.make(), case.inputs()
    stored = _copied(case, module)
    module.fix()
    expected = case.products(module, x)
    buffers = dict(module.named_buffers())
    ordinary = all(each.layout == torch.strided for each in buffers.values())
    promise(ordinary, f"{case}: is portable, but packs into tensors that are no plain memory")
    for each in buffers.values():
        before = each.data
        each.data = before.clone()
        before.zero_()
    promise(torch.equal(case.products(module, x), expected), f"{case}: moves, and computes else")
    plain = case.make()
    plain.load_state_dict(module.state_dict())
    promise(_same(case, plain, stored), f"{case}: fixed, it saves something else")
    kept = dict(module.named_buffers())
    same = kept.keys() == buffers.keys() and all(kept[name] is buffers[name] for name in kept)
    promise(same, f"{case}: fixed, it has other buffers once it was saved")


def check_casts(case: Case) -> None:
    """A model may be cast: products follow, the numbers stay what they were, and it may go back."""
    x = case.inputs(8)
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        module = case.make()
        stored = _copied(case, module)
        before = case.products(module, x)
        module.pack()
        module.to(dtype)
        promise(_same(case, module, stored), f"{case}: a cast to {dtype} changes what is stored")
        for form in ("unpacked", "packed"):
            found, expected = case.products(module, x.to(dtype)).double(), before.double()
            apart = float((found - expected).norm() / expected.norm())
            message = f"{case}, {form}: cast to {dtype}, products are {apart:.1e} away"
            promise(apart <= _CAST_TOLERANCE, message)
            module.pack()
        if isinstance(module, QuantizedTable):
            kind = module(torch.zeros(1, 1, dtype=torch.int64, device=case.device)).dtype
            promise(kind == dtype, f"{case}: cast to {dtype}, lookups are in {kind}")
        module.to(case.dtype)
        # A bias that was in a shorter type has lost something.
        same = dtype != torch.float64 or torch.equal(case.products(module, x), before)
        promise(same, f"{case}: cast to {dtype} and back, it computes other products")
        promise(_same(case, module, stored), f"{case}: cast and back, it stores other numbers")


def check_gradients(case: Case) -> None:
    """A layer has what an adapter needs: sizes, a bias, and gradients for its input."""
    module = case.make()
    if not isinstance(module, QuantizedLinear):
        return
    sizes = getattr(module, "out_features", None), getattr(module, "in_features", None)
    expected_sizes = case.matrix.shape
    promise(sizes == expected_sizes, f"{case}: out_features and in_features are {sizes}")
    bias = getattr(module, "bias", None)
    same = bias is case.bias or (
        bias is not None and case.bias is not None and torch.equal(bias, case.bias)
    )
    promise(same, f"{case}: its bias is not the one that was given")
    weight = module.dequantize().cpu()
    for form in ("unpacked", "packed"):
        x = case.inputs(4).requires_grad_()
        products = module(x)
        promise(products.requires_grad, f"{case}, {form}: gives no gradients for its input")
        direction = torch.ones_like(products)
        direction[:, ::3] = -0.5
        products.backward(direction)
        expected = direction.cpu().float() @ weight
        found = torch.zeros(()) if x.grad is None else x.grad.cpu().float()
        apart = float((found - expected).norm() / expected.norm())
        message = f"{case}, {form}: gradients are {apart:.1e} away from those of dequantize()"
        promise(apart <= _GRADIENT_TOLERANCE, message)
        module.pack()


def check_finite(case: Case) -> None:
    """NaN and infinity in weights or in what is stored are refused; the message has the name."""
    stored = _copied(case, case.make())
    for value in (torch.nan, torch.inf):
        weight = case.weight.clone()
        weight[2, 3] = value
        _names_matrix(case, replace(case, weight=weight).make, f"a weight is {value}")
        for name, tensor in stored.items():
            if tensor.is_floating_point():
                bad = tensor.clone()
                bad.view(-1)[-1] = value
                tensors = {**stored, name: bad}
                what = f"{name!r} holds {value}"
                _names_matrix(case, partial(case.restore, tensors), what)


def _names_matrix(case: Case, action: Callable[[], object], what: str) -> None:
    try:
        action()
    except CheckpointError as error:
        promise(case.matrix.name in str(error), f"{case}: refuses that {what}, without its name")
    else:
        raise AssertionError(f"{case}: takes a matrix of which {what}")


def _repeat(action: Callable[[], object], stop: Event, problems: list[str]) -> None:
    while not stop.is_set():
        try:
            action()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
            problems.append(f"{type(error).__name__}: {error}")
            return


def _copied(case: Case, module: QuantizedLinear | QuantizedTable) -> dict[str, Tensor]:
    found = {name: tensor.detach().cpu().clone() for name, tensor in module.stored().items()}
    names, expected = sorted(found), sorted(case.plan.stored)
    promise(names == expected, f"{case}: stores {names}, not {expected}")
    return found


def _same(case: Case, module: QuantizedLinear | QuantizedTable, stored: dict[str, Tensor]) -> bool:
    found = _copied(case, module)
    return all(
        found[name].dtype == tensor.dtype and torch.equal(found[name], tensor)
        for name, tensor in stored.items()
    )
