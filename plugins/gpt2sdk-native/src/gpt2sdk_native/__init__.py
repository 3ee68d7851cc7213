"""GPT-2 on CPUs by a compiled engine: rows have the same bits in any batch."""

from typing import TYPE_CHECKING

from gpt2sdk import hookimpl

if TYPE_CHECKING:
    from gpt2sdk import Component


@hookimpl
def gpt2sdk_components() -> "tuple[type[Component], ...]":
    """Bring none: the engine is called by its own name."""
    return ()
