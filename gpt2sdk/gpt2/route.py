"""A model's parts in the order in which they compute, and how a loop gets to each of them."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, Self, cast, final

import torch
from torch import Tensor, nn

from gpt2sdk.components.placement import Residency, next_to_bring
from gpt2sdk.errors import PlacementError
from gpt2sdk.gpt2.attention import Attend
from gpt2sdk.gpt2.head import TiedHead

Rest = ParamSpec("Rest")


@final
class Route:
    """Leads a model's loop from part to part.

    Attributes:
        residency: What brings the parts.
        settled: Whether every part stays where it computes.
    """

    def __init__(self, residency: Residency, layers: int, *, tied: bool) -> None:
        """Look up where everything computes.

        Args:
            residency: What brings the parts.
            layers: How many blocks there are.
            tied: Whether the table of tokens is the head, too.
        """
        self.residency = residency
        self.head = "wte" if tied else "lm_head"
        blocks = [f"h.{layer}" for layer in range(layers)]
        names = ["wte", "wpe", *blocks, "ln_f", self.head]
        self._devices = {name: residency.device(name) for name in names}
        self._passing = [name for name in names if not residency.permanent(name)]
        # Of tables, looking up reads some rows only: those are not worth bringing in advance.
        ahead = [*blocks, "ln_f", self.head]
        self._ahead = {
            name: next_to_bring(ahead, place, self.permanent) for place, name in enumerate(ahead)
        }
        first = next_to_bring(ahead, -1, self.permanent)
        self._ahead_of_tables = dict.fromkeys(("wte", "wpe"), first)
        self.settled = not self._passing

    @property
    def first(self) -> torch.device:
        """Where the first block computes."""
        return self._devices.get("h.0", self._devices["wte"])

    @property
    def uniform(self) -> bool:
        """Whether all parts compute on one device."""
        return len(set(self._devices.values())) == 1

    def gradients(self, *, training: bool) -> AbstractContextManager[object]:
        """Return a context for whole sequences: one without gradients where parts come and go.

        Raises:
            PlacementError: If the model is being trained all the same.
        """
        if self.settled:
            return nullcontext()
        if training:
            raise PlacementError(
                "a model whose parts come and go cannot be trained: load it without a placement, "
                "or call eval()"
            )
        return torch.no_grad()

    def device(self, name: str) -> torch.device:
        """Where a part computes."""
        return self._devices[name]

    def permanent(self, name: str) -> bool:
        """Whether a part stays where it computes."""
        return name not in self._passing

    def lookup(self, name: str, table: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """Return what looks tokens or positions up; the vectors come to where tokens are."""
        find = self._through(name, table, self._ahead_of_tables[name])
        to = self.device("wte")

        def found(tokens: Tensor) -> Tensor:
            return find(tokens).to(to)

        return found

    def through(
        self, name: str, compute: Callable[Concatenate[Tensor, Rest], Tensor]
    ) -> Callable[Concatenate[Tensor, Rest], Tensor]:
        """Return what computes a block, the last norm or the head where its weights are."""
        return self._through(name, compute, self._ahead[name])

    def _through(
        self,
        name: str,
        compute: Callable[Concatenate[Tensor, Rest], Tensor],
        ahead: str | None,
    ) -> Callable[Concatenate[Tensor, Rest], Tensor]:
        residency, device = self.residency, self._devices[name]

        def visit(x: Tensor, /, *args: Rest.args, **kwargs: Rest.kwargs) -> Tensor:
            residency.acquire(name)
            try:
                if ahead is not None:
                    residency.prefetch(ahead)
                return compute(x.to(device), *args, **kwargs)
            finally:
                residency.release(name)

        return visit


@dataclass(frozen=True, slots=True)
class Parts:
    """A model's modules, each led to by the route where there is one.

    Attributes:
        wte: From tokens to vectors.
        wpe: From positions to vectors.
        blocks: The blocks.
        ln_f: The last norm.
        head: From the residual stream to logits.
    """

    wte: Callable[[Tensor], Tensor]
    wpe: Callable[[Tensor], Tensor]
    blocks: Sequence[Callable[[Tensor, Attend], Tensor]]
    ln_f: Callable[[Tensor], Tensor]
    head: Callable[[Tensor], Tensor]

    @classmethod
    def of(cls, model: nn.Module, route: Route | None) -> Self:
        """Return the parts of a model."""
        wte, wpe, ln_f = map(model.get_submodule, ("wte", "wpe", "ln_f"))
        head = _head(model.get_submodule("lm_head"), wte)
        blocks = list(model.get_submodule("h").children())
        if route is None:
            return cls(wte, wpe, blocks, ln_f, head)
        return cls(
            route.lookup("wte", wte),
            route.lookup("wpe", wpe),
            [route.through(f"h.{layer}", block) for layer, block in enumerate(blocks)],
            route.through("ln_f", ln_f),
            route.through(route.head, head),
        )


def _head(head: nn.Module, table: nn.Module) -> Callable[[Tensor], Tensor]:
    if not isinstance(head, TiedHead):
        return head

    def attend(x: Tensor) -> Tensor:
        return cast("Tensor", head(x, table))

    return attend
