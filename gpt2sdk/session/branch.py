"""A branch: what one model was fed for each row, and which of the rows' positions it has scored.

The session's own branch and every mirror are of this kind. A branch row's sequence is its prefix
(the prompt, or a mirror's own one) and the tokens its row has appended. Drafted tokens are fed
behind it; they count once the row really appends them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from weakref import WeakSet

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from gpt2sdk.components.causal_lm import CausalLM
from gpt2sdk.components.records import Prompt, Row
from gpt2sdk.components.rows import RowStore, unnamed
from gpt2sdk.session.checks import check_prefix, check_room, layer_number
from gpt2sdk.session.hidden_history import NOTHING_FED, FedStates, FollowingHistory
from gpt2sdk.session.reader import (
    Follows,
    Scored,
    gather_hidden_states,
    gather_logits,
)
from gpt2sdk.session.request import Meter
from gpt2sdk.session.slots import Errand, Slots
from gpt2sdk.shapes import Logits

LEARNED = 0.25
"""How much of a row's hope the fate of one proposal makes up."""


@dataclass(slots=True)
class BranchRow:
    """One row as its branch's model knows it.

    Attributes:
        prompt: The prompt the row continues.
        prefix: The branch's prompt for this row; nothing where its owner does not act on it.
        slot: The cache slot it holds; `None` before it has read anything.
        fed: The tokens that its slot holds for it, proposals included.
        valid: How many of them are a prefix of the sequence in view.
        base: Where in the sequence the view starts; not 0 once a full row has slid on.
        known: The scored position of the sequence's last token.
        last: The last scored position that was part of the sequence, `known` or an earlier one.
        ahead: Scored positions behind it, one for each proposal still standing.
        states: Hidden states of the tokens that were fed, where somebody keeps their history.
        earned: Tokens that were fed to it because they had to be, and earned it no credit yet.
        credit: How many tokens may be proposed to it in vain.
        hope: How probable it seems that its next proposal is appended: a moving average.
        certain: How many of those scored ahead were forced: they say nothing of a drafter.
    """

    prompt: Prompt
    prefix: Sequence[int]
    slot: int | None = None
    fed: list[int] = field(default_factory=list)
    valid: int = 0
    base: int = 0
    known: Scored | None = None
    last: Scored | None = None
    ahead: list[Scored] = field(default_factory=list)
    states: FedStates = NOTHING_FED
    earned: int = 0
    credit: float = 0.0
    hope: float = 0.5
    certain: int = 0

    def take(self, token: int, length: int) -> bool:
        """Follow a row that appended `token` to a view of `length` tokens; was it scored ahead?"""
        stands = self.valid == length and length < len(self.fed) and self.fed[length] == token
        self.valid += stands
        if stands and self.ahead:
            self.known = self.last = self.ahead.pop(0)
            drafted = not self.certain
            self.certain -= not drafted
            self.credit += drafted
            self.hope += (1 - self.hope) * LEARNED * drafted
            return True
        self.forget()
        return False

    def forget(self) -> None:
        """Drop what was scored; the cache stays good as far as `valid`."""
        self.known = None
        if len(self.ahead) > self.certain:
            self.credit -= len(self.ahead) - self.certain
            self.hope -= self.hope * LEARNED
        self.ahead, self.certain = [], 0


