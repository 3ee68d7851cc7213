"""What a session asks of a model: other architectures fit by having these few members."""

from collections.abc import Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Scores:
    """What one call of the model found out.

    Attributes:
        logits: Next-token logits at every scored position, slot after slot, in float32.
        hidden_states: For each layer asked for, the residual stream there (0 is the embedding,
            `n_layer` the input of the final norm), at the same positions.
        fed_again: For each slot, how many tokens that it held already had to be fed once more, as
            it was taken back to where its state could not go; empty for none.
    """

    logits: Float[Tensor, "positions vocab"]
    hidden_states: Mapping[int, Float[Tensor, "positions embed"]] = field(default_factory=dict)
    fed_again: Sequence[int] = ()


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
class PortableCache(KeyValueCache, Protocol):
    """A cache whose slots can be copied out, and in again into slots of another one.

    With a `RecallableLM` it is all that a prefix cache needs; prompts of other models are read
    anew in each call.
    """

    @property
    def token_nbytes(self) -> int:
        """Bytes that a token of a slot takes when it is copied out; 0 while nothing was fed."""

    def copy_out(
        self, slot: int, start: int, stop: int
    ) -> list[Float[Tensor, "*parts tokens size"]]:
        """Return what a slot holds of its tokens from `start` to `stop`, in new memory.

        Any number of tensors: whoever keeps them cuts each along its last dimension but one.
        """

    def copy_in(self, slot: int, held: Sequence[Float[Tensor, "*parts tokens size"]]) -> None:
        """Put what was copied out, or its first tokens, behind what a slot holds."""


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


@runtime_checkable
class RecallableLM(CausalLM, Protocol):
    """A model that says what the contents of its caches come of, so that later calls may use them.

    Its caches are a `PortableCache`.
    """

    def origin(self) -> Hashable | None:
        """Say what tokens would be computed with now.

        Returns:
            What is equal to an earlier answer only if the same tokens would leave the same in a
            cache; `None` where that cannot be said, or whoever looks on wants to see all tokens.
        """


@runtime_checkable
class NetworkLM(CausalLM, Protocol):
    """A model around a network that another library made, and files of that library are about.

    Adapters go by the names that the network's modules have there, and training computes with it:
    what changes weights, or puts modules into others, needs no more than these members.

    Attributes:
        gradient_checkpointing: Whether training computes activations twice instead of keeping them.
    """

    gradient_checkpointing: bool

    @property
    def network(self) -> nn.Module:
        """The network; `named_modules()` of it has the library's names."""

    @property
    def table_name(self) -> str:
        """The name of the table of tokens in the network."""

    @property
    def head_name(self) -> str:
        """The name of what makes logits in the network."""

    @property
    def tied(self) -> bool:
        """Whether the head multiplies with the table of tokens."""

    @property
    def read_past(self) -> frozenset[str]:
        """Modules whose matrices the network reads past them: what stands there does nothing."""

    @property
    def width(self) -> int:
        """Width of the residual stream."""

    @property
    def sizes(self) -> Mapping[str, object]:
        """What the network computes, as JSON has it: two with the same do the same with weights."""

    def as_in_transformers(self) -> AbstractContextManager[None]:
        """Let the network attend by itself meanwhile: for whole sequences, without a cache."""

    def logits(self, tokens: Int[Tensor, "rows time"]) -> Float[Tensor, "rows time vocab"]:
        """Return the logits behind each token of whole sequences, with gradients if wanted."""

    def pack(self) -> None:
        """Hold matrices in the form that is read fastest, if they stay where they are."""

    def unpack(self) -> None:
        """Hold matrices as they were loaded, which gradients need."""
