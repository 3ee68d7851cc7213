"""Files: a constraint may stand in one, and its path is what is given."""

from pathlib import Path


def text_of(given: object) -> object:
    """Return what stands in a file, where a path is given, and anything else as it is.

    Raises:
        ValueError: The file cannot be read, or is no UTF-8 text.

    >>> text_of('root ::= "a"')
    'root ::= "a"'
    """
    if not isinstance(given, Path):
        return given
    try:
        return given.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"is a file that cannot be read: {error}") from None
