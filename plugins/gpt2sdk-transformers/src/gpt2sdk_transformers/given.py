"""What is asked of a call before anything is computed."""

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

from gpt2sdk import OptionError
from gpt2sdk.gpt2 import Cache

if TYPE_CHECKING:
    from gpt2sdk import KeyValueCache


def check_fed(
    cache: "KeyValueCache",
    tokens: Sequence[Sequence[int]],
    keep: Sequence[int],
    *,
    layers: int,
    limit: int,
    vocab_size: int,
) -> Cache:
    """Check what is to be fed, and return the cache.

    Args:
        cache: Of a model with these sizes.
        tokens: Token ids for each slot.
        keep: How many of each slot's last fed positions are scored.
        layers: Blocks of the model.
        limit: Its window.
        vocab_size: Ids are below it.

    Raises:
        OptionError: If the cache is another model's, there isn't one entry per slot, a token id is
            out of range, or more positions are to be scored than are fed.
        ContextOverflowError: If a slot would hold more than the context window.
    """
    if not isinstance(cache, Cache) or (cache.layers, cache.limit) != (layers, limit):
        raise OptionError("cache: expected one that this model's make_cache returned")
    slots = len(cache.lengths)
    if not slots == len(tokens) == len(keep):
        raise OptionError(
            f"expected tokens and keep for {slots} slots, got {len(tokens)} and {len(keep)}"
        )
    for slot, (row, kept) in enumerate(zip(tokens, keep, strict=True)):
        if not 0 <= kept <= len(row):
            raise OptionError(
                f"slot {slot}: expected to keep 0 to {len(row)} of the tokens fed, got {kept}",
                name="keep",
                value=kept,
                expected=f"0 to {len(row)}",
            )
    for token in chain.from_iterable(tokens):
        if not 0 <= token < vocab_size:
            what = f"0 to {vocab_size - 1}"
            raise OptionError(
                f"token {token}: expected an id from {what}, the model's vocabulary has "
                f"{vocab_size}",
                name="tokens",
                value=token,
                expected=what,
            )
    cache.check_room([len(row) for row in tokens])
    return cache


def check_layers(hidden_states: Sequence[int], layers: int) -> None:
    """Check which hidden states are asked for.

    Raises:
        OptionError: If there is no such layer.
    """
    for layer in hidden_states:
        if not 0 <= layer <= layers:
            what = f"layers from 0 to {layers}"
            raise OptionError(
                f"hidden_states {layer}: expected {what}",
                name="hidden_states",
                value=layer,
                expected=what,
            )
