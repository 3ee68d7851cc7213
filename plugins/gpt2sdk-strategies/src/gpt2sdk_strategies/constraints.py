"""What a text must say: token sequences, each with alternatives, and how far a row has come."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from typing_extensions import TypeIs

from gpt2sdk import Session, tokens_of

Phrase = str | tuple[int, ...]
Entry = Phrase | tuple[Phrase, ...]
"""What users write for a constraint: a text, its token ids, or a list of such alternatives."""

Alternatives = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Progress:
    """How much of what it must say a row has said.

    A constraint is met once the row has appended all tokens of one of its alternatives, one after
    another. Constraints may overlap in the text.

    Attributes:
        constraints: What it must say.
        met: Which of them it has said, by their places.
        tail: Its last tokens, as many as may be the beginning of an alternative.

    Example:
        First 1 2, and then 3 or 4 5, in any order: that is three tokens at least.

        >>> progress = Progress((((1, 2),), ((3,), (4, 5))))
        >>> progress.missing, sorted(progress.helpful)
        (3, [1, 3, 4])
        >>> after = progress.take(1)
        >>> after.missing, sorted(after.helpful)
        (2, [1, 2, 3, 4])
        >>> [after.take(token).missing for token in (2, 0, 3)]
        [1, 3, 2]
    """

    constraints: tuple[Alternatives, ...]
    met: frozenset[int] = frozenset()
    tail: tuple[int, ...] = ()

    def take(self, token: int) -> "Progress":
        """Return the progress after one more token."""
        longest = max((len(one) for each in self.constraints for one in each), default=0)
        tail = (*self.tail, token)[-longest:] if longest else ()
        said = {place for place, each in self._open() if any(_ends(tail, one) for one in each)}
        return replace(self, met=self.met | said, tail=tail)

    @property
    def missing(self) -> int:
        """How many more tokens it takes at least, those of a begun alternative already said.

        Of several that were begun, the one that saves most counts: so there is always a token
        that makes this number smaller.
        """
        lengths = [min(map(len, each)) for _, each in self._open()]
        rests = [min(len(one) - self._said(one) for one in each) for _, each in self._open()]
        saved = max((a - b for a, b in zip(lengths, rests, strict=True)), default=0)
        return sum(lengths) - max(saved, 0)

    @property
    def helpful(self) -> frozenset[int]:
        """The tokens that begin what is not met yet, or go on with it."""
        begun = {(one, self._said(one)) for _, each in self._open() for one in each}
        return frozenset(one[at] for one, said in begun for at in (0, said))

    def _open(self) -> Iterable[tuple[int, Alternatives]]:
        return (
            (place, each) for place, each in enumerate(self.constraints) if place not in self.met
        )

    def _said(self, alternative: Sequence[int]) -> int:
        """Return how many of its first tokens the row ends with."""
        sizes = range(min(len(alternative) - 1, len(self.tail)), 0, -1)
        return next((size for size in sizes if _ends(self.tail, alternative[:size])), 0)


def _ends(tail: Sequence[int], tokens: Sequence[int]) -> bool:
    return len(tail) >= len(tokens) and tuple(tail[-len(tokens) :]) == tuple(tokens)


def constraints_of(entries: Sequence[Entry], session: Session) -> tuple[Alternatives, ...]:
    """Turn what users wrote into tokens; special tokens in a text are the tokens they name.

    Raises:
        OptionError: There are no tokens in an entry, or some that the model does not have.
    """
    return tuple(
        tuple(
            tokens_of(phrase, session, "force_words")
            for phrase in (entry if _is_list(entry) else (entry,))
        )
        for entry in entries
    )


def _is_list(entry: Entry) -> TypeIs[tuple[Phrase, ...]]:
    """Whether an entry lists alternatives."""
    return isinstance(entry, tuple) and not all(isinstance(each, int) for each in entry)
