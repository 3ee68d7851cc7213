"""Patterns of modules' and parameters' names: with `*`, `?` and `[…]`, as the shell has them."""

from typing import Annotated

from gpt2sdk import OneOrMore

Patterns = Annotated[tuple[str, ...], OneOrMore]
"""Several patterns; one may be given as it is."""
