"""What a session asks of a model: other architectures fit by having these few members."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Scores:
    """What one call of the model found out.

    Attributes:
        logits: Next-token logits at every scored position, slot after slot, in float32.
        hidden_states: For each layer asked for, the residual stream there (0 is the embedding,
            `n_layer` the input of the final norm), at the same positions.
    """

    logits: Float[Tensor, "positions vocab"]
    hidden_states: Mapping[int, Float[Tensor, "positions embed"]] = field(default_factory=dict)


class KeyValueCache(Protocol):
    """A ragged memory of what was fed: one slot per row, each with its own length."""

    @property
    def lengths(self) -> Sequence[int]:
        """How many tokens each slot holds."""

    def fork(self, parents: Sequence[int]) -> None:
        """Slot `i` becomes a copy of slot `parents[i]`; -1 makes an empty one.

        A cache that is left without slots, as it is at a call's end, holds no memory.
        """

    def rewind(self, lengths: Sequence[int]) -> None:
        """Forget what each slot holds beyond its given length."""


@runtime_checkable
class CausalLM(Protocol):
    """A language model that scores tokens against a cache."""

    @property
    def vocab_size(self) -> int:
        """How many logits a position has."""

    @property
    def context_length(self) -> int:
        """How many tokens a slot can be fed."""

    @property
    def layers(self) -> int:
        """How many blocks there are; hidden states are numbered 0 to `layers`."""

    @property
    def device(self) -> torch.device:
        """Where logits come out, and where token tensors are wanted."""

    def make_cache(self, slots: int) -> KeyValueCache:
        """Return an empty cache; it grows by itself as tokens are fed."""

    def score(
        self,
        cache: KeyValueCache,
        tokens: Sequence[Sequence[int]],
        keep: Sequence[int],
        hidden_states: Sequence[int] = (),
    ) -> Scores:
        """Feed `tokens[i]` to slot `i`, after what it holds, and score its last positions.

        Args:
            cache: From `make_cache` of this model; it is advanced in place.
            tokens: Token ids for each slot; an empty list leaves the slot alone.
            keep: How many of the last fed positions of each slot are scored.
            hidden_states: The layers whose output is wanted at the scored positions.
        """


@runtime_checkable
class LayeredLM(CausalLM, Protocol):
    """A model that says what its hidden states stand for: `logits = unembed(final_norm(h))`.

    There `h` is the hidden state of the last layer. A model without a final norm returns what it
    is given. Not every `CausalLM` is one: whoever needs it asks with `isinstance`.
    """

    def final_norm(self, hidden: Float[Tensor, "*places embed"]) -> Float[Tensor, "*places embed"]:
        """Return hidden states as they are behind the last norm."""

    def unembed(self, hidden: Float[Tensor, "*places embed"]) -> Float[Tensor, "*places vocab"]:
        """Return float32 logits: the head alone, without the norm before it."""
