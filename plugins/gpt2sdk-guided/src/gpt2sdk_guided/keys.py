"""Keys: a pattern for the keys of an object that its schema does not name."""

from collections.abc import Collection

_FIRST = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
_LATER = "0123456789" + _FIRST
_LONGEST = 15


def other_keys(names: Collection[str]) -> str:
    """Return a pattern of words of up to 15 letters, digits and underscores but for some.

    Args:
        names: What it does not match.

    >>> other_keys(())
    '^[A-Za-z_][0-9A-Za-z_]{0,14}$'
    >>> import re
    >>> [name for name in ("a", "ab", "abc", "b") if re.search(other_keys(["ab"]), name)]
    ['a', 'abc', 'b']
    """
    words = {each for each in names if len(each) <= _LONGEST and set(each) <= set(_LATER)}
    return f"^{_but({each for each in words if each and each[0] in _FIRST}, 0)}$"


def _but(ends: set[str], depth: int) -> str:
    """What may follow `depth` characters, where `ends` may not."""
    letters = _LATER if depth else _FIRST
    nexts = sorted({each[0] for each in ends if each})
    free = "".join(each for each in letters if each not in nexts)
    left = _LONGEST - depth - 1
    ways = [f"[{_ranges(free)}]" + (f"[0-9A-Za-z_]{{0,{left}}}" if left else "")] if free else []
    ways += [each + _but({end[1:] for end in ends if end[:1] == each}, depth + 1) for each in nexts]
    inner = ways[0] if len(ways) == 1 else f"({'|'.join(ways)})"
    if depth == 0 or "" in ends:
        return inner
    return f"({inner})?" if left >= 0 else ""


def _ranges(letters: str) -> str:
    """A character class without brackets, whole alphabets written as ranges."""
    for whole, short in ((_FIRST, "A-Za-z_"), (_LATER, "0-9A-Za-z_")):
        if letters == whole:
            return short
    return letters
