"""How a kind of recurrent layer takes tokens, and what a call hands them to it by."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Mixer:
    """How a kind of module takes several tokens that go on from a state.

    Attributes:
        forward: Code that does, if its own does not.
        steps: Whether it takes them one by one.
        inside: Whether it has its states in itself.
    """

    forward: FunctionType | None = None
    steps: bool = False
    inside: bool = False


class StateFeeder(Protocol):
    """What a call does to states."""

    def mix(
        self,
        layer: int,
        call: Callable[..., Any],
        mixer: Mixer,
        args: Sequence[object],
        words: Mapping[str, object],
    ) -> Any:  # noqa: ANN401 - as the module returns it
        """Call a module for each group of rows, and return what it makes of all tokens."""

    def finish(self) -> None:
        """Let the cache hold the states behind what was fed."""
