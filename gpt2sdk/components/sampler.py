"""Samplers: which token is picked, given what the processors left."""

from typing import Protocol

from gpt2sdk.components.component import Component
from gpt2sdk.components.rows import Rows
from gpt2sdk.components.session import Session
from gpt2sdk.shapes import Logits, Tokens


class SamplerRun(Protocol):
    """A sampler at work in one session."""

    def choose(self, logits: Logits, rows: Rows) -> Tokens:
        """Return one token for each of these rows."""


class Sampler(Component):
    """Picks one token per row. Randomness comes from the rows, and from nowhere else.

    A token is drawn with `rows.race(logits)`, from the logits that the sampler made of those it was
    given: then rounding and other tokens' fate seldom change it. Adding up probabilities until a
    number is reached would let every rounding of a sum move what is drawn. What is no draw among
    tokens, such as a decision with some probability, takes `rows.uniform()`.

    Both are the same however often they are asked for in one step; a second draw needs a purpose
    of its own: `rows.uniform("mirostat second")`.
    """

    def start(self, session: Session) -> SamplerRun:
        """Begin a session: return what chooses there, by default the component itself."""
        return self

    def choose(self, logits: Logits, rows: Rows) -> Tokens:
        """Return one token, int64, for each of these rows.

        Args:
            logits: Unnormalised; `-inf` where a token is out. At least one is finite.
            rows: The rows the logits belong to, in order.
        """
        message = f"{type(self).__name__} overrides neither start nor choose"
        raise TypeError(message)
