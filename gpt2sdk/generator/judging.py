"""The log-probability of every token of sequences; what they begin with alike is fed once."""

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gpt2sdk.components.causal_lm import CausalLM, KeyValueCache
from gpt2sdk.errors import GenerationError
from gpt2sdk.generator.prefixes import Segment, segments
from gpt2sdk.generator.recalling import Recalling
from gpt2sdk.generator.windows import Window, cut
from gpt2sdk.normalizer import log_normalizer
from gpt2sdk.session.prefix_cache import LEAST, PrefixCache, common
from gpt2sdk.shapes import Logits

# Bytes of the float32 logits of one call: 166 positions of GPT-2's vocabulary.
_LOGITS_BYTES = 2**25
# Tokens of one batch that are fed: enough for fast products.
_TOKENS = 2048
# Places of a batch's cache, all its rows counted as long as the longest: 600 MB of a GPT-2.
_PLACES = 8192
# Rows of logits that are summed in float64 at once.
_SUMMED = 16


Held = tuple[Sequence[int], int]
"""Tokens that a slot of a cache holds, and which slot it is."""


class Verdict(NamedTuple):
    """What a model says of a token.

    Attributes:
        logprob: Its log-probability.
        likeliest: Whether no token was likelier.
        top: The likeliest tokens in its place, as many as were asked for.
    """

    logprob: float
    likeliest: bool
    top: tuple[tuple[int, float], ...] = ()


class Piece(NamedTuple):
    """A part of a segment that is fed in one call, and how many of its last places are scored."""

    start: int
    stop: int
    scored: int


def judge(  # noqa: PLR0913 - as many as `score_all` has for it
    model: CausalLM,
    sequences: Sequence[Sequence[int]],
    size: int,
    stride: int,
    known: Sequence[int] | None = None,
    prefixes: PrefixCache | None = None,
    top: int = 0,
    *,
    cancel: threading.Event | None = None,
) -> list[list[Verdict]]:
    """Return what the model says of the tokens of each sequence.

    Args:
        model: What scores tokens.
        sequences: Token ids, two or more of each.
        size: Tokens of a window.
        stride: Predictions of each window but the first.
        known: How many first tokens of each are not judged, one or more; one by default.
        prefixes: What was read in other calls; those tokens are looked for and kept.
        top: How many of the likeliest tokens are named in each place.
        cancel: Looked at before each model call: once it is set, nothing more is read.

    Raises:
        GenerationError: The model's logits are no numbers, or `cancel` was set.
    """
    known = known or [1] * len(sequences)
    windows = [
        window
        for number, (sequence, skipped) in enumerate(zip(sequences, known, strict=True))
        for window in cut(number, len(sequence), size, stride, skipped)
    ]
    found = _Judging(model, sequences, windows, prefixes, top, cancel).run()
    verdicts: list[list[Verdict]] = [[] for _ in sequences]
    for window, each in zip(windows, found, strict=True):
        verdicts[window.text] += each
    if any(math.isnan(each.logprob) for several in verdicts for each in several):
        raise GenerationError("the model's logits are NaN: its weights are damaged, or overflow")
    return verdicts


