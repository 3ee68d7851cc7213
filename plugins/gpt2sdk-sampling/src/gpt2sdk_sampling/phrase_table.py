"""Phrases with biases, and what each token is worth behind a text."""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gpt2sdk import Session
from gpt2sdk_sampling.aho_corasick import AhoCorasick
from gpt2sdk_sampling.spelling import Spelling

_KEPT = 128
"""Vectors of biases kept: rows mostly come back to the same few states."""

Mode = Literal["begin", "last beginnings", "go on"]
"""Phrases may begin; those that have begun go on from here; they have gone on before."""


class PhraseTable:
    """What the tokens of a session add to the phrases that a text is in the middle of.

    A state is that of the automaton: how much of the phrases stands at the text's end.

    Attributes:
        search: Finds the phrases.
    """

    def __init__(
        self, phrases: Sequence[tuple[str, float]], spelling: Spelling, session: Session
    ) -> None:
        """Get phrases ready; none of them empty.

        Args:
            phrases: Texts and their biases.
            spelling: How tokens are spelled.
            session: Whose tokens they are, and where biases are wanted.
        """
        self.search = AhoCorasick([spelling.of(text) for text, _ in phrases])
        self._biases = [bias for _, bias in phrases]
        self._spelling = spelling
        self._vocab_size = session.model.vocab_size
        self._device = session.device
        self._known: dict[tuple[int, Mode], Float[Tensor, " vocab"]] = {}

    def read(self, state: int, tokens: Sequence[int]) -> int:
        """The state behind tokens."""
        for token in tokens:
            state, _ = self.search.walk(state, self._spelling[token])
        return state

    def carry_on(self, state: int, token: int) -> int:
        """The state behind a token that goes on with the same phrases; 0 where it does not."""
        for symbol in self._spelling[token]:
            state = self.search.children[state].get(symbol, 0) if state else 0
        return state

    def bias(self, state: int, mode: Mode = "begin") -> Float[Tensor, " vocab"]:
        """What is added to each token's logit.

        Args:
            state: Where the text is.
            mode: Whether phrases may begin in the token, or the ones that are there go on, for
                the first time or once again.
        """
        key = state, mode
        known = self._known.pop(key, None)
        self._known[key] = self._work_out(state, mode) if known is None else known
        if len(self._known) > _KEPT:
            del self._known[next(iter(self._known))]
        return self._known[key]

    def _work_out(self, state: int, mode: Mode) -> Float[Tensor, " vocab"]:
        lengths, columns = self._layout
        begins = mode == "begin"
        steps = self._steps if begins else self._steps_on
        gains, worth = self._values(all_ends=begins)
        now = torch.full((len(lengths),), state)
        gained = torch.zeros(len(lengths), dtype=torch.float64)
        for symbols in columns:
            reached = steps[now[: len(symbols)], symbols]
            now[: len(symbols)] = reached
            gained[: len(symbols)] += gains[reached]
        given = worth if mode == "go on" else self._values(all_ends=True)[1]
        gained += worth[now] - given[state]
        bias = torch.empty_like(gained)
        bias[self._order] = gained
        return bias.float().to(self._device)

    def _values(
        self, *, all_ends: bool
    ) -> tuple[Float[Tensor, " states"], Float[Tensor, " states"]]:
        """What each state brings, and what it is worth for what may come of it.

        Args:
            all_ends: Whether the shorter ends of a state count, too: phrases that began later.
        """
        return self._worths[0 if all_ends else 1]

    @cached_property
    def _worths(self) -> list[tuple[Float[Tensor, " states"], Float[Tensor, " states"]]]:
        search, patterns = self.search, self.search.patterns
        states = range(len(search.depths))
        begun: list[dict[int, int]] = [{} for _ in states]
        ended: list[float] = [0.0 for _ in states]
        for number, pattern in enumerate(patterns):
            state = 0
            for symbol in pattern[:-1]:
                state = search.children[state][symbol]
                begun[state][number] = search.depths[state]
            ended[search.children[state][pattern[-1]]] += self._biases[number]
        alone = [ended, [self._advance(longest) for longest in begun]]
        gains = [math.fsum(self._biases[number] for number in ends) for ends in search.ends]
        # Of each phrase the longest beginning counts, so fails are asked first.
        for state in sorted(states, key=search.depths.__getitem__):
            begun[state] = begun[search.fails[state]] | begun[state]
        together = [gains, [self._advance(longest) for longest in begun]]
        return [
            (torch.tensor(first, dtype=torch.float64), torch.tensor(second, dtype=torch.float64))
            for first, second in (together, alone)
        ]

    def _advance(self, longest: Mapping[int, int]) -> float:
        """What beginnings of phrases have been given: their lengths, by the phrases' numbers."""
        return math.fsum(
            max(self._biases[number], 0.0) * length / len(self.search.patterns[number])
            for number, length in longest.items()
        )

    @cached_property
    def _column_of(self) -> dict[int, int]:
        """Symbols of phrases have columns from 1 on; all others share column 0."""
        symbols = sorted({symbol for pattern in self.search.patterns for symbol in pattern})
        return {symbol: column for column, symbol in enumerate(symbols, 1)}

    @cached_property
    def _steps(self) -> Int[Tensor, "states symbols"]:
        return self._table(self.search.steps)

    @cached_property
    def _steps_on(self) -> Int[Tensor, "states symbols"]:
        """Where states go if no phrase may begin any more."""
        return self._table([{}, *self.search.children[1:]])

    def _table(self, steps: Sequence[Mapping[int, int]]) -> Int[Tensor, "states symbols"]:
        table = torch.zeros(len(steps), 1 + len(self._column_of), dtype=torch.int64)
        for state, goes in enumerate(steps):
            for symbol, reached in goes.items():
                table[state, self._column_of[symbol]] = reached
        return table

    @cached_property
    def _spelled(self) -> list[Sequence[int]]:
        return [self._spelling[token] for token in range(self._vocab_size)]

    @cached_property
    def _order(self) -> Int[Tensor, " vocab"]:
        """The tokens, the longest first: those that have an n-th symbol stand in front."""
        lengths = torch.tensor([len(symbols) for symbols in self._spelled])
        return lengths.argsort(descending=True, stable=True)

    @cached_property
    def _layout(self) -> tuple[Int[Tensor, " vocab"], list[Int[Tensor, " tokens"]]]:
        """The tokens' lengths in that order; the columns of their first symbols, and so on."""
        ordered = [self._spelled[token] for token in self._order.tolist()]
        lengths = torch.tensor([len(symbols) for symbols in ordered])
        longest = int(lengths.max()) if len(lengths) else 0
        columns = [
            torch.tensor(
                [
                    self._column_of.get(symbols[place], 0)
                    for symbols in ordered[: int((lengths > place).sum())]
                ],
                dtype=torch.int64,
            )
            for place in range(longest)
        ]
        return lengths, columns
