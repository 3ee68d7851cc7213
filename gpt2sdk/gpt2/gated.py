"""A network that several threads compute with."""

import copy
from contextlib import AbstractContextManager
from typing import Self

from torch import Tensor, nn
from typing_extensions import override

from gpt2sdk.gpt2.gate import Gate


class Gated(nn.Module):
    """A module with a gate, which stays behind when it is copied or pickled."""

    def __init__(self) -> None:
        """Start with nobody at the gate."""
        super().__init__()
        self._gate = Gate()

    def computing(self) -> AbstractContextManager[None]:
        """Return a context in which no other thread packs or unpacks matrices."""
        return self._gate

    @override
    def state_dict(  # type: ignore[override]  # no positional arguments, which torch takes back
        self,
        *,
        destination: dict[str, Tensor] | None = None,
        prefix: str = "",
        keep_vars: bool = False,
    ) -> dict[str, Tensor]:
        with self._gate.alone():
            return super().state_dict(
                destination=destination,  # type: ignore[arg-type]  # None is its default
                prefix=prefix,
                keep_vars=keep_vars,
            )

    @override
    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name != "_gate"}

    @override
    def __setstate__(self, state: dict[str, object]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._gate = Gate()

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        with self._gate.alone():
            made = type(self).__new__(type(self))
            memo[id(self)] = made
            made.__setstate__(copy.deepcopy(self.__getstate__(), memo))
            return made
