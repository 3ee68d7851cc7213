"""Decoder-only models of transformers for gpt2sdk."""

from typing import TYPE_CHECKING

from gpt2sdk import hookimpl

if TYPE_CHECKING:
    from gpt2sdk import Component


@hookimpl
def gpt2sdk_components() -> "tuple[type[Component], ...]":
    """Return the components of this distribution."""
    from gpt2sdk_transformers.architecture import TransformersArchitecture

    return (TransformersArchitecture,)
