"""Runners: what computes a model's scores, such as a compiled engine or the plain torch functions.

A model asks its runners in turn, and the first whose `probe` accepts it packs its weights. From
then on the runner holds them, in its own form and nowhere else, until the model is unpacked.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gpt2sdk.components.causal_lm import KeyValueCache, Scores
from gpt2sdk.components.component import Component


class PackedMatrix(Protocol):
    """A matrix in the form that a runner reads fastest, the only one that is then held.

    Nobody changes it: who computes with one goes on while others take the plain matrix back.
    """

    @property
    def nbytes(self) -> int:
        """Bytes that it holds."""

    def __call__(self, x: Float[Tensor, "*places in"]) -> Float[Tensor, "*places out"]:
        """Return `x Wᵀ + b` in the type of `x`, without gradients: what its module returns."""

    def dense(self) -> Float[Tensor, "out in"]:
        """Return W as it was, bit for bit, in new memory."""


@runtime_checkable
class PackedTable(PackedMatrix, Protocol):
    """A packed table of vectors, of which single rows are read, too."""

    def rows(self, tokens: Int[Tensor, "*places"]) -> Float[Tensor, "*places embed"]:
        """Return the tokens' vectors, as they were."""


class Running(ABC):
    """A model's weights, packed, and what computes with them.

    Several threads may score at once. `release` may come meanwhile: calls that are under way end
    as they began, so what they read is freed with this object, not before.

    Attributes:
        kernels: How each matrix is computed, in a word or two by its name without `.weight`:
            `h.0.attn.c_attn`, `lm_head`.
    """

    kernels: Mapping[str, str]

    @property
    @abstractmethod
    def current(self) -> bool:
        """Whether the model's modules and weights still are what was packed; asked at each call."""

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Bytes of weights that it holds beside those that the modules hold."""

    @abstractmethod
    def score(
        self,
        cache: KeyValueCache,
        tokens: Sequence[Sequence[int]],
        keep: Sequence[int],
        hidden_states: Sequence[int],
    ) -> Scores:
        """Compute what `CausalLM.score` returns, and advance the cache.

        The arguments have been checked, room in the window included, and some token is fed. A
        cache may be fed by several runners in turn, and by the modules: keys and values lie in it
        as they always do. Results are ordinary tensors that their receiver may write to.
        """

    @abstractmethod
    def final_norm(
        self, hidden: Float[Tensor, "positions embed"]
    ) -> Float[Tensor, "positions embed"]:
        """Return hidden states as they are behind the last norm."""

    @abstractmethod
    def unembed(self, hidden: Float[Tensor, "positions embed"]) -> Float[Tensor, "positions vocab"]:
        """Return float32 logits, as `score` computes them behind the last norm."""

    @abstractmethod
    def release(self) -> None:
        """Give the modules their weights back, bit for bit; a second time does nothing."""


class Runner(Component):
    """Computes scores of models that it knows. Its fields are its settings.

    Attributes:
        order: Its place among those that `runner="auto"` tries: the smallest comes first. The
            torch functions, which run everything, have 100 and are always there.
    """

    order: ClassVar[int] = 50

    @abstractmethod
    def probe(self, model: nn.Module | None, device: torch.device) -> str | None:
        """Say why it cannot run a model on a device; `None` if it can.

        Args:
            model: The model, with weights; `None` where it is asked of the machine alone.
            device: Where the model computes.
        """

    @abstractmethod
    def prepare(self, model: nn.Module) -> Running:
        """Pack the weights of a model that `probe` accepted; it is in evaluation mode.

        No other thread prepares or unpacks it meanwhile, but others may look at its modules. If
        this raises, the modules hold their weights as before.
        """
