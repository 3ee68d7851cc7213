"""GPT-2 on CPUs by a compiled engine: rows have the same bits in any batch."""

from gpt2sdk import hookimpl


@hookimpl
def gpt2sdk_components() -> tuple[object, ...]:
    """Return the components of this distribution."""
    from gpt2sdk_native.runner import NativeRunner

    return (NativeRunner,)
