"""The race: one random number for each token decides which is drawn.

Every token `i` runs for a time `E_i / p_i`, with `E_i` exponential of mean 1, and the first one
home is drawn. It is token `i` with probability `p_i` (the Gumbel-max trick: `-log E_i` is a
standard Gumbel number; Maddison, Tarlow and Minka, 2014, arXiv:1411.0030). `E_i` is a function
of the row's key and of the token's id alone, so it stays the same whichever other tokens are
ruled out, and a change of the logits by some noise changes the winner with a probability
proportional to that noise.

The numbers are hashed in 32 bits, by the mixer "lowbias32" (C. Wellons, "Prospecting for hash
functions", 2018), with the lower half of a 64-bit key going in before its first round and the
upper half before its second:

```text
x = T[id] ^ lo;  x ^= x >> 16;  x *= 0x7feb352d;  x ^= x >> 15
x += hi;                        x *= 0x846ca68b;  x ^= x >> 16
u = min(((x & 0x7fffffff) + 1/2) / 2**31, 1 - 2**-24)      in float32
E = -log1p(-u)
```

`T[id]` is the mixer's value, without keys, of `id * 0x9e3779b9 + 0x85ebca6b`. Torch has no
unsigned shifts: a signed one and a mask make one.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from jaxtyping import Int
from torch import Tensor

from gpt2sdk.shapes import Counts, Exponentials, Keys, Logits, Tokens

NO_TOKEN = -2
"""What a row gets that has none to draw: no id, and not -1, which means that it takes none."""

# A maximum over short blocks runs at the speed of memory, torch's argmax on CPUs at a tenth.
_BLOCK = 64
# Of fewer, finding the block takes longer than looking at all.
_SCANNED_UP_TO = 4096
# The numbers of so many tokens stay in a core's cache; accelerators want much at once.
_AT_ONCE, _AT_ONCE_ELSEWHERE = 1 << 15, 1 << 24

_MASK = (1 << 64) - 1


def _signed(word: int, bits: int) -> int:
    """The signed number of so many bits that has the bits of an unsigned one.

    >>> _signed(0xFFFFFFFF, 32), _signed(5, 32)
    (-1, 5)
    """
    half = 1 << (bits - 1)
    return ((word + half) & ((1 << bits) - 1)) - half


_FIRST, _SECOND = _signed(0x7FEB352D, 32), _signed(0x846CA68B, 32)
_STEP, _START = _signed(0x9E3779B9, 32), _signed(0x85EBCA6B, 32)
_GOLDEN = _signed(0x9E3779B97F4A7C15, 64)
_ROUNDS = (_signed(0xBF58476D1CE4E5B9, 64), 30), (_signed(0x94D049BB133111EB, 64), 27)


def halves(words: Sequence[int], device: torch.device) -> Keys:
    """Put keys made by `rng.key` on a device, each as its lower and its upper half.

    >>> halves([(3 << 32) + 0xFFFFFFFF], torch.device("cpu")).tolist()
    [[-1, 3]]
    """
    pairs = [(_signed(word, 32), _signed(word >> 32, 32)) for word in words]
    return torch.tensor(pairs, dtype=torch.int32, device=device).view(-1, 2)


def keys(seeds: Counts, lanes: Counts, draws: Counts, purpose: int) -> Keys:
    """Compute keys where the tensors are, equal to those of `rng.key`.

    Args:
        seeds: Each row's seed, modulo 2**64.
        lanes: Each row's number among its prompt's rows.
        draws: How many tokens each row has appended.
        purpose: A word from `rng.purpose_key`.

    >>> from gpt2sdk.rng import key
    >>> one, two = torch.tensor([1, -1]), torch.tensor([0, 2])
    >>> words = [key(1, 0, 0, 5), key(-1, 2, 2, 5)]
    >>> torch.equal(keys(one, two, two, 5), halves(words, one.device))
    True
    """
    word = _mix64(seeds + _GOLDEN)
    for part in (_signed(purpose, 64), lanes, draws):
        word = _mix64((word ^ part) + _GOLDEN)
    # An int64 of a little-endian machine is its lower half, then its upper one; so are CUDA's.
    return word.contiguous().view(torch.int32).view(-1, 2)


def _mix64(word: Counts) -> Counts:
    """SplitMix64's finaliser."""
    for factor, shift in _ROUNDS:
        word = (word ^ _shifted(word, shift, 64)) * factor
    return word ^ _shifted(word, 31, 64)


def _shifted(numbers: Tensor, places: int, bits: int) -> Tensor:
    """Shift to the right, zeros coming in."""
    return (numbers >> places) & ((1 << (bits - places)) - 1)


def exponentials(keys: Keys, token_ids: Int[Tensor, "#rows ids"]) -> Exponentials:
    """Return the exponential numbers, of mean 1, of some tokens of each row.

    Args:
        keys: The rows' keys.
        token_ids: Ids; a single row of them stands for every row.
    """
    ids = token_ids.to(torch.int32)
    return torch.log1p(_minus_uniforms(_marks(ids), keys)).neg_()


