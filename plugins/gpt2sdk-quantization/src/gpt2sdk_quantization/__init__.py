"""Weights in 8 and 4 bits for gpt2sdk, with torch's own kernels."""

from typing import TYPE_CHECKING

from gpt2sdk import hookimpl

if TYPE_CHECKING:
    from gpt2sdk import Component


@hookimpl
def gpt2sdk_components() -> "tuple[type[Component], ...]":
    """Return the components of this distribution."""
    from gpt2sdk_quantization.int4 import Int4
    from gpt2sdk_quantization.int8 import Int8

    return Int8, Int4
