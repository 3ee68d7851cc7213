"""Documents in a text: what separates them, in training texts and in those to score."""

import re
from collections.abc import Iterator

SEPARATOR = "<|endoftext|>"
"""What ends a document in a text file, whatever a model's own end token is called."""


def split_documents(text: str, separator: str = SEPARATOR) -> Iterator[str]:
    r"""Cut a text at its separators, on lines by themselves or within one.

    Blanks around a separator that stands alone on its line go with it. Line breaks around a
    document are no part of it, and documents without any text are left out.

    >>> list(split_documents("One.\n\nMore.\n<|endoftext|>\nTwo.<|endoftext|>Three.\n"))
    ['One.\n\nMore.', 'Two.', 'Three.']

    Args:
        text: The text.
        separator: What ends a document.
    """
    end = re.escape(separator)
    alone = rf"^[ \t]*{end}[ \t\r]*$"
    for part in re.split(rf"{alone}|{end}", text, flags=re.MULTILINE):
        document = part.strip("\r\n")
        if document.strip():
            yield document
