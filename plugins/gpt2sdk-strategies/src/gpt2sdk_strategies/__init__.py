"""Decoding strategies for gpt2sdk."""

from gpt2sdk import hookimpl


@hookimpl
def gpt2sdk_components() -> tuple[object, ...]:
    """Return the components of this distribution."""
    from gpt2sdk_strategies.backtrack import backtrack
    from gpt2sdk_strategies.beam import beam
    from gpt2sdk_strategies.beam_sample import beam_sample
    from gpt2sdk_strategies.best_of_n import best_of_n
    from gpt2sdk_strategies.constrained_beam import constrained_beam
    from gpt2sdk_strategies.cot_decoding import cot_decoding
    from gpt2sdk_strategies.deepconf import deepconf
    from gpt2sdk_strategies.diverse_beam import diverse_beam
    from gpt2sdk_strategies.replay import replay
    from gpt2sdk_strategies.self_consistency import self_consistency
    from gpt2sdk_strategies.stochastic_beam import stochastic_beam
    from gpt2sdk_strategies.tree_search import tree_search

    beams = beam, beam_sample, diverse_beam, constrained_beam, stochastic_beam
    votes = best_of_n, self_consistency, deepconf, cot_decoding
    return *beams, *votes, tree_search, replay, backtrack
