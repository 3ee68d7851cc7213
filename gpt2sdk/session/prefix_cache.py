"""Keys and values of what was read before, for prompts that begin alike: a bounded prefix tree.

As SGLang's RadixAttention (Zheng et al., 2023, arXiv:2312.07104) and vLLM's automatic prefix
caching, which keeps whole blocks of tokens; here prefixes are found to the token.
"""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from threading import RLock
from typing import final

from torch import Tensor

from gpt2sdk.components.causal_lm import PortableCache

LEAST = 16
"""Tokens that have to be spared for a model call more: it costs about as much on a CPU."""


@dataclass(frozen=True, slots=True)
class CacheInfo:
    """What a prefix cache holds, and what it was good for so far.

    Attributes:
        limit: Bytes that it may hold; 0 for a cache that is off.
        nbytes: Bytes of keys and values that it holds.
        tokens: Tokens that it holds, each once however many prompts begin with it.
        entries: Stretches of tokens that nobody parted so far; the least recently used one that
            none goes on from is dropped first.
        hits: Prompts whose beginning was found.
        misses: Prompts that were read from their first token.
        tokens_saved: Tokens that were not read again.
    """

    limit: int = 0
    nbytes: int = 0
    tokens: int = 0
    entries: int = 0
    hits: int = 0
    misses: int = 0
    tokens_saved: int = 0


@dataclass(eq=False, slots=True)
class _Stretch:
    """A stretch of tokens behind its parent's, with what a cache holds of it."""

    tokens: tuple[int, ...] = ()
    held: list[Tensor] = field(default_factory=list)
    parent: "_Stretch | None" = None
    children: "dict[int, _Stretch]" = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.held)


