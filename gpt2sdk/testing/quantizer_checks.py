"""Checks of a quantizer's modules: sizes, products, rows, copies and what is stored."""

import copy
import io
import json
import pickle
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import torch
from torch import Tensor

from gpt2sdk.components.quantized import Quantized, QuantizedLinear, QuantizedTable
from gpt2sdk.components.quantizer import Quantizer
from gpt2sdk.components.tensor_source import TensorInfo
from gpt2sdk.errors import CheckpointError
from gpt2sdk.testing.promise import promise
from gpt2sdk.testing.quantizer_cases import ZERO_ROW, Case

MANY = range(1, 65)
SOME = (1, 2, 3, 4, 7, 16, 17, 33, 64)


def check_settings(quantizer: Quantizer) -> None:
    """What stands in `config.json` is JSON, and gives the quantizer back."""
    config = json.loads(json.dumps(quantizer.config()))
    kind = type(quantizer)
    claimed = kind.claim(config)
    promise(claimed == quantizer, f"claim(config()) gives {claimed!r}, not {quantizer!r}")
    for foreign in ({}, {"quant_method": "someone else's"}):
        promise(kind.claim(foreign) is None, f"{kind.name} claims {foreign}")
    version = config.get("version")
    if isinstance(version, int):
        newer = {**config, "version": version + 1}
        message = f"{kind.name} reads version {version + 1}, which it cannot know"
        _raises_checkpoint_error(lambda: kind.claim(newer), message)


def check_sizes(case: Case) -> None:
    """Bytes, names, shapes and types are those of the plan, which allocates nothing."""
    module = case.make()
    plain = _held(module)
    stored = {name: TensorInfo.of(tensor) for name, tensor in module.stored().items()}
    expected = dict(case.plan.stored)
    fits = stored.keys() == expected.keys() and all(
        info.admits(stored[name]) for name, info in expected.items()
    )
    promise(fits, f"{case}: planned to store {expected}, but stores {stored}")
    module.pack()
    most, planned = max(plain, _held(module)), case.plan.nbytes
    promise(most == planned, f"{case}: planned to hold {planned} bytes, but holds {most}")
    parameters = [name for name, _ in module.named_parameters() if name != "bias"]
    promise(not parameters, f"{case}: holds parameters, {parameters}: expected buffers")


def check_dequantized(case: Case) -> float:
    """The matrix computed with is near the one that was given; return how near.

    Returns:
        ‖dequantized − given‖ / ‖given‖.
    """
    module = case.make()
    found, expected = module.dequantize().cpu(), case.weight.float()
    fits = found.dtype == torch.float32 and found.shape == expected.shape
    promise(fits, f"{case}: dequantize() gives {found.dtype} of shape {tuple(found.shape)}")
    error = float((found - expected).norm() / expected.norm())
    # Numbers in the wrong order, or transposed, are about 1.4 apart.
    promise(error < 0.3, f"{case}: the matrix is {error:.3f} of its norm away from what was given")
    zeros = float(found[ZERO_ROW].abs().max() / expected.abs().max())
    promise(zeros < 0.1, f"{case}: a row of zeros becomes {zeros:.3f} of the largest number")
    module.pack()
    promise(torch.equal(module.dequantize().cpu(), found), f"{case}: packing changes the matrix")
    return error


def check_products(case: Case, tolerance: float) -> float:
    """Products are those with the dequantized matrix; return how far they are at most.

    Returns:
        The largest ‖found − expected‖ / ‖expected‖ of a row.
    """
    module, x = case.make(), case.inputs()
    bias = torch.zeros(()) if case.bias is None else case.bias.cpu().float()
    expected = x.cpu().float() @ module.dequantize().cpu().T + bias
    worst = 0.0
    for form, _ in _forms(module):
        found = case.products(module, x).cpu().float()
        promise(bool(found.isfinite().all()), f"{case}, {form}: products are not finite")
        errors = (found - expected)[1:].norm(dim=-1) / expected[1:].norm(dim=-1)
        worst = max(worst, float(errors.max()))
        row = 1 + int(errors.argmax())
        message = f"{case}, {form}: row {row} is {worst:.2e} away, more than {tolerance:.0e}"
        promise(worst <= tolerance, message)
        nothing = float((found[0] - expected[0]).abs().max())
        promise(nothing < 1e-6, f"{case}, {form}: a row of zeros gives {nothing}, not the bias")
        folded = case.products(module, x.view(2, 8, 4, -1))
        apart = float((folded.view(64, -1).cpu().float() - found).abs().max())
        promise(apart == 0.0, f"{case}, {form}: more dimensions give other products")
        none = case.products(module, x[:0])
        promise(len(none) == 0, f"{case}, {form}: no rows give some")
    return worst


def check_lookup(case: Case) -> None:
    """A table's vectors are those of the dequantized matrix, in the model's type."""
    module = case.make()
    if not isinstance(module, QuantizedTable):
        return
    tokens = torch.tensor([[0, 1, 2], [case.matrix.shape[0] - 1, 5, 5]], device=case.device)
    expected = module.dequantize()[tokens].to(case.dtype)
    for form, _ in _forms(module):
        found = module(tokens)
        same = found.dtype == case.dtype and torch.equal(found, expected)
        promise(same, f"{case}, {form}: lookups are not dequantize()[tokens] in {case.dtype}")


