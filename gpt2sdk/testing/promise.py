"""Broken promises, said in words."""


def promise(kept: object, otherwise: str) -> None:
    """Raise an `AssertionError` with these words unless something is true.

    An `assert` statement would be silent under `python -O`.

    >>> promise(1 + 1 == 2, "arithmetic is broken")
    """
    if not kept:
        raise AssertionError(otherwise)
