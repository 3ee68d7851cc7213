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

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt32
from torch import Tensor

from gpt2sdk.shapes import Counts, Exponentials, Keys, Logits, Tokens

NO_TOKEN = -2
"""What a row gets that has none to draw: no id, and not -1, which means that it takes none."""

# Of fewer tokens, finding those that may win takes longer than letting all of them run.
_ALL_RUN_UP_TO = 2048
# What the bound below leaves out of a float's logarithm base 2, in the 23 bits behind its exponent,
# and the exponents of what is counted in steps of 2**-31.
_MANTISSA, _EXPONENT = 2.0**-23, 127 + 31
# Above what rounding does to a bound.
_SLACK = 1e-3
# So many tokens of rows are raced at a time, so that what is made in between stays small.
_AT_ONCE = 1 << 24

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
    logits = logits.detach()
    if logits.dtype in {torch.bfloat16, torch.float16}:
        logits = logits.float()
    if not logits.numel():
        return logits.new_full((len(logits),), NO_TOKEN, dtype=torch.int64)
    if logits.device.type == "cpu":
        return _race_here(logits, keys)
    peaks = logits.amax(-1, keepdim=True)
    marks = _table(logits.shape[1], logits.device)[None]
    size = max(1, _AT_ONCE // logits.shape[1])
    found = [
        _race(logits[part], peaks[part], _minus_uniforms(marks, keys[part]))
        for part in (slice(start, start + size) for start in range(0, len(logits), size))
    ]
    return torch.cat(found)


def best(logits: Logits) -> Tokens:
    """Return the likeliest token of each row, the lowest id on ties.

    >>> best(torch.tensor([[0.1, 2.0, 2.0], [0.0, -1.0, 3.0]])).tolist()
    [1, 2]
    """
    # numpy finds the place of a maximum at the speed of memory, torch on CPUs at a tenth of it.
    if logits.device.type == "cpu" and logits.dtype in {torch.float32, torch.float64}:
        return torch.from_numpy(logits.detach().numpy().argmax(-1))
    return logits.argmax(-1)


def no_token(row: int, logits: Tensor) -> str:
    """Say why no token can be drawn for a row."""
    found = "all -inf" if logits.isneginf().all() else "NaN or infinite"
    return (
        f"row {row} has no token to draw: its logits are {found}; "
        "expected at least one finite logit, and -inf where a token is out"
    )


def _race(logits: Logits, peaks: Float[Tensor, "rows 1"], numbers: Exponentials) -> Tokens:
    """Find the place of each row's winner, given its largest logit and its numbers `-u`."""
    times = numbers.log1p_().neg_().log_()
    lead, place = torch.sub(logits - peaks, times, out=times).max(-1)
    return place.where(lead.isfinite(), NO_TOKEN)


def _race_here(logits: Logits, keys: Keys) -> Tokens:
    """Race on a CPU, where of many tokens only those run that may win.

    numpy has unsigned integers, and finds maxima and places ten times as fast as torch.
    """
    width = logits.shape[1]
    marks, words = _table(width, logits.device).numpy().view(np.uint32), keys.numpy()
    lower, upper = words.view(np.uint32)[:, :1], words.view(np.uint32)[:, 1:]
    if width <= _ALL_RUN_UP_TO:
        peaks = logits.amax(-1, keepdim=True)
        return _race(logits, peaks, _negative(_hashed(marks[None], lower, upper)))
    values = logits.numpy()
    peaks = torch.from_numpy(values.max(-1, keepdims=True))
    hopes = [
        _hopes(*each) for each in zip(values, [marks] * len(values), lower, upper, strict=True)
    ]
    most = max(map(len, hopes))
    if len(hopes) == most == 1 and math.isfinite(peaks):
        return torch.from_numpy(hopes[0])
    places = np.zeros((len(values), most), dtype=np.int64)
    some = np.full((len(values), most), -np.inf, dtype=values.dtype)
    for row, hope in enumerate(hopes):
        places[row, : len(hope)] = hope
        some[row, : len(hope)] = values[row, hope]
    numbers = _negative(_hashed(marks[places], lower, upper))
    found = _race(torch.from_numpy(some), peaks, numbers).tolist()
    ids = [NO_TOKEN if at < 0 else places[row, at] for row, at in enumerate(found)]
    return torch.tensor(ids, dtype=torch.int64)


def _hopes(
    values: Float[np.ndarray, " ids"],
    marks: UInt32[np.ndarray, " ids"],
    lower: UInt32[np.ndarray, " 1"],
    upper: UInt32[np.ndarray, " 1"],
) -> Int[np.ndarray, " some"]:
    """Which tokens of a row may win: a few, ascending, and the winner among them."""
    best = values.argmax()
    if not math.isfinite(values[best]):
        return np.array([best])
    alive = values > -np.inf
    if 2 * np.count_nonzero(alive) > len(values):
        return _leaders(values, marks, lower, upper, values[best])
    kept = _places(alive)
    if len(kept) <= _ALL_RUN_UP_TO:
        return kept
    ahead: Int[np.ndarray, " some"] = kept[
        _leaders(values[kept], marks[kept], lower, upper, values[best])
    ]
    return ahead


def _leaders(
    values: Float[np.ndarray, " ids"],
    marks: UInt32[np.ndarray, " ids"],
    lower: UInt32[np.ndarray, " 1"],
    upper: UInt32[np.ndarray, " 1"],
    peak: np.floating,
) -> Int[np.ndarray, " some"]:
    """Which tokens come near the winner, without a logarithm of each.

    `E >= u`, and `log2(m * 2**e)` is at least `e + m - 1` for `1 <= m < 2`, which is what the bits
    of a float say when they are read as an integer. So `z - log2 u`, with the bits for the
    logarithm, is a bound of each token's lead; the lead of the token where that is largest is
    computed, and only tokens whose bound reaches it can be ahead.
    """
    drawn = _hashed(marks, lower, upper)
    bits = torch.from_numpy(drawn.view(np.int32)).float().view(torch.int32).float().numpy()
    bits *= np.float32(-_MANTISSA)
    bound = values - peak
    bound *= np.float32(1 / math.log(2))
    bound += bits
    first = bound.argmax()
    share = min((int(drawn[first]) + 0.5) * 2.0**-31, 1 - 2.0**-24)
    lead = float(values[first] - peak) - math.log(-math.log1p(-share))
    return _places(bound >= np.float32(lead / math.log(2) - _EXPONENT - _SLACK))


def _places(mask: Bool[np.ndarray, " ids"]) -> Int[np.ndarray, " some"]:
    """Where a mask with few marks is true, ascending; eight places are looked at in one.

    >>> _places(np.arange(20) % 9 == 8)
    array([ 8, 17])
    """
    whole = len(mask) // 8 * 8
    eights = np.flatnonzero(mask[:whole].view(np.uint64) != 0)
    near = (eights[:, None] * 8 + np.arange(8)).ravel()
    near = np.concatenate([near, np.arange(whole, len(mask))])
    found: Int[np.ndarray, " some"] = near[mask[near]]
    return found


def _hashed(
    marks: UInt32[np.ndarray, "*#rows ids"],
    lower: UInt32[np.ndarray, "*#rows 1"],
    upper: UInt32[np.ndarray, "*#rows 1"],
) -> UInt32[np.ndarray, "..."]:
    """The 31 bits of each token's number; see `_minus_uniforms`, which does the same elsewhere."""
    word: UInt32[np.ndarray, ...] = np.bitwise_xor(marks, lower ^ (lower >> np.uint32(16)))
    word *= np.uint32(0x7FEB352D)
    scratch = word >> np.uint32(15)
    word ^= scratch
    word += upper
    word *= np.uint32(0x846CA68B)
    np.right_shift(word, np.uint32(16), out=scratch)
    word ^= scratch
    word &= np.uint32(0x7FFFFFFF)
    return word


def _negative(drawn: UInt32[np.ndarray, "rows ids"]) -> Exponentials:
    """The numbers `-u` of these 31 bits."""
    numbers = torch.from_numpy(drawn.view(np.int32)).float()
    return numbers.add_(0.5).mul_(-(2.0**-31)).clamp_(min=2.0**-24 - 1.0)


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
