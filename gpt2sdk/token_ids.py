"""Token ids as config files have them: one, a list of them, or none."""


def token_ids(value: object) -> object:
    """Accept one id, a non-empty list of ids, or none; a list becomes a tuple."""
    if isinstance(value, list | tuple):
        ids = tuple(value)
        if not all(_is_token_id(item) for item in ids):
            raise ValueError("a token id or a list of them, each 0 or more")
        return ids or None
    if value is not None and not _is_token_id(value):
        raise ValueError("a token id or a list of them, each 0 or more")
    return value


def _is_token_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def without_negative_ids(value: object) -> object:
    """Read ids below 0 as none: some programs write -1 where there is no such token.

    >>> without_negative_ids(-1), without_negative_ids([-1, 5]), without_negative_ids("a")
    (None, [5], 'a')
    """
    if isinstance(value, list):
        return [item for item in value if not isinstance(item, int) or item >= 0]
    return None if isinstance(value, int) and value < 0 else value


def several(ids: object) -> tuple[int, ...]:
    """Return what was accepted as a tuple: empty for none."""
    if isinstance(ids, tuple):
        return ids
    return (ids,) if isinstance(ids, int) else ()
