"""Which part of a model computes where, and where its weights are kept in between."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol, runtime_checkable

import torch
from torch import nn

from gpt2sdk.components.component import Component

Kept = Literal["device", "cpu", "disk"]


def is_block(name: str) -> bool:
    """Whether a part is one of a list of blocks: its name ends with its number there.

    >>> is_block("h.11"), is_block("wpe")
    (True, False)
    """
    return name.rpartition(".")[2].isdigit()


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a model that is placed as a whole.

    Attributes:
        name: What its architecture calls it. GPT-2's are `wte`, `wpe`, `h.0` and so on, `ln_f`;
            `lm_head` where it is not tied to `wte`.
        nbytes: Bytes of its weights in the form in which they are held while it runs.
        stored_nbytes: Bytes of its weights in the form in which they are kept elsewhere.
        cache_nbytes: Bytes of keys and values for each token of each row; 0 except for blocks.
        workspace: Most bytes that loading and packing it need besides, where that is done: where
            it computes if it stays there, else on the CPU.
        passing_workspace: Most bytes that its products need besides where it does not stay.
        reserved_tokens: For how many tokens, of all rows together, room for keys and values is to
            be kept, unless a placement is told otherwise: one row of the model's context.
        vectors: Whether it has no matrix, as a norm: it is too small to be kept elsewhere.
    """

    name: str
    nbytes: int
    stored_nbytes: int
    cache_nbytes: int = 0
    workspace: int = 0
    passing_workspace: int = 0
    reserved_tokens: int = 1024
    vectors: bool = False

    @property
    def is_block(self) -> bool:
        """Whether it is one of the model's blocks."""
        return is_block(self.name)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a part is.

    Attributes:
        device: What computes it, and holds its keys and values.
        kept: Where its weights are between uses: on that `device`, in the memory of the `cpu`, or
            on the `disk`.
        reason: Why, in a few words.
    """

    device: torch.device
    kept: Kept = "device"
    reason: str = ""

    @property
    def passes(self) -> bool:
        """Whether weights are brought whenever they compute, since they are kept elsewhere."""
        return self.kept == "disk" or (self.kept == "cpu" and self.device.type != "cpu")

    @property
    def mapped(self) -> bool:
        """Whether the CPU computes with weights as they lie in a file."""
        return self.kept == "disk" and self.device.type == "cpu"


@dataclass(frozen=True, slots=True)
class PlacementPlan:
    """Where everything goes.

    Attributes:
        places: Each part's place, by its name, in the model's order.
        nbytes: Most bytes of weights that each device holds at once while the model runs, buffers
            for parts in transit included: `cpu`, `cuda:0`, `disk`.
        notes: What a reader should know, one line each.
        reserved_tokens: For how many tokens room for keys and values was kept; `None` for what the
            parts ask for.
    """

    places: Mapping[str, Place]
    nbytes: Mapping[str, int]
    notes: tuple[str, ...] = ()
    reserved_tokens: int | None = None


class Residency(ABC):
    """Brings parts to where they compute and takes them away again, while a model runs.

    A loader calls `stow` once for each part. From then on the model's loop calls, for each part in
    turn, `acquire`, then computes, then `release`; `prefetch` comes as early as the loop knows what
    is next. The parts' names are those of `Part`; a tied table is acquired once to look tokens up
    and once more as the head. Several threads may run one model: whoever cannot serve two at once
    holds a lock from `acquire` to `release`.
    """

    @abstractmethod
    def device(self, name: str) -> torch.device:
        """Where a part computes."""

    @abstractmethod
    def permanent(self, name: str) -> bool:
        """Whether a part's weights stay where it computes, so that they may be packed."""

    @abstractmethod
    def stow(self, name: str, module: nn.Module) -> None:
        """Take over a part that was just loaded.

        Args:
            name: The part's.
            module: Its module, on its device if it stays there, else on the CPU; in its stored
                form, or fixed in its packed one where the CPU will compute with it from a file. The
                `data` of its parameters and buffers may be exchanged; they and the module stay the
                same objects.
        """

    @abstractmethod
    def prefetch(self, name: str) -> None:
        """Start to bring a part's weights; returns at once."""

    @abstractmethod
    def acquire(self, name: str) -> None:
        """Make sure that a part's weights are there for the work that is issued next."""

    @abstractmethod
    def release(self, name: str) -> None:
        """Let a part's weights go once the issued work is done."""

    @abstractmethod
    def close(self) -> None:
        """Give back files and buffers; the model cannot run any more."""


@runtime_checkable
class PlacedModel(Protocol):
    """A model that knows how to run with its parts on several devices.

    Of any other, the loader leads each call of a part's module through the residency.
    """

    @property
    def residency(self) -> Residency | None:
        """What brings the parts to where they compute; `None` if all are on one device."""

    def set_residency(self, residency: Residency | None) -> None:
        """Let a residency bring the parts from now on, or none."""


def residency_of(model: nn.Module) -> Residency | None:
    """Return what brings a model's parts; `None` if all are on one device.

    >>> residency_of(nn.Linear(2, 2)) is None
    True
    """
    if isinstance(model, PlacedModel):
        return model.residency
    found = getattr(model, LED, None)
    return found if isinstance(found, Residency) else None


LED: Final = "_gpt2sdk_residency"
"""Where a model that does not know of placements has the residency that it is led through."""


def next_to_bring(names: Sequence[str], place: int, permanent: Callable[[str], bool]) -> str | None:
    """Return the next part behind a place that has to be brought, round the end if need be.

    For example, with blocks 0 and 1 that stay and 2 and 3 that do not: 2 behind block 0, 3 behind
    block 2, and 2 again behind block 3, for the step that follows. `None` if there is no other
    than the one at that place.

    >>> [next_to_bring("0123", place, "01".__contains__) for place in (0, 2, 3)]
    ['2', '3', '2']
    """
    others = [*names[place + 1 :], *names[: max(place, 0)]]
    return next((name for name in others if not permanent(name)), None)


class Placement(Component):
    """Distributes a model over devices. Its fields are its settings."""

    @abstractmethod
    def plan(self, parts: Sequence[Part], memory: Mapping[str, int]) -> PlacementPlan:
        """Decide on each part. Pure: nothing is allocated, no device is asked.

        Args:
            parts: The model's parts, in the order in which they compute.
            memory: Bytes that each device may hold, in order of preference: `cuda:0`, `cpu` and so
                on; the CPU comes last.

        Raises:
            PlacementError: If it does not fit; the message says what would.
        """

    @abstractmethod
    def residency(self, plan: PlacementPlan, model: nn.Module) -> Residency:
        """Return what carries the plan out, for a model that has no weights yet.

        Args:
            plan: What was decided.
            model: The network; a part's name is that of its module.

        Raises:
            PlacementError: If a device or folder of the plan is not there.
        """
