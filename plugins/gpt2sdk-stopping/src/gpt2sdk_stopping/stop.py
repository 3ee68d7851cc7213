"""Stop strings: a row ends before a text."""

from typing import Annotated

from pydantic import BeforeValidator, Field
from typing_extensions import override

from gpt2sdk import TextCriterion, TextEnd


def _several(texts: object) -> object:
    return (texts,) if isinstance(texts, str) else texts


class Stop(TextCriterion):
    r"""Ends a row before the first of these texts, wherever its tokens are cut.

    The match that is complete first counts, and among those the longest: the result is the same
    whether text comes in characters or in long tokens. Only new text is searched, not the
    prompt. While the last characters may still become a match they are held back, so no part of
    one is ever streamed. The tokens of the match stay in `tokens`.

    Example:
        >>> stop = Stop(stop=["END", "\n\n"])
        >>> stop.search("the END.", 0)  # it ends before character 4
        TextEnd(end=4, hold=0)
        >>> stop.search("the EN", 0)  # "EN" may become "END"
        TextEnd(end=None, hold=2)
    """

    stop: Annotated[
        tuple[Annotated[str, Field(min_length=1)], ...],
        BeforeValidator(_several),
        Field(description="One or several texts before which a row ends."),
    ] = ()

    @override
    def search(self, text: str, start: int) -> TextEnd:
        found = [(at + len(stop), at) for stop in self.stop if (at := text.find(stop, start)) >= 0]
        if found:
            return TextEnd(min(found)[1])
        return TextEnd(None, max((_beginning(text, start, stop) for stop in self.stop), default=0))


def _beginning(text: str, start: int, stop: str) -> int:
    """How many last characters of a text are the beginning of a stop string.

    >>> _beginning("abab", 0, "abac")
    2
    """
    longest = min(len(stop) - 1, len(text) - start)
    return next((size for size in range(longest, 0, -1) if text.endswith(stop[:size])), 0)
