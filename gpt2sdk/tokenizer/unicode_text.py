"""What can be encoded: Unicode text."""

from gpt2sdk.errors import TokenizerError


def check_unicode(text: object) -> None:
    """Make sure that something is a text that can be encoded.

    Raises:
        TokenizerError: If it is no text, or holds a lone surrogate (half of a UTF-16 pair).
    """
    if not isinstance(text, str):
        raise TokenizerError(f"expected a text, got a {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise TokenizerError(
            f"expected Unicode text, got the lone surrogate {text[error.start]!r} at character "
            f"{error.start}: decode the input with errors='replace'"
        ) from None
