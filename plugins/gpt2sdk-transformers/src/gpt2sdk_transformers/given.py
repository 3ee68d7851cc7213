"""What is asked of a call before anything is computed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gpt2sdk import OptionError
from gpt2sdk.gpt2 import Cache
from gpt2sdk_transformers.recurrent_cache import RecurrentCache

if TYPE_CHECKING:
    from gpt2sdk import KeyValueCache


def own_cache(
    cache: "KeyValueCache", *, layers: int, limit: int, recurrent: bool
) -> Cache | RecurrentCache:
    """Return the cache, if it is of a model with these sizes.

    Args:
        cache: What is to be fed.
        layers: Blocks of the model.
        limit: Its window.
        recurrent: Whether it has layers with states.

    Raises:
        OptionError: If it is another model's.
    """
    kind = RecurrentCache if recurrent else Cache
    if not isinstance(cache, kind) or (cache.layers, cache.limit) != (layers, limit):
        raise OptionError("cache: expected one that this model's make_cache returned")
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
