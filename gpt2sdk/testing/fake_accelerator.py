"""An accelerator that is not there: tensors have shapes and a device, and no numbers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from math import prod
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend
from typing_extensions import override

from gpt2sdk.components.processor import LogitsProcessor
from gpt2sdk.components.records import Prompt
from gpt2sdk.components.sampler import Sampler
from gpt2sdk.testing.trial import open_session

NAME = "privateuseone"
"""What torch calls a device of a kind that it does not know."""

_MAKERS = {torch.tensor, torch.as_tensor, torch.Tensor.new_tensor}
_NUMBERS: Mapping[Callable[..., Any], Callable[[], object]] = {
    torch.Tensor.item: int,
    torch.Tensor.__bool__: bool,
    torch.Tensor.__int__: int,
    torch.Tensor.__float__: float,
    torch.Tensor.__index__: int,
}


class FakeAccelerator(TorchFunctionMode):
    """Refuses to mix devices, and notes each time that somebody waits for numbers.

    What is read are zeros, so that a whole session can be run.

    Attributes:
        device: Where tensors go.
        reads: What was asked for on the host, call by call.
    """

    def __init__(self) -> None:
        super().__init__()
        self.device = torch.device(NAME)
        self.reads: list[str] = []

    @override
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        named = dict(kwargs or {})
        if func in _MAKERS:
            return self._make(func, args, named)
        leaves = tree_leaves((args, named))
        if not any(_is_there(each) for each in leaves):
            with unset_fake_temporarily():  # what is on the CPU has numbers
                return func(*args, **named)
        first = args[0] if args else None
        if func is torch.Tensor.to and isinstance(first, torch.Tensor) and not _is_there(first):
            dtypes = [each for each in leaves if isinstance(each, torch.dtype)]
            return self._moved(first, *dtypes)
        if func in _NUMBERS and _is_there(first):
            self.reads.append(func.__name__)
            return _NUMBERS[func]()
        made = func(*args, **named)
        if _is_there(first) and isinstance(made, torch.Tensor) and made.device.type == "cpu":
            self.reads.append(getattr(func, "__name__", "cpu"))
        return made

    @property
    def list(self) -> Callable[[torch.Tensor], object]:
        """What stands for `tensor.tolist()`."""

        def tolist(tensor: torch.Tensor) -> object:
            self.reads.append("tolist")
            return _zeros(tensor.shape, bool if tensor.dtype is torch.bool else _kind(tensor))

        return tolist

    def _make(
        self, func: Callable[..., Any], args: Sequence[Any], named: dict[str, Any]
    ) -> torch.Tensor:
        """Make a tensor of numbers here and move it: torch cannot make one there."""
        own = args[0] if func is torch.Tensor.new_tensor else None
        values = args[0] if own is None else args[1]
        wanted = torch.device(named.pop("device", None) or ("cpu" if own is None else own.device))
        if own is not None:
            named.setdefault("dtype", own.dtype)
        if isinstance(values, torch.Tensor):
            return values.to(wanted, named.get("dtype") or values.dtype)
        with unset_fake_temporarily():
            made: torch.Tensor = torch.tensor(values, **named)
        return self._moved(made) if _is_there(wanted) else made

    def _moved(self, tensor: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
        """What becomes of a tensor of the CPU there: torch's own move would look for a kernel."""
        return torch.empty(tensor.shape, dtype=dtype or tensor.dtype, device=self.device)


def _is_there(value: object) -> bool:
    """Whether it is a tensor on the device, or names it."""
    device = value.device if isinstance(value, torch.Tensor) else value
    return (
        str(device).partition(":")[0] == NAME if isinstance(device, str | torch.device) else False
    )


@contextmanager
def fake_accelerator() -> Iterator[FakeAccelerator]:
    """Run with a device that has kernels for all of torch's operations, and no numbers.

    For a process of its own: torch cannot forget a kind of device again. Operations whose shapes
    depend on numbers, such as `nonzero`, raise there, for they make a device wait.

    Raises:
        RuntimeError: By torch: tensors of two devices meet, or a shape depends on numbers.
    """
    _set_up()
    listed = FakeTensor.tolist
    with FakeTensorMode(allow_non_fake_inputs=True), FakeAccelerator() as accelerator:
        # Torch would ask for each element by itself, past all modes.
        FakeTensor.tolist = accelerator.list  # type: ignore[method-assign]
        try:
            yield accelerator
        finally:
            FakeTensor.tolist = listed  # type: ignore[method-assign]


@cache
def _set_up() -> None:
    _setup_privateuseone_for_python_backend()


def reads_of(component: LogitsProcessor | Sampler, *, vocab_size: int = 29) -> list[str]:
    """Let a component act on two rows on such a device, and return what it waited for.

    To be called in a process of its own; see `fake_accelerator`.

    Args:
        component: A processor or a sampler.
        vocab_size: Of the model; many components go other ways where it is large.

    Raises:
        RuntimeError: It mixed devices, or asked for a shape that depends on numbers.
        AssertionError: What it returned is not where the logits are.
    """
    prompts = [Prompt(0, (1, 2, 3, 2, 3)), Prompt(1, (4, 5))]
    with fake_accelerator() as accelerator, torch.inference_mode():
        session = open_session(
            prompts,
            component,
            vocab_size=vocab_size,
            eos_token_ids=[vocab_size - 1],
            device=accelerator.device,
        )
        session.append([3, 4])
        logits, chain = session.next_logits(), session.course.chain
        accelerator.reads.clear()
        rows = session.rows.bound(component.name)
        if isinstance(component, Sampler):
            answers: list[torch.Tensor] = [chain.sampler.run.choose(logits, rows)]
        else:
            runs = [each.run for station in chain.processors for each, _ in station.groups(rows)]
            answers = [run.process(logits, rows) for run in runs]
        assert answers
        assert all(answer.device == logits.device for answer in answers)
        return accelerator.reads


def _kind(tensor: torch.Tensor) -> type:
    return float if tensor.is_floating_point() else int


def _zeros(shape: Sequence[int], kind: type) -> object:
    """Nested lists of zeros.

    >>> _zeros([2, 1], int)
    [[0], [0]]
    """
    if not shape or not prod(shape[:1]):
        return kind() if not shape else []
    return [_zeros(shape[1:], kind) for _ in range(shape[0])]
