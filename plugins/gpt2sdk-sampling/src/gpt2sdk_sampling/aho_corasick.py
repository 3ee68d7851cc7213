"""Finding several texts at once in one that grows, symbol by symbol."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence


class AhoCorasick:
    """An automaton whose state is the longest end of a text that begins some pattern.

    States are numbers, so whoever keeps one can go on from there, and go back. State 0 is the
    beginning of nothing.

    Aho and Corasick, "Efficient string matching: an aid to bibliographic search", 1975,
    doi:10.1145/360825.360855.

    Attributes:
        patterns: What is looked for, without empty ones.
        depths: How long the beginning is that each state stands for.
        fails: The state of each one's longest proper end that begins some pattern.
        steps: Where each state goes to by which symbols; by all others to 0.
        ends: The patterns, by number, that end at each state.

    Example:
        >>> search = AhoCorasick([b"he", b"she"])
        >>> state, found = search.walk(0, b"us")
        >>> found, search.depths[state]
        ([], 1)
        >>> search.walk(state, b"hers")[1]
        [1, 0]
    """

    def __init__(self, patterns: Sequence[Sequence[int]]) -> None:
        self.patterns = patterns
        self.depths = [0]
        self.children: list[dict[int, int]] = [{}]
        self.ends: list[list[int]] = [[]]
        for number, pattern in enumerate(patterns):
            self._plant(number, pattern)
        self.fails = [0] * len(self.depths)
        self.steps: list[Mapping[int, int]] = [self.children[0]] * len(self.depths)
        self._link()

    def walk(self, state: int, symbols: Iterable[int]) -> tuple[int, list[int]]:
        """Read symbols: the state they lead to, and the patterns that end in them, in order."""
        found: list[int] = []
        for symbol in symbols:
            state = self.steps[state].get(symbol, 0)
            found += self.ends[state]
        return state, found

    def _plant(self, number: int, pattern: Sequence[int]) -> None:
        state = 0
        for symbol in pattern:
            if symbol not in self.children[state]:
                self.children[state][symbol] = len(self.depths)
                self.depths.append(self.depths[state] + 1)
                self.children.append({})
                self.ends.append([])
            state = self.children[state][symbol]
        self.ends[state].append(number)

    def _link(self) -> None:
        """Find the fails breadth first: each one is nearer to the root than its state."""
        queue = deque(self.children[0].values())
        while queue:
            state = queue.popleft()
            fail = self.fails[state]
            self.ends[state] += self.ends[fail]
            self.steps[state] = {**self.steps[fail], **self.children[state]}
            for symbol, child in self.children[state].items():
                self.fails[child] = self.steps[fail].get(symbol, 0)
                queue.append(child)
