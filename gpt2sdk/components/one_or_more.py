"""Options that take several texts, or one as it is."""

from typing import Final

from pydantic import BeforeValidator


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


OneOrMore: Final = BeforeValidator(_several)
"""Lets a text stand for a list of that text alone, in the annotation of an option.

Without it `stop="END"` would be refused, or be the letters E, N and D.

>>> from typing import Annotated
>>> from pydantic import TypeAdapter
>>> adapter = TypeAdapter(Annotated[tuple[str, ...], OneOrMore])
>>> adapter.validate_python("END"), adapter.validate_python(("END", "."))
(('END',), ('END', '.'))
"""
