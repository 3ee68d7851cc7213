"""Phrases that are looked for in text as it grows."""

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Phrases:
    """Some phrases, ready to be found.

    Attributes:
        pattern: Matches each of them.
        characters: How many characters the longest has.
        tokens: How many tokens one may span: each of them has at least one of its bytes.

    Example:
        >>> phrases = Phrases.of(["bad", "3 €"])
        >>> phrases.characters, phrases.tokens
        (3, 5)
        >>> phrases.find("not bad", 5)
        4
    """

    pattern: re.Pattern[str]
    characters: int
    tokens: int

    @classmethod
    def of(cls, phrases: Sequence[str], *, ignore_case: bool = False) -> "Phrases":
        """Get phrases ready to be found; there may be none, but no empty one."""
        spelled = [[spellings(each, ignore_case) for each in phrase] for phrase in phrases]
        either = ["".join(f"[{re.escape(forms)}]" for forms in phrase) for phrase in spelled]
        return cls(
            re.compile("|".join(either) or "(?!)"),
            max(map(len, spelled), default=0),
            max((sum(map(_most_bytes, phrase)) for phrase in spelled), default=0),
        )

    def find(self, text: str, fresh: int) -> int | None:
        """Return where a phrase begins, of those that end after the first `fresh` characters."""
        found = self.pattern.search(text, max(0, fresh - self.characters + 1))
        return None if found is None else found.start()


def _most_bytes(forms: str) -> int:
    return max(len(form.encode()) for form in forms)


def spellings(character: str, ignore_case: bool) -> str:  # noqa: FBT001
    """Return the characters that may stand for one.

    >>> spellings("a", True), spellings("a", False), spellings("1", True)
    ('aA', 'a', '1')
    """
    forms = [character, character.lower(), character.upper()] if ignore_case else [character]
    # What has several characters in capitals, as ß has, only stands for itself.
    return "".join(dict.fromkeys(form for form in forms if len(form) == 1))
