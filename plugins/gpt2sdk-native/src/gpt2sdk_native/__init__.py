"""GPT-2 on CPUs by a compiled engine: rows have the same bits in any batch."""

from collections.abc import Sequence

from gpt2sdk import Component, hookimpl


@hookimpl
def gpt2sdk_components() -> Sequence[type[Component]]:
    """Bring none: the engine is called by its own name."""
    return ()
