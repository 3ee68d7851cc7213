"""What a model that drafts was fed for each row, found again by comparing tokens."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gpt2sdk import CausalLM
from gpt2sdk_drafters.shared_prefix import shared_prefix

_SEARCHED = 16
"""From so many tokens to read on, others' slots are searched for more of the text."""


class DraftCache:
    """A slot for each seat. Of a text only what its slot does not hold yet is fed.

    Slots are compared with what is asked for, so they need not be told of forks, rewinds and rows
    that took a seat over: a text that goes on where another one stood finds that one's slot.
    A text that exceeds the window is read from a place on that moves by half a window at a time.
    """

    def __init__(self, model: CausalLM) -> None:
        """Start with nothing.

        Args:
            model: What is fed.
        """
        self._model = model
        self._cache = model.make_cache(0)
        self._fed: list[list[int]] = []

    def next_logits(self, seats: Sequence[int], texts: Sequence[Sequence[int]]) -> Tensor:
        """Return the logits behind each text, `[rows, vocab]`.

        Args:
            seats: Whose texts they are.
            texts: At least one token each.
        """
        views = [self._in_view(text) for text in texts]
        self._grow(max(seats) + 1)
        parents, waiting = list(range(len(self._fed))), []
        for at, (seat, view) in enumerate(zip(seats, views, strict=True)):
            held = shared_prefix(self._fed[seat], view)
            if len(view) - held > _SEARCHED:
                common = [shared_prefix(fed, view) for fed in self._fed]
                parents[seat] = max(range(len(common)), key=common.__getitem__)
                held = max(held, common[parents[seat]])
                # Who is read for in this call is found by the next one.
                earlier = [views[other] for other in range(at) if other not in waiting]
                if any(shared_prefix(view, each) > held + _SEARCHED for each in earlier):
                    waiting.append(at)
        first = [at for at in range(len(seats)) if at not in waiting]
        for at in waiting:
            parents[seats[at]] = seats[at]
        found = self._score([seats[at] for at in first], [views[at] for at in first], parents)
        if not waiting:
            return found
        logits = found.new_empty(len(seats), found.shape[1])
        logits[first] = found
        logits[waiting] = self.next_logits(
            [seats[at] for at in waiting], [texts[at] for at in waiting]
        )
        return logits

    def _in_view(self, text: Sequence[int]) -> list[int]:
        """The end of a text that the window has room for.

        Of 13 tokens and a window of 8, what is behind the first 8: `-(-(13 - 8) // 4) * 4`.
        """
        limit = self._model.context_length
        half = max(limit // 2, 1)
        return list(text[max(0, -(-(len(text) - limit) // half) * half) :])

    def _grow(self, count: int) -> None:
        held = len(self._fed)
        if count > held:
            self._cache.fork([*range(held), *[-1] * (count - held)])
            self._fed += [[] for _ in range(count - held)]

    def _score(
        self, seats: Sequence[int], views: Sequence[list[int]], parents: Sequence[int]
    ) -> Tensor:
        """Read these views, each from what the slot it is a copy of holds of it."""
        if list(parents) != list(range(len(parents))):
            self._cache.fork(parents)
            self._fed = [list(self._fed[parent]) for parent in parents]
        lengths = [len(fed) for fed in self._fed]
        tokens: list[Sequence[int]] = [()] * len(lengths)
        keep = [0] * len(lengths)
        for seat, view in zip(seats, views, strict=True):
            lengths[seat] = min(shared_prefix(self._fed[seat], view), len(view) - 1)
            tokens[seat], keep[seat] = view[lengths[seat] :], 1
        self._cache.rewind(lengths)
        self._fed = [fed[:length] for fed, length in zip(self._fed, lengths, strict=True)]
        logits = self._model.score(self._cache, tokens, keep).logits
        for seat, view in zip(seats, views, strict=True):
            self._fed[seat] = view
        places = torch.tensor(seats, device=logits.device).argsort().argsort()
        return logits[places]
