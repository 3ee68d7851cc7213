"""Ids as a column of a table, which has one type, and not all that JSON has."""

from gpt2sdk import OptionError
from gpt2sdk_batch.seeds import LineId

_BITS = 63


class TableIds:
    """Looks at ids, one after the other, and says whether a table can have all of them.

    Attributes:
        texts: Whether some are texts.
        numbers: Whether some are numbers.

    >>> ids = TableIds()
    >>> ids.see(2**63 - 1)
    >>> ids.check()
    >>> ids.see(2**63)
    >>> ids.check()
    Traceback (most recent call last):
    gpt2sdk.errors.OptionError: the id 9223372036854775808 does not fit into a column of a table, \
which has 64 bits for a number: expected an output in .jsonl
    """

    def __init__(self) -> None:
        self.texts = self.numbers = False
        self._unfit: LineId | None = None

    def see(self, line_id: LineId) -> None:
        """Take note of an id."""
        if isinstance(line_id, str):
            self.texts = True
            fits = line_id.isascii() or _is_unicode(line_id)
        else:
            self.numbers = True
            fits = -(2**_BITS) <= line_id < 2**_BITS
        if not fits and self._unfit is None:
            self._unfit = line_id

    def check(self) -> None:
        """Refuse ids that a table cannot have.

        Raises:
            OptionError: Some are texts and some are numbers, one is too large, or has half a
                character.
        """
        instead = "expected an output in .jsonl"
        if self.texts and self.numbers:
            message = "some ids are texts and some are numbers, and a column of a table has one"
            raise OptionError(f"{message} type: {instead}", name="target")
        if self._unfit is not None:
            number = isinstance(self._unfit, int)
            why = "64 bits for a number" if number else "whole characters"
            message = f"the id {self._unfit!a:.60} does not fit into a column of a table"
            raise OptionError(f"{message}, which has {why}: {instead}", name="target")


def _is_unicode(text: str) -> bool:
    """Whether it can be written in UTF-8: half a character, which JSON may have, cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
