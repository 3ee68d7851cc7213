"""Decoding that reads a second distribution, or hidden states, for gpt2sdk."""

from gpt2sdk import hookimpl


@hookimpl
def gpt2sdk_components() -> tuple[object, ...]:
    """Return the components of this distribution."""
    from gpt2sdk_contrast.context_aware import ContextAware
    from gpt2sdk_contrast.contrastive_decoding import ContrastiveDecoding
    from gpt2sdk_contrast.contrastive_search import contrastive_search
    from gpt2sdk_contrast.dola_layers import DolaLayers
    from gpt2sdk_contrast.ensemble import Ensemble

    return ContrastiveDecoding, ContextAware, DolaLayers, Ensemble, contrastive_search
