"""LLM.int8, NF4 and FP4 weights for gpt2sdk, on bitsandbytes."""

from typing import TYPE_CHECKING

from gpt2sdk import hookimpl

if TYPE_CHECKING:
    from gpt2sdk import Component


@hookimpl
def gpt2sdk_components() -> "tuple[type[Component], ...]":
    """Return the components of this distribution."""
    from gpt2sdk_bitsandbytes.four_bit import BnbFp4, BnbNf4
    from gpt2sdk_bitsandbytes.int8 import BnbInt8

    return BnbInt8, BnbNf4, BnbFp4