@final
class PrefixCache:
    """What sequences of tokens left in the caches of one model, up to a number of bytes.

    Several threads may use it. What comes of other weights is never mixed: once the model is
    another one, the cache starts anew.

    Example:
        >>> from gpt2sdk.testing import tiny_gpt2
        >>> model, kept = tiny_gpt2(), PrefixCache(limit=10**6)
        >>> cache = model.make_cache(2)
        >>> scores = model.score(cache, [[3, 1, 4, 1, 5], []], keep=[1, 0])
        >>> kept.keep(cache, 0, [3, 1, 4, 1, 5], model.origin())
        >>> kept.recall(cache, 1, [3, 1, 4, 2, 7], model.origin()), cache.lengths
        (3, (5, 3))
        >>> info = kept.info()
        >>> info.tokens, info.hits, info.tokens_saved
        (5, 1, 3)
    """

    def __init__(self, limit: int) -> None:
        """Start empty.

        Args:
            limit: Bytes that it may hold.
        """
        self.limit = limit
        self._lock = RLock()
        self._origin: Hashable | None = None
        self._root = _Stretch()
        # The least recently used first, and no node before one that goes on from it.
        self._nodes: OrderedDict[_Stretch, None] = OrderedDict()
        self._nbytes = self._hits = self._misses = self._saved = 0

    def info(self) -> CacheInfo:
        """Say what it holds, and what it was good for."""
        with self._lock:
            return CacheInfo(
                self.limit,
                self._nbytes,
                sum(len(node.tokens) for node in self._nodes),
                len(self._nodes),
                self._hits,
                self._misses,
                self._saved,
            )

    def clear(self) -> None:
        """Forget all tokens and give their memory back; what was counted stays."""
        with self._lock:
            self._origin, self._root, self._nbytes = None, _Stretch(), 0
            self._nodes.clear()

    def length(self, tokens: Sequence[int], origin: Hashable | None) -> int:
        """Say how many first tokens of a sequence it holds.

        Args:
            tokens: The sequence.
            origin: Of what they have to come: see `RecallableLM`.
        """
        with self._lock:
            if origin is None or origin != self._origin:
                return 0
            return sum(count for _, count in self._walk(tuple(tokens)))

    def recall(
        self, cache: PortableCache, slot: int, tokens: Sequence[int], origin: Hashable | None
    ) -> int:
        """Put as much of a sequence into a slot as is held.

        Args:
            cache: The slot's; who feeds it waits.
            slot: It holds none of the tokens, or the first ones.
            tokens: The sequence, as far as nobody has to see it being read.
            origin: What would read it now; `None` finds nothing.

        Returns:
            How many first tokens the slot holds then.
        """
        start = cache.lengths[slot]
        with self._lock:
            self._start_anew(origin)
            path = self._walk(tuple(tokens))
            self._touch([node for node, _ in path])
            at = 0
            for node, count in path:
                if at + count > start:
                    skipped = max(start - at, 0)
                    part = [each.narrow(-2, skipped, count - skipped) for each in node.held]
                    cache.copy_in(slot, part)
                at += count
            self._hits += at > start
            self._misses += at <= start
            self._saved += max(at - start, 0)
        return max(at, start)

    def keep(
        self, cache: PortableCache, slot: int, tokens: Sequence[int], origin: Hashable | None
    ) -> None:
        """Hold on to a sequence, or as much of it as there is room for: its first tokens.

        Only what is not yet there is copied, once room was made for it. No call fails of it: where
        memory runs out, everything is forgotten.

        Args:
            cache: The slot's.
            slot: It holds the tokens.
            tokens: The sequence.
            origin: What read it, and would read it now; `None` is not kept.
        """
        if origin is None:
            return
        with self._lock:
            try:
                self._start_anew(origin)
                self._keep(cache, slot, tuple(tokens))
            except (MemoryError, RuntimeError):
                self.clear()
            except BaseException:
                # An interruption may have come between two steps that belong together.
                self.clear()
                raise

    def _start_anew(self, origin: Hashable | None) -> None:
        """Forget what comes of something else than what reads now."""
        if origin != self._origin:
            self.clear()
            self._origin = origin

    def _walk(self, tokens: tuple[int, ...]) -> list[tuple[_Stretch, int]]:
        """Follow a sequence through the tree; returns nodes, and how many tokens of each match."""
        path: list[tuple[_Stretch, int]] = []
        node, at = self._root, 0
        while at < len(tokens) and (child := node.children.get(tokens[at])):
            count = common(child.tokens, tokens[at : at + len(child.tokens)])
            path.append((child, count))
            at += count
            if count < len(child.tokens):
                break
            node = child
        return path

    def _touch(self, path: Sequence[_Stretch]) -> None:
        for node in reversed(path):
            self._nodes.move_to_end(node)

    def _keep(self, cache: PortableCache, slot: int, tokens: tuple[int, ...]) -> None:
        path = self._walk(tokens)
        nodes = [node for node, _ in path]
        self._touch(nodes)
        at = sum(count for _, count in path)
        room = (self.limit - sum(node.nbytes for node in nodes)) // max(cache.token_nbytes, 1)
        stop = min(len(tokens), at + room)
        if stop <= at:
            return
        if path and path[-1][1] < len(nodes[-1].tokens):
            nodes[-1] = self._split(*path[-1])
            self._touch(nodes)
        self._make_room(self.limit - (stop - at) * cache.token_nbytes)
        parent = nodes[-1] if nodes else self._root
        node = _Stretch(tokens[at:stop], cache.copy_out(slot, at, stop), parent)
        parent.children[tokens[at]] = node
        self._nodes[node] = None
        self._nbytes += node.nbytes
        self._touch([*nodes, node])

    def _split(self, node: _Stretch, count: int) -> _Stretch:
        """Give a node's first tokens a node of their own, each tensor its own memory."""
        above = _Stretch(node.tokens[:count], [], node.parent)
        for at, tensor in enumerate(node.held):
            above.held.append(tensor.narrow(-2, 0, count).clone())
            node.held[at] = tensor.narrow(-2, count, len(node.tokens) - count).clone()
        node.tokens, parent = node.tokens[count:], node.parent or self._root
        parent.children[above.tokens[0]] = above
        above.children[node.tokens[0]] = node
        node.parent = above
        self._nodes[above] = None
        return above

    def _make_room(self, most: int) -> None:
        """Drop what was not used for the longest time until so many bytes are left."""
        while self._nbytes > most:
            node, _ = self._nodes.popitem(last=False)
            self._nbytes -= node.nbytes
            parent = node.parent or self._root
            del parent.children[node.tokens[0]]


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens two sequences of one type begin with alike.

    >>> common([1, 2, 3], [1, 2, 4, 5]), common([1], [1])
    (2, 1)
    """
    least, most = 0, min(len(one), len(other))
    while least < most:
        # Slices are compared without Python's help, which makes a search by halves the faster one.
        middle = (least + most + 1) // 2
        if one[least:middle] == other[least:middle]:
            least = middle
        else:
            most = middle - 1
    return least