class Branch(Follows):
    """One model's view of all rows.

    Attributes:
        model: What scores tokens.
        rows: The session's rows, as this model knows them.
        layers: The layers whose hidden states are wanted at scored positions.
        slots: Where what was fed is kept.
        meter: Who counts what became of the drafts for a prompt; nobody, for mirrors.
        asked: Whether its logits were asked for since the last step.
        wanted: Whether they were in the step before, and may be in the next.
    """

    def __init__(
        self,
        slots: Slots,
        store: RowStore,
        prefix: Callable[[Prompt], Sequence[int]],
        acts_on: Callable[[Prompt], bool],
        *,
        slide: bool,
    ) -> None:
        """Start without rows.

        Args:
            slots: The cache of its model.
            store: The rows it follows.
            prefix: The branch's prompt for a row's prompt.
            acts_on: Whether it is wanted for a prompt.
            slide: Whether full rows go on with their last half.
        """
        self.model: CausalLM = slots.model
        self.slots = slots
        slots.users += 1
        self.rows: list[BranchRow] = []
        self.layers: Sequence[int] = ()
        self._kept: Sequence[int] = ()
        self.meter: Callable[[Prompt], Meter] | None = None
        self.asked = False
        self.wanted = True
        self._along: list[tuple[int, int]] = []
        self._histories: WeakSet[FollowingHistory] = WeakSet()
        self._store = store
        self._prefix = prefix
        self._acts_on = acts_on
        self._slide = slide

    def check_room(self, prompt: Prompt) -> None:
        """Make sure that a prompt's rows can grow as far as they may."""
        if self._acts_on(prompt):
            prefix = self._prefix(prompt)
            check_room(prompt, len(prefix), self.model.context_length, slide=self._slide)
            check_prefix(prompt, prefix, self.model.vocab_size)

    def admit(self, seat: int, row: Row) -> None:
        """Start a row; one whose sibling is here takes the prefix over from its slot."""
        prompt = row.prompt
        fresh = BranchRow(prompt, self._prefix(prompt) if self._acts_on(prompt) else ())
        for kin in self.rows:
            if kin.prompt is prompt and kin.base == 0 and kin.valid >= len(fresh.prefix) > 0:
                fresh.slot, fresh.fed = self.slots.share(kin.slot), list(kin.fed)
                fresh.valid, fresh.states = len(fresh.prefix), kin.states
                break
        for former in self.rows[seat : seat + 1]:
            self.slots.release(former.slot, former.fed[: former.valid])
        self.rows[seat : seat + 1] = [fresh]

    def append(self, tokens: Sequence[int]) -> None:
        """Follow rows that are about to append these tokens."""
        for row, record, token in zip(self.rows, self._store.rows, tokens, strict=True):
            if token < 0:
                continue
            length = len(row.prefix) - len(row.prompt.tokens) + len(record.tokens) - row.base
            if not row.ahead and length >= len(row.fed):
                row.known = None
            elif row.take(token, length) and self.meter is not None:
                self.meter(row.prompt).accepted += 1

    def fork(self, parents: Sequence[int]) -> None:
        """Copy rows: copies share their slots until one of them is fed."""
        former, self.rows = self.rows, []
        heirs: set[int] = set()
        for parent in parents:
            row = former[parent]
            copy = replace(row, fed=list(row.fed), ahead=list(row.ahead))
            self.slots.share(row.slot)
            if parent in heirs:
                copy.earned, copy.credit = 0, 0.0
                if copy.ahead and self.meter is not None:
                    self.meter(row.prompt).drafted += len(copy.ahead)
            heirs.add(parent)
            self.rows.append(copy)
        for row in former:
            self.slots.release(row.slot, () if parents else row.fed[: row.valid])

    def rewind(self, counts: Sequence[int]) -> None:
        """Follow rows that are about to take tokens back. What was fed stays usable."""
        for seat, count in enumerate(counts):
            if count:
                row = self.rows[seat]
                row.forget()
                row.valid = min(row.valid, self.length(seat) - count)

    def leave(self, prompt: Prompt) -> None:
        """Let go of what a prompt's rows hold: they are over, and keep their seats."""
        for seat, row in enumerate(self.rows):
            if row.prompt is prompt:
                self.slots.release(row.slot, row.fed[: row.valid])
                last = row.last if self.layers else None
                self.rows[seat] = BranchRow(prompt, (), last=last, states=row.states.cut(0))

    def close(self) -> None:
        """Let go of all that rows hold, and of the cache."""
        self.fork(())
        self.slots.leave()
        del self.slots

    def is_behind(self, seat: int) -> bool:
        """Whether the end of a row's sequence was never scored."""
        return self.rows[seat].known is None

    def can_read(self, seat: int) -> bool:
        """Whether a row's last token can be fed: that of a full window is not, unless it slides."""
        return self._slide or self.length(seat) <= self.model.context_length

    def line(self, seat: int) -> tuple[Tensor, int] | None:
        """Logits of a row's next position, as a tensor and the line in it; `None` if not scored."""
        known = self.rows[seat].known
        return None if known is None else (known.scores.logits, known.at)

    def logits(self, seats: Sequence[int]) -> Logits:
        """Next-token logits of rows whose sequences are scored to their ends."""
        return gather_logits([known for seat in seats if (known := self.rows[seat].known)])

    def hidden_states(self, layer: int, index: Sequence[int]) -> Float[Tensor, "rows embed"]:
        """The residual stream after `layer` blocks, at each row's last scored position."""
        number = layer_number(layer, self.model.layers, "hidden states")
        scored = [last for seat in index if (last := self.rows[seat].last)]
        if len(scored) < len(index) or any(number not in at.scores.hidden_states for at in scored):
            raise LookupError(unnamed(layer))
        return gather_hidden_states(scored, number)

    def open_history(self, layer: int, acts_on: Callable[[Prompt], bool]) -> FollowingHistory:
        """Keep a layer's hidden states of some prompts' rows, of which none was read."""
        if any(row.valid and acts_on(row.prompt) for row in self.rows):
            raise LookupError(f"rows were read: declare wants=[{layer}], open it before")
        history = FollowingHistory(self, layer, acts_on)
        self._histories.add(history)
        self.keep_layers(self._kept)
        return history

    def keep_layers(self, layers: Sequence[int]) -> None:
        """Keep these layers' hidden states at scored positions, and what histories are of."""
        self._kept = layers
        self.layers = sorted({*layers, *(each.layer for each in self._histories)})

    def hidden_history(self, layer: int, index: Sequence[int]) -> list[Float[Tensor, "_ embed"]]:
        """A layer's hidden states of each row at `index`, a line for each token that was read."""
        histories = []
        for seat in index:
            row = self.rows[seat]
            if not row.states.pieces:
                raise LookupError("hidden_history has nothing of a row that was never read")
            row.states = row.states.joined()
            histories.append(row.states.of(layer, row.valid))
        return histories

    def length(self, seat: int) -> int:
        """How many tokens of the row's sequence are in view."""
        row = self.rows[seat]
        return len(row.prefix) + self._store.rows[seat].grown - row.base

    def proposals(self, seat: int) -> list[int]:
        """The drafted tokens that still stand behind a row's sequence."""
        row = self.rows[seat]
        return row.fed[row.valid : row.valid + len(row.ahead)]

    @override
    def errands(
        self, seats: Sequence[int], proposals: Sequence[Sequence[int]] | None
    ) -> list[Errand]:
        """What to feed these rows, with the tokens proposed behind them.

        Of the rows of a prompt that have read nothing yet, only the first reads; the others follow.
        """
        found: list[Errand] = []
        histories = list(self._histories)
        self._along = []
        leaders: dict[Prompt, int] = {}
        for at, seat in enumerate(seats):
            row, record = self.rows[seat], self._store.rows[seat]
            drafted = proposals[at] if proposals else ()
            grown = len(record.tokens) - len(row.prompt.tokens)
            fresh = not (row.valid or grown)
            if fresh and (leader := leaders.setdefault(row.prompt, seat)) != seat:
                self._along.append((seat, leader))
                continue
            if row.known is not None and not drafted:
                continue
            length = len(row.prefix) + grown - row.base
            limit = self.model.context_length
            if self._slide and length > limit:
                row.base += length - limit // 2
                row.valid, row.known, length = 0, None, limit // 2
            if row.ahead:
                row.credit -= len(row.ahead)
                row.ahead = []
            if row.known is None and row.valid == length:
                row.valid -= 1
            count = length - row.valid
            row.earned += count
            drafted = drafted[: limit - length]
            tail = record.tokens[-1:] if count == 1 and grown else _tail(row, record, count)
            tokens = [*tail, *drafted] if drafted else tail
            keep = len(drafted) + (row.known is None)
            if keep:
                layers = {each.layer for each in histories if each.acts_on(row.prompt)}
                errand = Errand(seat, row.prompt, row.slot, row.valid, tokens, keep, tuple(layers))
                found.append(errand)
        return found

    @override
    def settle(
        self, errand: Errand, slot: int, scored: list[Scored], states: Mapping[int, Tensor]
    ) -> None:
        """Take in what the model said."""
        row = self.rows[errand.seat]
        row.slot = slot
        row.fed[row.valid :] = errand.tokens
        if states:
            row.states = row.states.followed_by(row.valid, states)
        row.valid = self.length(errand.seat)
        if row.known is None:
            row.known = row.last = scored.pop(0)
        row.ahead, row.certain = scored, min(row.certain, len(scored))
        if scored and self.meter is not None:
            self.meter(row.prompt).drafted += len(scored)

    @override
    def catch_up(self) -> None:
        """Give rows that have read nothing what their prompt's first row has just read."""
        for seat, leader in self._along:
            first = self.rows[leader]
            self.slots.share(first.slot)
            fed = first.fed[: first.valid]
            self.rows[seat] = replace(first, fed=fed, ahead=[], certain=0, earned=0, credit=0.0)
        self._along = []
        if self.layers:
            self.keep_layers(self._kept)


def _tail(row: BranchRow, record: Row, count: int) -> list[int]:
    """The last `count` tokens of a row's sequence."""
    new = record.new_tokens
    if count <= len(new):
        return new[len(new) - count :]
    return [*row.prefix[len(row.prefix) + len(new) - count :], *new]
