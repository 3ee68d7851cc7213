"""A search tree over tokens: what was tried from here, how often, and how good it turned out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, sqrt


@dataclass
class Node:
    """A text that was reached.

    Attributes:
        prior: The probability of its last token, among those that are tried.
        visits: How often it was on the way.
        total: The sum of the values that were found below it.
        final: The value of a text that has ended; `None` for one that goes on.
        children: What may come next, by token, the likeliest first; empty before it was expanded.
    """

    prior: float = 1.0
    visits: int = 0
    total: float = 0.0
    final: float | None = None
    children: dict[int, "Node"] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """The mean of the values below it; 0 for a text that was not visited."""
        return self.total / max(self.visits, 1)


class Tree:
    """What a row knows of its continuations.

    Attributes:
        root: The row's present text.

    Example:
        The second token looks twice as likely, but what follows the first is better.

        >>> tree = Tree(1.0)
        >>> tree.learn([tree.root], 0.5, {6: 2 / 3, 5: 1 / 3})
        >>> for value in (0.1, 0.9, 0.9):
        ...     nodes, tokens = tree.descend()
        ...     tree.learn(nodes, value, {})
        ...     print(tokens)
        [6]
        [5]
        [5]
    """

    def __init__(self, c_puct: float) -> None:
        self.root = Node()
        self._c_puct = c_puct
        self._low, self._high = inf, -inf

    def descend(self) -> tuple[list[Node], list[int]]:
        """Return the most promising way to a text that was not expanded, or has ended.

        At each node it is the child of the largest
        `Q + c_puct * prior * sqrt(visits of the node) / (1 + visits of the child)`, the likeliest
        on ties. `Q` is the child's mean value, or the node's where it was not visited, mapped from
        the lowest and highest value of this tree to 0 and 1.
        """
        nodes, tokens = [self.root], list[int]()
        while nodes[-1].children:
            node = nodes[-1]
            token = max(node.children, key=lambda each: self._promise(node, node.children[each]))
            nodes.append(node.children[token])
            tokens.append(token)
        return nodes, tokens

    def learn(self, nodes: Sequence[Node], value: float, priors: Mapping[int, float]) -> None:
        """Tell all nodes on the way the value that was found, and let the last one be expanded."""
        self._low, self._high = min(self._low, value), max(self._high, value)
        for node in nodes:
            node.visits += 1
            node.total += value
        nodes[-1].children = {token: Node(prior) for token, prior in priors.items()}

    def bury(self, nodes: Sequence[Node], tokens: Sequence[int]) -> None:
        """Forget a text after which there is no token, and those that lead nowhere else."""
        for parent, token in zip(reversed(nodes[:-1]), reversed(tokens), strict=True):
            del parent.children[token]
            if parent.children:
                return

    def step(self, token: int) -> None:
        """Go on to the text with this token; what is known of it is kept."""
        self.root = self.root.children.get(token, Node())

    def _promise(self, node: Node, child: Node) -> float:
        value = (child if child.visits else node).mean
        spread = self._high - self._low
        quality = (value - self._low) / spread if spread > 0 else 0.0
        return quality + self._c_puct * child.prior * sqrt(node.visits) / (1 + child.visits)
