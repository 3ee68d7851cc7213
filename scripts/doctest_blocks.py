"""Doctests in docstrings as code blocks; in Markdown, `>>>` would be a quotation."""

import re

import griffe

_DOCTEST = re.compile(
    r"^(?P<indent> *)>>> .*(?:\n(?P=indent)\S.*|\n(?P=indent)    .*)*", re.MULTILINE
)


def fenced(text: str) -> str:
    """Put a fence around each doctest, which ends at a blank line."""
    return _DOCTEST.sub(r"\g<indent>```pycon\n\g<0>\n\g<indent>```", text)


class DoctestBlocks(griffe.Extension):
    """Fences the doctests of every docstring."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        """Change a docstring as it is collected."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)