class _Judging:
    """Windows on their way through a model.

    They are read in the order of their tokens, so that those that begin alike are neighbours, and
    the last one of a batch has all that the next batch shares with it.
    """

    def __init__(
        self,
        model: CausalLM,
        sequences: Sequence[Sequence[int]],
        windows: Sequence[Window],
        prefixes: PrefixCache | None,
        top: int,
        cancel: threading.Event | None,
    ) -> None:
        self._model = model
        self._cancel = cancel
        self._top = top
        self._fed = [tuple(sequences[each.text][each.start : each.stop]) for each in windows]
        self._targets = [
            sequences[each.text][each.stop - each.scored + 1 : each.stop + 1] for each in windows
        ]
        self._opening = {number for number, each in enumerate(windows) if not each.start}
        self._prefixes = prefixes
        self._found: list[list[Verdict]] = [[] for _ in windows]
        self._most = max(1, _LOGITS_BYTES // (4 * model.vocab_size))

    def run(self) -> list[list[Verdict]]:
        """Read all, and return what the model says of each window's tokens."""
        with torch.inference_mode():
            cache = self._model.make_cache(0)
            self._recalling = Recalling(self._model, cache, self._prefixes)
            held: Held = ((), 0)
            for batch in self._batches():
                held = self._read(cache, batch, held)
            cache.fork([])
        return self._found

    def _first(self, window: int) -> int:
        """The first place of a window where the prediction counts."""
        return len(self._fed[window]) - len(self._targets[window])

    def _shared(self, held: Sequence[int], window: int) -> int:
        """How many of the tokens that the cache holds need not be fed again for a window."""
        count = min(common(held, self._fed[window]), self._first(window))
        return count if count >= LEAST else 0

    def _batches(self) -> Iterator[list[int]]:
        """Group windows that the model can read together."""
        batch: list[int] = []
        longest = rows = fresh = 0
        last: Sequence[int] = ()
        for window in sorted(range(len(self._fed)), key=self._fed.__getitem__):
            tokens = self._fed[window]
            shared = common(last, tokens)
            new = len(tokens) - (shared if shared >= LEAST or shared == len(tokens) else 0)
            wide = max(longest, len(tokens)) * (rows + bool(new)) > _PLACES
            if batch and new and (wide or fresh + new > _TOKENS):
                yield batch
                batch, longest, rows, fresh = [], 0, 0, 0
            batch.append(window)
            longest, rows = max(longest, len(tokens)), rows + bool(new)
            fresh, last = fresh + new, tokens
        if batch:
            yield batch

    def _read(self, cache: KeyValueCache, batch: Sequence[int], held: Held) -> Held:
        """Feed a batch, and return where the cache holds its last window.

        Args:
            cache: What is fed.
            batch: The windows, in the order of their tokens.
            held: Where it holds the last window of the batch before.
        """
        before, root = held
        groups = groupby(batch, lambda window: self._shared(before, window))
        plan = [
            segment for count, group in groups for segment in segments(self._fed, [*group], count)
        ]
        tail = next(each for each in reversed(plan) if batch[-1] in each.members)
        slots: dict[Segment, int] = {}
        for level in range(max(each.level for each in plan) + 1):
            here = [each for each in plan if each.level == level]
            parents = {each: slots[each.parent] for each in here if each.parent is not None}
            if not level:
                # What the last batch left is the parent of what goes on from its beginning.
                parents = {each: root if each.start else -1 for each in here}
            elif tail in slots:
                parents[tail] = slots[tail]
            order = seated(parents)
            cache.fork([parents[each] for each in order])
            if not level:
                cache.rewind([each.start for each in order])
            slots = {each: slot for slot, each in enumerate(order)}
            fed = {slots[each]: each for each in here}
            pieces = {slot: self._piece(each, slot) for slot, each in fed.items()}
            unread = {slot: each for slot, each in pieces.items() if each.start < each.stop}
            for call in calls(unread, self._most):
                self._feed(cache, fed, call)
            for slot, each in fed.items():
                self._recalling.keep(slot, self._beginning(each))
        return self._fed[batch[-1]], slots[tail]

    def _piece(self, segment: Segment, slot: int) -> Piece:
        """A segment as it would be fed at once, behind what its slot holds, or can recall."""
        beginning = self._beginning(segment)
        recalled = len(beginning) > segment.start and self._recalling.recall(slot, beginning)
        first = min(self._first(member) for member in segment.members)
        scored = max(0, segment.stop - max(first, segment.start))
        return Piece(max(segment.start, recalled), segment.stop, scored)

    def _beginning(self, segment: Segment) -> Sequence[int]:
        """Tokens up to a segment's end that stand before what is judged in all its texts.

        What merely overlaps with the window before is not asked for by other calls.
        """
        members = segment.members
        most = min(self._first(each) if each in self._opening else 0 for each in members)
        return self._fed[members[0]][: min(most, segment.stop)]

    def _feed(
        self, cache: KeyValueCache, here: Mapping[int, Segment], call: Mapping[int, Piece]
    ) -> None:
        """Run the model once, and note what it says.

        Raises:
            GenerationError: Nobody wants to know any more.
        """
        if self._cancel is not None and self._cancel.is_set():
            raise GenerationError("it was cancelled before all texts were read")
        tokens: list[Sequence[int]] = [()] * len(cache.lengths)
        keep = [0] * len(tokens)
        lines: list[tuple[int, int, int]] = []  # line of logits, window, token
        for slot, piece in sorted(call.items()):
            begin = piece.stop - piece.scored
            tokens[slot] = self._fed[here[slot].members[0]][piece.start : piece.stop]
            for window in here[slot].members:
                first = self._first(window)
                lines += [
                    (sum(keep) + place - begin, window, self._targets[window][place - first])
                    for place in range(max(begin, first), piece.stop)
                ]
            keep[slot] = piece.scored
        logits = self._model.score(cache, tokens, keep).logits
        self._recalling.check()
        if lines:
            at, _, chosen = zip(*lines, strict=True)
            sums = _sums(logits)
            numbers, likeliest = _chosen(logits, sums, at, chosen)
            top = _likeliest(logits, sums, at, self._top)
            columns = zip(lines, numbers.tolist(), likeliest.tolist(), top, strict=True)
            for (_, window, _), number, best, several in columns:
                self._found[window].append(Verdict(number, best, several))


def seated(parents: Mapping[Segment, int]) -> list[Segment]:
    """Return segments in the order of their slots: one of each parent stays where that was.

    So as little as possible is copied. The second of three has another parent than its neighbours:

    >>> one, two, three = (Segment(0, 1, (number,)) for number in range(3))
    >>> seated({one: 1, two: 0, three: 1}) == [two, one, three]
    True
    """
    seats: list[Segment | None] = [None] * len(parents)
    others = []
    for segment, parent in parents.items():
        if 0 <= parent < len(seats) and seats[parent] is None:
            seats[parent] = segment
        else:
            others.append(segment)
    rest = iter(others)
    return [next(rest) if segment is None else segment for segment in seats]


def calls(pieces: Mapping[int, Piece], most: int) -> Iterator[dict[int, Piece]]:
    """Distribute pieces over calls that score at most so many places each, by slot.

    Example:
        >>> pieces = {0: Piece(0, 9, 5), 1: Piece(0, 4, 1)}
        >>> for call in calls(pieces, most=2):
        ...     print({slot: tuple(piece) for slot, piece in call.items()})
        {0: (0, 6, 2)}
        {0: (6, 8, 2)}
        {0: (8, 9, 1), 1: (0, 4, 1)}
    """
    call: dict[int, Piece] = {}
    kept = 0
    for slot, piece in pieces.items():
        start = piece.start
        for stop in _stops(piece, most):
            scored = min(piece.scored, stop - max(start, piece.stop - piece.scored))
            if call and (slot in call or kept + scored > most):
                yield call
                call, kept = {}, 0
            call[slot] = Piece(start, stop, max(scored, 0))
            start, kept = stop, kept + max(scored, 0)
    if call:
        yield call


def _stops(piece: Piece, most: int) -> Sequence[int]:
    """Where a piece is cut so that no part has too many scored places."""
    if piece.scored <= most:
        return [piece.stop]
    begin = piece.stop - piece.scored
    return [*range(begin + most, piece.stop, most), piece.stop]


def _sums(logits: Logits) -> Float[Tensor, " lines"]:
    """Return log Σ exp of each line, in float64."""
    return torch.cat([log_normalizer(part.double()) for part in torch.split(logits, _SUMMED)])


def _chosen(
    logits: Logits, sums: Float[Tensor, " lines"], lines: Sequence[int], tokens: Sequence[int]
) -> tuple[Float[Tensor, " tokens"], Bool[Tensor, " tokens"]]:
    """Return log-probabilities of tokens at some lines, and whether none is likelier there.

    A log-probability is the token's logit, less log Σ exp.

    >>> logits = torch.tensor([[1.0, 3.0], [3.0, 5.0]]).log()
    >>> numbers, likeliest = _chosen(logits, _sums(logits), [0, 1], [1, 0])
    >>> numbers.exp(), likeliest
    (tensor([0.7500, 0.3750], dtype=torch.float64), tensor([ True, False]))
    """
    at, chosen = torch.tensor([lines, tokens], device=logits.device)
    best = logits.argmax(-1)
    return logits[at, chosen].double() - sums[at], best[at] == chosen


def _likeliest(
    logits: Logits, sums: Float[Tensor, " lines"], lines: Sequence[int], count: int
) -> list[tuple[tuple[int, float], ...]]:
    """Return the likeliest tokens at some lines, as many as there are, without impossible ones.

    >>> logits = torch.tensor([[1.0, 3.0]]).log()
    >>> ((token, number),) = _likeliest(logits, _sums(logits), [0], 1)[0]
    >>> token, round(math.exp(number), 6)
    (1, 0.75)
    """
    if not count:
        return [()] * len(lines)
    best = logits.topk(min(count, logits.shape[-1]), dim=-1)
    numbers = (best.values.double() - sums[:, None]).tolist()
    rows = [
        tuple((token, number) for token, number in zip(*each, strict=True) if number > -math.inf)
        for each in zip(best.indices.tolist(), numbers, strict=True)
    ]
    return [rows[line] for line in lines]
