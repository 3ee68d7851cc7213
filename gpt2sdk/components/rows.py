"""Rows: what a component sees of the sequences that grow, and the store that keeps them."""

import weakref
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gpt2sdk.components.records import FinishReason, Prompt, Row
from gpt2sdk.errors import PluginContractError
from gpt2sdk.race import NO_TOKEN, exponentials, halves, no_token, race
from gpt2sdk.rng import key, purpose_key, uniform
from gpt2sdk.shapes import Counts, Exponentials, History, Keys, Logits, Mask, Tokens, Uniforms


class HiddenStates(Protocol):
    """Where hidden states of rows are to be had."""

    def hidden_states(self, layer: int, index: Sequence[int]) -> Float[Tensor, "rows embed"]:
        """The residual stream after `layer` blocks, at each row's last scored position."""


def unnamed(layer: int) -> str:
    """Say what is to be done about a layer's hidden states that were not kept."""
    return f"hidden states of layer {layer} were not kept: name it in wants, such as wants=[-1]"


class RowStore:
    """The rows of a session and one padded buffer of their tokens, kept up to date on demand."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.rows: list[Row] = []
        self.device = torch.device(device)
        self._buffer = torch.zeros(0, 0, dtype=torch.int64, device=self.device)
        # Weak: who has hidden states follows this store, and a cycle would keep its cache alive.
        self._states: weakref.ref[HiddenStates] | None = None

    @property
    def hidden_states(self) -> HiddenStates | None:
        """Where hidden states of the rows are to be had, while that lasts."""
        return None if self._states is None else self._states()

    def show_states(self, states: HiddenStates) -> None:
        """Let rows read hidden states there."""
        self._states = weakref.ref(states)

    def admit(self, seat: int, row: Row) -> None:
        """Put a fresh row at `seat`, in a finished row's stead or behind the last one."""
        self.rows[seat : seat + 1] = [row]

    def append(self, tokens: Sequence[int]) -> None:
        """Append one token to each row; -1 leaves a row as it is."""
        for row, token in zip(self.rows, tokens, strict=True):
            if token >= 0:
                row.tokens.append(token)
                row.draws += 1

    def fork(self, parents: Sequence[int]) -> None:
        """Rows become copies of `rows[parents]`, each with its new seat's lane.

        A copy goes on from its prompt's largest draw, so that no random number is used twice. A
        prompt whose rows all stay where they are among them draws as if nothing had happened.
        """
        lanes: dict[Prompt, int] = {}
        copies = []
        for parent in parents:
            row = self.rows[parent]
            lane = lanes.get(row.prompt, 0)
            lanes[row.prompt] = lane + 1
            copies.append(replace(row, lane=lane, tokens=list(row.tokens)))
        draws: dict[Prompt, int] = {}
        for row in self.rows:
            draws[row.prompt] = max(draws.get(row.prompt, 0), row.draws)
        stay = self._unmoved(parents)
        for copy in copies:
            if copy.prompt not in stay:
                copy.draws = draws[copy.prompt]
        self.rows = copies
        if any(row.written for row in copies):
            self._buffer = self._buffer[torch.tensor(parents, device=self.device)]

    def _unmoved(self, parents: Sequence[int]) -> set[Prompt]:
        """The prompts each of whose rows has itself for its only copy, in the order they were."""
        before: dict[Prompt, list[int]] = {}
        for seat, row in enumerate(self.rows):
            before.setdefault(row.prompt, []).append(seat)
        after: dict[Prompt, list[int]] = {}
        for parent in parents:
            after.setdefault(self.rows[parent].prompt, []).append(parent)
        return {
            prompt
            for prompt, seats in after.items()
            if seats == before[prompt]
            and [self.rows[seat].lane for seat in seats] == list(range(len(seats)))
        }

    def rewind(self, counts: Sequence[int]) -> None:
        """Take back each row's last tokens, and its end."""
        for row, count in zip(self.rows, counts, strict=True):
            if count:
                row.take_back(count)

    def tokens(self) -> History:
        """Token ids of all rows, right-padded; what is past a row's length means nothing."""
        longest = max((len(row.tokens) for row in self.rows), default=0)
        self._reserve(len(self.rows), longest)
        seats: list[int] = []
        times: list[int] = []
        values: list[int] = []
        for seat, row in enumerate(self.rows):
            if row.written < len(row.tokens):
                fresh = row.tokens[row.written :]
                seats += [seat] * len(fresh)
                times += range(row.written, len(row.tokens))
                values += fresh
                row.written = len(row.tokens)
        if values and self.device.type == "cpu":
            self._buffer.numpy()[seats, times] = values
        elif values:
            where = torch.tensor([seats, times, values], device=self.device)
            self._buffer[where[0], where[1]] = where[2]
        return self._buffer[: len(self.rows), :longest]

    def _reserve(self, rows: int, longest: int) -> None:
        """Grow the buffer by doubling; what it held is written anew."""
        if rows <= self._buffer.shape[0] and longest <= self._buffer.shape[1]:
            return
        shape = max(rows, self._buffer.shape[0]), max(2 * longest, self._buffer.shape[1])
        self._buffer = torch.zeros(shape, dtype=torch.int64, device=self.device)
        for row in self.rows:
            row.written = 0