def check_rows(case: Case, tolerance: float) -> float:
    """A row's products are the same beside any other rows; return how far they are at most.

    Returns:
        The largest difference, in parts of the row's largest product; 0 for bit-equal rows.
    """
    if not case.quantizer.rows_independent:
        return 0.0
    module, x = case.make(), case.inputs()
    loud = x.clone()
    loud[7] *= 30.0
    others = [row for row in range(64) if row != 7]
    worst = 0.0
    for form, _ in _forms(module):
        together = case.products(module, x)
        counts = MANY if form == "packed" and case.matrix.shape[0] < 1000 else SOME
        compared = {f"{n} of 64 rows": (case.products(module, x[:n]), together[:n]) for n in counts}
        compared["a row alone"] = case.products(module, x[9:10]), together[9:10]
        compared["beside a row 30 times larger"] = (
            case.products(module, loud)[others],
            together[others],
        )
        for what, (found, expected) in compared.items():
            apart = _apart(found, expected)
            worst = max(worst, apart)
            message = f"{case}, {form}: {what} differs by {apart:.1e}, more than {tolerance:.0e}"
            promise(apart <= tolerance, message)
    return worst


def check_slabs(case: Case) -> None:
    """However the matrix is cut into slabs, the same is stored."""
    expected = case.make().stored()
    for rows in (1, 64, case.matrix.shape[0]):
        if rows > 1 or case.matrix.shape[0] < 1000:
            found = case.make(rows).stored()
            promise(_same(found, expected), f"{case}: slabs of {rows} rows give other numbers")


def check_copies(case: Case) -> None:
    """What is packed, copied, moved or saved is the same bit for bit, and computes the same."""
    module, x = case.make(), case.inputs(8)
    stored, state = _copied(module.stored()), _copied(module.state_dict())
    plain = case.products(module, x)
    module.pack()
    packed = case.products(module, x)
    promise(_same(module.stored(), stored), f"{case}: stored() changes with pack and forward")
    promise(_same(module.state_dict(), state), f"{case}: state_dict() changes with pack")
    _check_copy(case, copy.deepcopy(module), stored, packed, "a deep copy")
    unpickled = pickle.loads(pickle.dumps(module))  # noqa: S301 - made in this line
    _check_copy(case, unpickled, stored, packed, "an unpickled copy")
    module.pack()
    _check_copy(case, module.to("cpu").to(case.device), stored, packed, "once moved, it")
    module.pack()
    module.unpack()
    promise(_same(module.stored(), stored), f"{case}: unpack() does not restore what was stored")
    again = case.products(module, x)
    promise(torch.equal(again, plain), f"{case}: unpack() does not restore the products")


def check_restored(case: Case) -> None:
    """What is stored makes the same module again, before a forward, behind one and packed."""
    module, x = case.make(), case.inputs(8)
    fresh = _copied(module.stored())
    for form, _ in _forms(module):
        expected = case.products(module, x)
        saved = _through_a_file(module.stored())
        promise(_same(saved, fresh), f"{case}, {form}: stored() is not what it was at first")
        restored = case.restore(saved)
        if form == "packed":
            restored.pack()
        found = case.products(restored, x)
        promise(torch.equal(found, expected), f"{case}, {form}: restored, it computes otherwise")
        promise(_same(restored.stored(), fresh), f"{case}, {form}: restored, it stores otherwise")


def check_corruption(case: Case) -> None:
    """Stored tensors that are missing or of another shape or type are refused."""
    stored = _copied(case.make().stored())
    for name, tensor in stored.items():
        without = {other: value for other, value in stored.items() if other != name}
        longer = torch.cat([tensor.reshape(-1), tensor.reshape(-1)[:1]])
        other = torch.float64 if tensor.dtype != torch.float64 else torch.float32
        for what, tensors in {
            "missing": without,
            "of another shape": {**stored, name: longer},
            "of another type": {**stored, name: tensor.to(other)},
        }.items():
            message = f"{case}: restore() takes tensors of which {name!r} is {what}"
            _raises_checkpoint_error(partial(case.restore, tensors), message)


def _forms(module: Quantized) -> Iterator[tuple[str, Quantized]]:
    """Yield a module as it is made, and packed."""
    yield "unpacked", module
    module.pack()
    yield "packed", module


def _check_copy(
    case: Case, module: Quantized, stored: Mapping[str, Tensor], expected: Tensor, what: str
) -> None:
    promise(_same(module.stored(), stored), f"{case}: {what} stores other numbers")
    module.pack()
    assert isinstance(module, QuantizedLinear | QuantizedTable)
    found = case.products(module, case.inputs(8))
    promise(torch.equal(found, expected), f"{case}: {what} computes other products")


def _held(module: Quantized) -> int:
    """Bytes of all tensors a module holds, less its bias."""
    tensors = {**dict(module.named_buffers()), **_tensors(vars(module))}
    return sum(t.numel() * t.element_size() for name, t in tensors.items() if name != "bias")


def _tensors(attributes: Mapping[str, object]) -> dict[str, Tensor]:
    return {name: value for name, value in attributes.items() if isinstance(value, Tensor)}


def _copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}


def _through_a_file(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Save and load tensors, so that none shares memory with a module."""
    file = io.BytesIO()
    torch.save(_copied(tensors), file)
    loaded: dict[str, Tensor] = torch.load(io.BytesIO(file.getvalue()), weights_only=True)
    return loaded


def _same(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> bool:
    return found.keys() == expected.keys() and all(
        found[name].dtype == tensor.dtype and torch.equal(found[name].cpu(), tensor.cpu())
        for name, tensor in expected.items()
    )


def _apart(found: Tensor, expected: Tensor) -> float:
    """The largest difference, in parts of the largest product of its row."""
    expected = expected.float()
    largest = expected.abs().amax(dim=-1, keepdim=True).clamp_min(1e-30)
    return float(((found.float() - expected).abs() / largest).max())


def _raises_checkpoint_error(action: Callable[[], object], otherwise: str) -> None:
    try:
        action()
    except CheckpointError:
        return
    raise AssertionError(otherwise)
