"""Phrases that are said token by token: where rows are in one, and what that does to logits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from gpt2sdk import Logits, PerRow, Rows, Tokens
from jaxtyping import Bool
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row is: an immutable value, so that copies of the row need no copy of it.

    Attributes:
        said: How many tokens of the phrase were said; `None` outside of it.
        left: How often it may still begin.
        replaced: The tokens in whose stead it begins, while it may.
        recent: The row's last tokens, where what begins it is a text.
    """

    said: int | None = None
    left: int = 1
    replaced: tuple[int, ...] = ()
    recent: tuple[int, ...] = ()

    def go_on(self, token: int, phrase: Sequence[int]) -> "Place":
        """Return the place behind a token inside the phrase.

        A strategy may say something else, or the token may be ruled out: then the phrase breaks
        off, and counts as said, so that no row tries for ever.

        >>> Place(1).go_on(8, [7, 8, 9]).said, Place(1).go_on(5, [7, 8, 9]).left
        (2, 0)
        """
        said = 1 + (self.said or 0)
        if token != phrase[said - 1] or said == len(phrase):
            return replace(self, said=None, left=self.left - 1)
        return replace(self, said=said)

    def replace_by(self, token: int, logits: Tensor | None, phrase: Sequence[int]) -> "Place":
        """Return the place behind a token outside of the phrase, which may have begun it.

        It has if the token is its first, and one of those it replaces had no lower logit.

        Args:
            token: What was said.
            logits: Of all tokens before; `None` if nobody saw them.
            phrase: Its tokens.
        """
        if token != phrase[0] or not self.left or logits is None:
            return self
        stood_for = logits[[each for each in self.replaced if each < len(logits)]]
        begun = ((stood_for >= logits[token]) & ~stood_for.isneginf()).any()
        return self.go_on(token, phrase) if begun else self


@dataclass(frozen=True)
class PhraseRun:
    """A phrase, and where each row is in it."""

    phrase: Sequence[int]
    places: PerRow[Place]

    def forced(self, rows: Rows) -> Sequence[Sequence[int]]:
        """What comes next whatever the model says: the rest of a phrase that was begun."""
        return [() if at.said is None else self.phrase[at.said :] for at in self.places[rows]]

    def process(self, logits: Logits, rows: Rows) -> Logits:
        """Let the phrase replace what it stands for, and go on where it was begun."""
        waiting = [at.replaced if at.said is None and at.left else () for at in self.places[rows]]
        if any(waiting):
            logits = take_place(logits, marked(waiting, logits), self.phrase[0])
        due = [rest[0] if rest else -1 for rest in self.forced(rows)]
        if max(due, default=-1) < 0:
            return logits
        return force(logits, torch.tensor(due, device=logits.device))


def marked(ids: Sequence[Sequence[int]], logits: Logits) -> Bool[Tensor, "rows vocab"]:
    """Mark each row's ids in a mask like the logits; a config may name one that is none.

    >>> marked([[0, 9], []], torch.zeros(2, 2)).tolist()
    [[True, False], [False, False]]
    """
    where = [(row, each) for row, some in enumerate(ids) for each in some if each < logits.shape[1]]
    places = torch.tensor(where, dtype=torch.int64, device=logits.device).view(-1, 2)
    mask = torch.zeros_like(logits)
    return mask.index_put(places.unbind(1), mask.new_ones(())) > 0


def take_place(logits: Logits, of: Bool[Tensor, "rows vocab"], first: int) -> Logits:
    """Rule out the marked tokens, and give `first` the best of their logits where that is more.

    What would have been picked in their stead, greedily or drawn, is now `first`. Where this is
    ruled out the row stays as it is.

    >>> logits, ends = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[False, False, True]])
    >>> take_place(logits, ends, 0).tolist(), take_place(logits, ~ends, 2).tolist()
    ([[3.0, 2.0, -inf]], [[-inf, -inf, 3.0]])
    """
    own = logits[:, first : first + 1]
    of = of & ~own.isneginf()
    best = torch.maximum(own, logits.masked_fill(~of, -torch.inf).amax(-1, keepdim=True))
    where = torch.full_like(own, first, dtype=torch.int64)
    return logits.masked_fill(of, -torch.inf).scatter(1, where, best)


def force(logits: Logits, due: Tokens) -> Logits:
    """Leave rows the token that is due, with the logit 0; -1 leaves a row as it is.

    A zero keeps a beam's score: the phrase was not the model's choice. Where the token is ruled out
    already the row goes on freely, and keeps what it has.

    >>> logits = torch.tensor([[1.0, 2.0], [1.0, 2.0], [1.0, -torch.inf]])
    >>> force(logits, torch.tensor([1, -1, 1])).tolist()
    [[-inf, 0.0], [1.0, 2.0], [1.0, -inf]]
    """
    wanted = due.clamp(min=0)[:, None]
    held = (due >= 0)[:, None] & ~logits.gather(1, wanted).isneginf()
    alone = torch.full_like(logits, -torch.inf).scatter(1, wanted, 0.0)
    return torch.where(held, alone, logits)
