"""The logits processor `zoo` for gpt2sdk."""

from gpt2sdk import hookimpl


@hookimpl
def gpt2sdk_components() -> tuple[object, ...]:
    """Return the components of this distribution; imported here, when one is looked for."""
    from gpt2sdk_zoo.zoo import Zoo

    return (Zoo,)