class Rows:
    """Some rows of a store, as tensors and, where asked, on the host.

    A view: it shows the rows as they are when it is read. What it returns must not be changed.
    """

    __slots__ = ("_index", "_purpose", "_store")

    def __init__(
        self, store: RowStore, index: Sequence[int] | None = None, purpose: str = ""
    ) -> None:
        self._store = store
        self._index = index
        self._purpose = purpose

    def __len__(self) -> int:
        return len(self._store.rows) if self._index is None else len(self._index)

    @property
    def index(self) -> Sequence[int]:
        """The rows' seats in the session."""
        return range(len(self._store.rows)) if self._index is None else self._index

    @property
    def records(self) -> list[Row]:
        """The rows themselves, on the host."""
        rows = self._store.rows
        return rows if self._index is None else [rows[seat] for seat in self._index]

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self._store.device

    @property
    def tokens(self) -> History:
        """Prompt and appended tokens, right-padded; what is past a row's length means nothing."""
        tokens = self._store.tokens()
        if self._index is None:
            return tokens
        return tokens[torch.tensor(self._index, dtype=torch.int64, device=self.device)]

    @property
    def lengths(self) -> Counts:
        """How many tokens each row has, its prompt included."""
        return self._counts([len(row.tokens) for row in self.records])

    @property
    def prompt_lengths(self) -> Counts:
        """How many of them are the prompt."""
        return self._counts([len(row.prompt.tokens) for row in self.records])

    @property
    def prompt_index(self) -> Counts:
        """The number of each row's prompt in its call."""
        return self._counts([row.prompt.index for row in self.records])

    @property
    def lane(self) -> Counts:
        """Each row's number among its prompt's rows."""
        return self._counts([row.lane for row in self.records])

    @property
    def max_new_tokens(self) -> Counts:
        """How many tokens each row may grow by."""
        return self._counts([row.prompt.max_new_tokens for row in self.records])

    @property
    def eos_token_ids(self) -> Int[Tensor, "rows ends"]:
        """The tokens that end each row, ascending and right-padded with -1."""
        ends = [row.prompt.eos_token_ids for row in self.records]
        width = max(map(len, ends), default=0)
        padded = [[*sorted(each), *[-1] * (width - len(each))] for each in ends]
        return torch.tensor(padded, dtype=torch.int64, device=self.device).view(len(ends), width)

    @property
    def finish_reason(self) -> list[FinishReason | None]:
        """Why each row ended; `None` while it goes on."""
        return [row.finish_reason for row in self.records]

    @property
    def finished(self) -> Mask:
        """Whether each row has ended."""
        over = [row.finish_reason is not None for row in self.records]
        return torch.tensor(over, dtype=torch.bool, device=self.device)

    def by_prompt(self) -> list[tuple[Prompt, "Rows"]]:
        """Each prompt with those of these rows that continue it, in the order they stand in.

        Prompts come in the order of their first rows. Where rows come and go, the groups are
        those of now: ask again after a `fork`.

        >>> from gpt2sdk.testing import make_rows
        >>> rows = make_rows([[5], [6], [7]]).select([2, 0, 2])
        >>> [(prompt.index, list(group.index)) for prompt, group in rows.by_prompt()]
        [(2, [2, 2]), (0, [0])]
        """
        places: dict[Prompt, list[int]] = {}
        for place, row in enumerate(self.records):
            places.setdefault(row.prompt, []).append(place)
        return [(prompt, self.select(group)) for prompt, group in places.items()]

    def histories(self) -> list[list[int]]:
        """Each row's tokens as a list: these lists are the truth, and cost nothing to read."""
        return [row.tokens for row in self.records]

    def uniform(self, purpose: str | None = None) -> Uniforms:
        """A number in [0, 1) for each row, a function of its seed, lane, draws and the purpose.

        Args:
            purpose: What it is for; by default the component that was handed these rows.
        """
        word = self._word(purpose)
        numbers = [uniform(row.prompt.seed, row.lane, row.draws, word) for row in self.records]
        return torch.tensor(numbers, dtype=torch.float64, device=self.device)

    def race(self, logits: Logits, purpose: str | None = None) -> Tokens:
        """Draw a token for each row, with the probabilities `softmax(logits)`.

        It is the argmax of `(z - max z) - log E`, in float32, with the `exponentials` of the ids;
        the lowest id on ties. What is drawn depends on differences of logits only, up to rounding;
        a token of `-inf` is never drawn, and ruling out tokens that were not drawn changes
        nothing. Columns may be anything that has a number: tokens by their ids, particles by
        their numbers.

        Args:
            logits: Unnormalised, one line per row; `-inf` where a token is out.
            purpose: What it is for; by default the component that was handed these rows. The same
                purpose gives the same numbers however often it is asked for in a step.

        Raises:
            PluginContractError: There are not as many lines as rows; or a line holds no finite
                logit, NaN or `+inf`. On an accelerator nothing waits to learn the latter: such a
                row gets -2, which `append` refuses in these words, and `fork` as no row.

        >>> from gpt2sdk.testing import make_rows
        >>> row, p = make_rows([[5]], seed=9), torch.tensor([0.5, 0.25, 0.25])
        >>> row.exponentials([0, 1, 2], "mine") / p
        tensor([[1.4771, 1.3530, 3.4064]])
        >>> row.race(p.log()[None], "mine").tolist()
        [1]
        """
        if len(logits) != len(self):
            message = f"race was given logits of {len(logits)} rows, expected {len(self)}"
            raise PluginContractError(message)
        tokens = race(logits, self._keys(purpose))
        if tokens.device.type == "cpu" and NO_TOKEN in tokens.tolist():
            row = tokens.tolist().index(NO_TOKEN)
            raise PluginContractError(no_token(row, logits[row]))
        return tokens

    def exponentials(
        self, token_ids: Sequence[int] | Int[Tensor, "..."], purpose: str | None = None
    ) -> Exponentials:
        """Exponential numbers of mean 1, one for each row and token: what `race` draws with.

        Args:
            token_ids: Ids, the same for each row, or a line of them for each row.
            purpose: As in `race`.
        """
        ids = torch.as_tensor(token_ids, dtype=torch.int64, device=self.device)
        return exponentials(self._keys(purpose), ids if ids.ndim > 1 else ids[None])

    def hidden_states(self, layer: int) -> Float[Tensor, "rows embed"]:
        """The residual stream after `layer` blocks at each row's last scored position.

        There are those of the layers that some component's or strategy's `wants` names.

        Args:
            layer: 0 is the embedding, and −1 the last, `model.layers`.

        Raises:
            LookupError: Nobody named the layer.
        """
        if self._store.hidden_states is None:
            raise LookupError(unnamed(layer))
        return self._store.hidden_states.hidden_states(layer, self.index)

    def bound(self, purpose: str) -> "Rows":
        """The same rows, their random numbers keyed with another purpose."""
        return Rows(self._store, self._index, purpose)

    def select(self, index: Sequence[int]) -> "Rows":
        """Those of these rows that stand at `index` among them."""
        seats = self.index
        return Rows(self._store, [seats[at] for at in index], self._purpose)

    def _word(self, purpose: str | None) -> int:
        return purpose_key(self._purpose if purpose is None else purpose)

    def _keys(self, purpose: str | None) -> Keys:
        word = self._word(purpose)
        words = [key(row.prompt.seed, row.lane, row.draws, word) for row in self.records]
        return halves(words, self.device)

    def _counts(self, numbers: list[int]) -> Counts:
        return torch.tensor(numbers, dtype=torch.int64, device=self.device)
