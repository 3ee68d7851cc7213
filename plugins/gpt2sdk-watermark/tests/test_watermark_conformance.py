"""Every component of the distribution keeps the promises of its roles."""

from gpt2sdk.testing import parametrize_with_checks
from gpt2sdk_watermark.gumbel_watermark import GumbelWatermark
from gpt2sdk_watermark.kgw_watermark import KgwWatermark
from gpt2sdk_watermark.synthid_watermark import SynthidWatermark
from gpt2sdk_watermark.unigram_watermark import UnigramWatermark

COMPONENTS = [
    KgwWatermark(kgw_bias=2.0),
    KgwWatermark(kgw_bias=2.0, context_width=3, greenlist_ratio=0.5),
    KgwWatermark(kgw_bias=4.0, seeding_scheme="selfhash", context_width=4),
    KgwWatermark(kgw_bias=1.0, seeding_scheme="selfhash", context_width=1),
    UnigramWatermark(unigram_bias=2.0, hashing_key=5),
    SynthidWatermark(context_width=1),
    SynthidWatermark(context_width=2, tournament_layers=5, max_probability=0.7),
    GumbelWatermark(context_width=1),
    GumbelWatermark(context_width=2, max_probability=0.7, second_key=3),
]


@parametrize_with_checks(COMPONENTS)
def test_conformance(component, check):
    check(component)
