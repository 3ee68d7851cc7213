"""Patterns of modules' and parameters' names: with `*`, `?` and `[…]`, as the shell has them."""

from typing import Annotated

from pydantic import BeforeValidator


def _several(value: object) -> object:
    """Take one pattern for a list of one.

    >>> _several("wte.*"), _several(("wte.*", "wpe.*"))
    (('wte.*',), ('wte.*', 'wpe.*'))
    """
    return (value,) if isinstance(value, str) else value


Patterns = Annotated[tuple[str, ...], BeforeValidator(_several)]
"""Several patterns; one may be given as it is."""
