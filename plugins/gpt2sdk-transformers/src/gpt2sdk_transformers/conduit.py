"""What transformers' models are given for a cache and an attention function.

Both are only doors: what passes through them goes to the `RaggedFeed` that is under way.
"""

from typing import Final

from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.cache_utils import Cache as TransformersCache
from typing_extensions import override

from gpt2sdk_transformers.attention import Rule
from gpt2sdk_transformers.feed import UNDER_WAY, RaggedFeed, misfit

RAGGED: Final = "gpt2sdk_ragged"
"""The name of the attention function among those of transformers."""

# What models hand to their attention function that says nothing of who sees what.
_SILENT = frozenset(
    {
        "position_ids",
        "position_embeddings",
        "use_cache",
        "cache",
        "past_key_values",
        "output_attentions",
        "output_hidden_states",
        "output_router_logits",
        "return_dict",
        "deterministic",
        "target_dtype",
        "implementation",
        "layer_idx",
        "kwargs",
    }
)

# Those that slide by their mask alone, and say nothing of it to their attention function.
_WINDOW_IN_MASK = frozenset({"phimoe"})


class Conduit(TransformersCache):
    """Looks like an empty cache: whoever updates it gets back what was given."""

    def __init__(self, feed: RaggedFeed) -> None:
        super().__init__(layers=[])
        self._feed = feed

    @override
    def update(
        self,
        key_states: Tensor,
        value_states: Tensor,
        layer_idx: int,
        *args: object,
        **kwargs: object,
    ) -> tuple[Tensor, Tensor]:
        self._feed.announce(layer_idx)
        return key_states, value_states

    @override
    def get_seq_length(self, layer_idx: int = 0) -> int:
        return 0


def ragged_attention(  # noqa: PLR0913, PLR0917 - as transformers calls it
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,  # noqa: FBT001 - likewise
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **others: object,
) -> tuple[Tensor, None]:
    """Attend as transformers' attention functions do, each token to its own slot.

    Raises:
        OptionError: If something is asked that a ragged cache does not do.
    """
    feed = UNDER_WAY.get()
    if feed is None:
        raise misfit("its attention was called by other than its score()")
    given = [name for name, value in others.items() if value is not None and name not in _SILENT]
    if given:
        raise misfit(f"its attention is given {', '.join(given)}")
    causal = is_causal if is_causal is not None else getattr(module, "is_causal", True)
    if attention_mask is not None or not causal or dropout:
        raise misfit("its attention is given a mask, dropout or the order to look ahead")
    config = getattr(module, "config", None)
    if sliding_window is None and getattr(config, "model_type", "") in _WINDOW_IN_MASK:
        sliding_window = config.sliding_window  # type: ignore[union-attr]
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    rule = Rule(float(scaling), sliding_window, softcap, s_aux)
    return feed.attend(query, key, value, rule), None


AttentionInterface.register(RAGGED, ragged_attention)
