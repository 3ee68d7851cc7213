"""The keyed hash: 64 bits for a key, a context and a token, the same everywhere and for ever.

A text that was marked today must be found in ten years, so this function never changes:

```text
h = mix(key + G);  h = mix((h ^ salt) + G);  h = mix((h ^ t) + G) for each token t in turn
mix(x): x ^= x >> 30;  x *= 0xbf58476d1ce4e5b9;  x ^= x >> 27;  x *= 0x94d049bb133111eb;
        x ^= x >> 31
```

All is modulo 2**64, with G = 0x9e3779b97f4a7c15; `mix` is the finaliser of SplitMix64 (Steele, Lea
and Flood, 2014, doi:10.1145/2660193.2660195). The salt keeps schemes apart that share a key.
There is no generator with a state: on every device and in every version of torch int64 products
wrap around alike, which cannot be said of `torch.randperm`.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Int
from torch import Tensor

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_FACTORS = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_SHIFTS = 30, 27, 31


def keyed(key: int, salt: int, tokens: Iterable[int] = ()) -> int:
    """Return the hash of a key, a scheme's salt and a context.

    >>> hex(keyed(15485863, 1, [464, 5822]))
    '0x1af0c6bb47a0ccbf'
    """
    word = _mix((key + _GOLDEN) & _MASK)
    for part in (salt, *tokens):
        word = extended(word, part)
    return word


def extended(word: int, token: int) -> int:
    """Return the hash with one token more.

    >>> extended(keyed(7, 1, [2]), 3) == keyed(7, 1, [2, 3])
    True
    """
    return _mix(((word ^ token) + _GOLDEN) & _MASK)


def signed(word: int) -> int:
    """The int64 that has the bits of an unsigned word.

    >>> signed((1 << 64) - 1), signed(5)
    (-1, 5)
    """
    return word - (1 << 64) if word >> 63 else word


def extended_each(
    words: Int[Tensor, "rows #vocab"], tokens: Int[Tensor, " #vocab"]
) -> Int[Tensor, "rows vocab"]:
    """Return the hashes, each with a token more, as int64."""
    return _mixed((words ^ tokens).add_(signed(_GOLDEN)))


def extended_by_all(
    words: Int[Tensor, "rows #vocab"], vocab_size: int
) -> Int[Tensor, "rows vocab"]:
    """Return the hashes of each row with each token of the vocabulary, as int64.

    >>> words = torch.tensor([[signed(keyed(7, 1, [2]))]])
    >>> extended_by_all(words, 4)[0, 3].item() == signed(keyed(7, 1, [2, 3]))
    True
    """
    ids = torch.arange(vocab_size, device=words.device)
    return extended_each(words, ids)


def _mix(word: int) -> int:
    for factor, shift in zip(_FACTORS, _SHIFTS[:2], strict=True):
        word = ((word ^ (word >> shift)) * factor) & _MASK
    return word ^ (word >> _SHIFTS[2])


def _mixed(words: Int[Tensor, "rows vocab"]) -> Int[Tensor, "rows vocab"]:
    """`_mix` of each word, in place: a signed shift and a mask make an unsigned one."""
    for factor, shift in zip(_FACTORS, _SHIFTS[:2], strict=True):
        words.bitwise_xor_(_shifted(words, shift)).mul_(signed(factor))
    return words.bitwise_xor_(_shifted(words, _SHIFTS[2]))


def _shifted(words: Int[Tensor, "rows vocab"], places: int) -> Int[Tensor, "rows vocab"]:
    return (words >> places).bitwise_and_((1 << (64 - places)) - 1)
