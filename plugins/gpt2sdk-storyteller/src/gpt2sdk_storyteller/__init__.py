"""A small GPT-2 that tells fairy tales, with its weights."""

from typing import TYPE_CHECKING

from gpt2sdk import hookimpl

if TYPE_CHECKING:
    from gpt2sdk import Component


@hookimpl
def gpt2sdk_components() -> "tuple[type[Component], ...]":
    """Return the components of this distribution."""
    from gpt2sdk_storyteller.storyteller import Storyteller

    return (Storyteller,)
