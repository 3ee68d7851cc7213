"""A trail: which way one row has come while it looks for text without banned phrases."""

from bisect import bisect_left
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from gpt2sdk import OptionError
from gpt2sdk_strategies.phrases import Phrases


@dataclass
class Trail:
    """The way of one row, and the ways that turned out wrong.

    Attributes:
        phrases: What the row must not write.
        tokens: What it has appended.
        starts: How many characters it had written before each of them.
        written: How many it has written now.
        banned: Tokens that are ruled out, by their place among the row's new tokens. They are so
            after the present tokens before that place.
        furthest: How many tokens there were at most when some were taken back.

    Example:
        Tokens 5 and 6 are written `so` and `so bad`.

        >>> trail = Trail(Phrases.of(["bad"]))
        >>> trail.follow(5, "so"), trail.follow(6, "so bad")
        (0, 1)
        >>> trail.tokens, trail.banned_next
        ([5], {6})
    """

    phrases: Phrases
    tokens: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    written: int = 0
    banned: dict[int, set[int]] = field(default_factory=dict)
    furthest: int = 0

    @property
    def banned_next(self) -> AbstractSet[int]:
        """The tokens that may not come next."""
        return self.banned.get(len(self.tokens), frozenset())

    def follow(self, token: int, text: str) -> int:
        """Take a token, and the text that it led to; return how many tokens to take back."""
        fresh, self.written = self.written, len(text)
        self.tokens.append(token)
        self.starts.append(fresh)
        begin = self.phrases.find(text, fresh)
        if begin is None:
            return 0
        # The parts of a character all start where it does, so the phrase's first token is the
        # first of those; if none starts there, it is inside of the last that starts before.
        place = bisect_left(self.starts, begin)
        if place == len(self.starts) or self.starts[place] > begin:
            place -= 1
        return self._ban(max(place, self._certain()))

    def give_up(self) -> int:
        """Take the last token back since nothing can follow it; return how many that are.

        Raises:
            OptionError: There is no token that can be taken back.
        """
        place = len(self.tokens) - 1
        if place < self._certain():
            raise OptionError(
                "a row can go neither on nor back, since whatever the other options let it "
                "append completes a banned phrase: ban less, or allow more",
                name="banned_phrases",
            )
        return self._ban(place)

    def _certain(self) -> int:
        """Return how many tokens are no longer taken back."""
        self.furthest = max(self.furthest, len(self.tokens))
        return max(0, self.furthest - self.phrases.tokens)

    def _ban(self, place: int) -> int:
        """Rule out the token at a place, and forget it and all that came after it."""
        count = len(self.tokens) - place
        self.banned = {at: tokens for at, tokens in self.banned.items() if at <= place}
        self.banned.setdefault(place, set()).add(self.tokens[place])
        self.written = self.starts[place]
        del self.tokens[place:], self.starts[place:]
        return count
