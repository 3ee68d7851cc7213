"""The lead: what a row writes before its constraint begins."""

from collections.abc import Sequence
from functools import cache

from llguidance import LLMatcher

from gpt2sdk_guided.vocabularies import SpelledWords


class TriggerLead:
    """Finds a trigger in what rows write, however it is cut into tokens.

    A token may complete a trigger and go on behind it. What goes on is the beginning of the
    constrained text, so such a token is out where the constraint does not allow that.

    Args:
        triggers: Texts behind which the constraint begins; the first one that is complete counts.
        words: The tokens.
        fresh: The constraint at its beginning.
    """

    def __init__(self, triggers: Sequence[bytes], words: SpelledWords, fresh: LLMatcher) -> None:
        self._triggers = tuple(triggers)
        self._words = words
        self._fresh = fresh
        self.refused = cache(self._refused)

    def go_on(self, kept: bytes, token: int) -> tuple[bytes, bytes | None]:
        """Take a token: what may begin a trigger now, and what stands behind a complete one.

        Args:
            kept: What may have begun a trigger before.
            token: What is written.
        """
        text = kept + self._words.tokens[token]
        ends = [at + len(each) for each in self._triggers if (at := text.find(each)) >= 0]
        if ends:
            return b"", text[min(ends) :]
        return self._beginning(text), None

    def _beginning(self, text: bytes) -> bytes:
        """The longest end of a text with which a trigger begins."""
        longest = max(map(len, self._triggers))
        for size in range(min(longest - 1, len(text)), 0, -1):
            if any(each.startswith(text[-size:]) for each in self._triggers):
                return text[-size:]
        return b""

    def _refused(self, kept: bytes) -> list[int]:
        """The tokens that complete a trigger and go on as the constraint does not allow."""
        out = []
        for token, own in enumerate(self._words.tokens[: self._words.size]):
            text = kept + own
            ends = [at + len(each) for each in self._triggers if (at := text.find(each)) >= 0]
            if ends and (rest := text[min(ends) :]):
                ids = self._words(rest)
                if self._fresh.validate_tokens(ids) < len(ids):
                    out.append(token)
        return out
