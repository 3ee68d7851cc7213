"""Decoding strategies for gpt2sdk."""

from gpt2sdk import hookimpl


@hookimpl
def gpt2sdk_components() -> tuple[object, ...]:
    """Return the components of this distribution."""
    from gpt2sdk_strategies.backtrack import backtrack
    from gpt2sdk_strategies.beam import beam

    return beam, backtrack
