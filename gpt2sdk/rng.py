"""Counter-based random numbers: the same key gives the same number, whoever asks and when.

A number is a function of `(row seed, lane, draw, purpose)`, so it does not depend on a row's
neighbours, on the order of calls or on the device. The mixing function is the finaliser of
SplitMix64 (Steele, Lea and Flood, 2014, doi:10.1145/2660193.2660195), applied once per word of
the key in the manner of counter-based generators (Salmon et al., 2011,
doi:10.1145/2063384.2063405). A number for each token is made of the same key in `race`.
"""

import hashlib
import secrets
from functools import cache

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def _mix(word: int) -> int:
    """SplitMix64's finaliser: a bijection on 64-bit words with full avalanche."""
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _MASK
    return word ^ (word >> 31)


@cache
def purpose_key(purpose: str) -> int:
    """Turn a purpose (`"sample"`, `"xtc#1"`, `"accept"`) into a 64-bit word."""
    return int.from_bytes(hashlib.blake2b(purpose.encode(), digest_size=8).digest(), "little")


def key(seed: int, lane: int, draw: int, purpose: int) -> int:
    """Return the 64-bit word that all random numbers of a row's next token are made of.

    Args:
        seed: The row's seed; any integer, taken modulo 2**64.
        lane: The row's number among its prompt's rows.
        draw: How many tokens the row has appended.
        purpose: A word from `purpose_key`.

    >>> key(7, 0, 0, purpose_key("sample")) == key(7, 0, 0, purpose_key("sample"))
    True
    >>> key(7, 0, 0, purpose_key("sample")) == key(7, 0, 1, purpose_key("sample"))
    False
    """
    word = _mix((seed + _GOLDEN) & _MASK)
    for part in (purpose, lane, draw):
        word = _mix(((word ^ part) + _GOLDEN) & _MASK)
    return word


def uniform(seed: int, lane: int, draw: int, purpose: int) -> float:
    """Return a number in [0, 1): the upper 53 bits of the `key` of these words.

    >>> uniform(7, 0, 0, purpose_key("sample")) == uniform(7, 0, 1, purpose_key("sample"))
    False
    """
    return (key(seed, lane, draw, purpose) >> 11) * (1.0 / (1 << 53))


def derive(seed: int, index: int) -> int:
    """Return the row seed of prompt `index` under a call's single seed; prompt 0 keeps it.

    >>> derive(7, 0)
    7
    >>> derive(7, 1) == derive(7, 2)
    False
    """
    return seed if index == 0 else _mix(_mix((seed + _GOLDEN) & _MASK) ^ index)


def fresh_seed() -> int:
    """Draw a seed from the operating system, small enough to be read and typed."""
    return secrets.randbits(48)
