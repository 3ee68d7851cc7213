"""A network whose base has computed already, so that its head can be asked by itself."""

import copy
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from typing_extensions import override


def answering(network: nn.Module, base: str, hidden: Tensor) -> nn.Module:
    """Return a network as it would be if its base answered with these hidden states.

    Args:
        network: It stays as it is, and shares all else.
        base: The name of what computes hidden states for the head.
        hidden: They, behind the last norm.
    """
    return _exchanged(network, base.split("."), _AnsweringBase(hidden, network.get_submodule(base)))


class _AnsweringBase(nn.Module):
    """A base that has computed already."""

    def __init__(self, hidden: Tensor, base: nn.Module) -> None:
        super().__init__()
        self._hidden = hidden
        # Not a child: it is only asked for the numbers that a head multiplies with.
        self.__dict__["base"] = base

    @override
    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["base"], name)

    @override
    def forward(self, *_args: object, **_kwargs: object) -> "_AnsweringOutput":
        return _AnsweringOutput(self._hidden)


class _AnsweringOutput:
    """What a base returns: hidden states, and nothing of all else that may be asked for."""

    def __init__(self, hidden: Tensor) -> None:
        self.last_hidden_state = hidden

    def __getattr__(self, name: str) -> None:
        return None

    def __getitem__(self, place: object) -> Tensor | None:
        return self.last_hidden_state if place in (0, "last_hidden_state") else None


def _exchanged(module: nn.Module, path: Sequence[str], other: nn.Module) -> nn.Module:
    """Return a module as it would be with another one at a path; all else is shared."""
    name, *rest = path
    copied = copy.copy(module)
    inner = _exchanged(module.get_submodule(name), rest, other) if rest else other
    copied.__dict__["_modules"] = {**module._modules, name: inner}  # noqa: SLF001 - torch's
    return copied