def race(logits: Logits, keys: Keys) -> Tokens:
    """Draw a token for each row: the argmax of `(z - max z) - log E`, the lowest id on ties.

    Args:
        logits: Unnormalised; `-inf` where a token is out.
        keys: The rows' keys.

    Returns:
        int64 ids; `NO_TOKEN` for a row whose logits are all `-inf`, or hold NaN or `+inf`.
    """
    count, width = logits.shape
    logits = logits.detach()
    if logits.dtype in {torch.bfloat16, torch.float16}:
        logits = logits.float()
    here = logits.device.type == "cpu"
    marks = _table(-(-width // _BLOCK) * _BLOCK, logits.device)
    step = max(1, (_AT_ONCE if here else _AT_ONCE_ELSEWHERE) // max(width, 1))
    parts = [slice(start, start + step) for start in range(0, count, step)] or [slice(0)]
    if here and step == 1:
        return torch.cat([_race_kept(logits[part], marks, keys[part]) for part in parts])
    if len(parts) == 1:
        return _race(logits, marks, keys)
    return torch.cat([_race(logits[part], marks, keys[part]) for part in parts])


def no_token(row: int, logits: Tensor) -> str:
    """Say why no token can be drawn for a row."""
    found = "all -inf" if logits.isneginf().all() else "NaN or infinite"
    return (
        f"row {row} has no token to draw: its logits are {found}; "
        "expected at least one finite logit, and -inf where a token is out"
    )


def _race_kept(logits: Logits, marks: Int[Tensor, " ids"], keys: Keys) -> Tokens:
    """Race a row, without the blocks that are out altogether where those are the most.

    The last block may be a part of one, and always stays.
    """
    whole = logits.shape[1] // _BLOCK
    blocks, rest = logits[0, : whole * _BLOCK].view(whole, _BLOCK), logits[:, whole * _BLOCK :]
    kept = (blocks.amax(-1) != -math.inf).nonzero().squeeze(1)
    if 2 * len(kept) > whole:
        return _race(logits, marks, keys)
    some = torch.cat([blocks[kept].view(1, -1), rest], 1)
    if not some.shape[1]:
        return torch.tensor([NO_TOKEN])
    places = torch.cat([kept, torch.arange(whole, len(marks) // _BLOCK)])
    found = _race(some, marks.view(-1, _BLOCK)[places].view(-1), keys)
    ids = places[found // _BLOCK] * _BLOCK + found % _BLOCK
    return ids.where(found != NO_TOKEN, NO_TOKEN)


def _race(logits: Logits, marks: Int[Tensor, " ids"], keys: Keys) -> Tokens:
    """Race rows together, over ids with these marks: the place of the winner in each.

    There may be up to a block more marks than logits.
    """
    count, width = logits.shape
    if width <= _SCANNED_UP_TO:
        times = _minus_uniforms(marks[None, :width], keys).log1p_().neg_().log_()
        lead, place = torch.sub(logits - logits.amax(-1, keepdim=True), times, out=times).max(-1)
        return place.where(lead.isfinite(), NO_TOKEN)
    times = _minus_uniforms(marks.unsqueeze(0), keys).log1p_().neg_().log_()
    leads = torch.empty_like(times)
    torch.sub(logits, logits.amax(-1, keepdim=True), out=leads[:, :width])
    leads[:, width:] = -math.inf
    blocks = leads.sub_(times).view(count, len(marks) // _BLOCK, _BLOCK)
    peaks = blocks.amax(-1)
    block = peaks.argmax(-1, keepdim=True)
    inside = blocks.gather(1, block[..., None].expand(-1, -1, _BLOCK)).argmax(-1)
    found = (block * _BLOCK + inside).where(peaks.gather(1, block).isfinite(), NO_TOKEN)
    return found.squeeze(1)


def _minus_uniforms(marks: Int[Tensor, "#rows ids"], keys: Keys) -> Exponentials:
    """The numbers `-u` of ids with these marks, one row of marks for all keys or one for each."""
    lower, upper = keys[:, :1], keys[:, 1:]
    word = torch.bitwise_xor(marks, lower ^ _shifted(lower, 16, 32)).mul_(_FIRST)
    scratch = torch.bitwise_right_shift(word, 15).bitwise_and_(0x1FFFF)
    word.bitwise_xor_(scratch).add_(upper).mul_(_SECOND)
    torch.bitwise_right_shift(word, 16, out=scratch).bitwise_and_(0xFFFF)
    scratch.bitwise_xor_(word).bitwise_and_(0x7FFFFFFF)
    numbers = word.view(torch.float32).copy_(scratch)
    return numbers.add_(0.5).mul_(-(2.0**-31)).clamp_(min=2.0**-24 - 1.0)


def _marks(ids: Int[Tensor, "rows ids"]) -> Int[Tensor, "rows ids"]:
    """What stands for ids: `T[id]` with the first shift of the keyed rounds done already.

    A shift of an exclusive or is the exclusive or of the shifts.
    """
    word = ids * _STEP + _START
    word = (word ^ _shifted(word, 16, 32)) * _FIRST
    word = (word ^ _shifted(word, 15, 32)) * _SECOND
    word = word ^ _shifted(word, 16, 32)
    return word ^ _shifted(word, 16, 32)


@lru_cache(maxsize=16)
def _table(count: int, device: torch.device) -> Int[Tensor, " ids"]:
    """The marks of the first so many ids."""
    return _marks(torch.arange(count, dtype=torch.int32, device=device)[None])[0]
