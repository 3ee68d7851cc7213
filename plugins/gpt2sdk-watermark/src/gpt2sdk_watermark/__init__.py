"""Watermarks in generated text, each with its detector, for gpt2sdk."""

from typing import TYPE_CHECKING

from gpt2sdk import hookimpl

if TYPE_CHECKING:
    from gpt2sdk import Component


@hookimpl
def gpt2sdk_components() -> "tuple[type[Component], ...]":
    """Return the components of this distribution."""
    from gpt2sdk_watermark.gumbel_watermark import GumbelWatermark
    from gpt2sdk_watermark.kgw_watermark import KgwWatermark
    from gpt2sdk_watermark.synthid_watermark import SynthidWatermark
    from gpt2sdk_watermark.unigram_watermark import UnigramWatermark

    return KgwWatermark, UnigramWatermark, SynthidWatermark, GumbelWatermark
