"""Scoring module by module: what is left where no runner can, or hooks want to be called."""

from collections.abc import Collection

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gpt2sdk.gpt2.evaluation_mode import evaluating
from gpt2sdk.gpt2.feed import Feed
from gpt2sdk.gpt2.route import Parts, Route


def walk(
    model: nn.Module, route: Route | None, feed: Feed, wanted: Collection[int]
) -> tuple[Float[Tensor, "positions vocab"], dict[int, Float[Tensor, "positions embed"]]]:
    """Return the logits and the wanted layers' residual streams at the scored positions.

    Args:
        model: The model; all its modules are called.
        route: What leads to its parts; `None` where they are all on one device.
        feed: The tokens, and the cache that they are fed to.
        wanted: The layers, 0 to their number, before which the residual stream is wanted.
    """
    streams = {}
    parts = Parts.of(model, route)
    blocks = parts.blocks[: feed.depth]
    with torch.no_grad(), evaluating(model):
        x = model.get_submodule("drop")(parts.wte(feed.tokens) + parts.wpe(feed.positions))
        for layer, block in enumerate(blocks):
            if layer in wanted:
                streams[layer] = feed.take(x)
            x = block(x, feed)
        x = feed.take(x)
        if feed.depth in wanted:
            streams[feed.depth] = x
        logits = parts.head(parts.ln_f(x)).float()
        return logits, {layer: x.to(logits.device) for layer, x in streams.items()}
