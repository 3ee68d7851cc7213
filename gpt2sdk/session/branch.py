"""A branch: what one model was fed for each row, and which of the rows' positions it has scored.

The session's own branch and every mirror are of this kind. A branch row's sequence is its prefix
(the prompt, or a mirror's own one) and the tokens its row has appended. Drafted tokens are fed
behind it; they count once the row really appends them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from traceback import clear_frames

from jaxtyping import Float
from torch import Tensor

from gpt2sdk.components.causal_lm import CausalLM, Scores
from gpt2sdk.components.records import Prompt
from gpt2sdk.components.rows import Board
from gpt2sdk.errors import ContextOverflowError
from gpt2sdk.session.scored import Scored, gather_hidden_states, gather_logits
from gpt2sdk.shapes import Logits


@dataclass(slots=True)
class Meter:
    """Counts what a session asks of its models, mirrors' included."""

    model_calls: int = 0
    tokens_fed: int = 0


@dataclass(slots=True)
class BranchRow:
    """One row as its branch's model knows it.

    Attributes:
        prompt_index: The prompt the row continues.
        prefix: The branch's prompt for this row; nothing where its owner does not act on it.
        fed: The tokens its cache slot holds, proposals included.
        valid: How many of them are a prefix of the sequence in view.
        base: Where in the sequence the view starts; not 0 once a full row has slid on.
        known: The scored position of the sequence's last token.
        last: The last scored position that was part of the sequence, `known` or an earlier one.
        ahead: Scored positions behind it, one for each proposal still standing.
        earned: Tokens that were fed to it because they had to be.
        accepted: Proposals that were appended.
        wasted: Proposals that were fed in vain.
    """

    prompt_index: int
    prefix: Sequence[int]
    fed: list[int] = field(default_factory=list)
    valid: int = 0
    base: int = 0
    known: Scored | None = None
    last: Scored | None = None
    ahead: list[Scored] = field(default_factory=list)
    earned: int = 0
    accepted: int = 0
    wasted: int = 0

    def take(self, token: int, length: int) -> bool:
        """Follow a row that appended `token` to a view of `length` tokens; was it scored ahead?"""
        stands = self.valid == length and length < len(self.fed) and self.fed[length] == token
        self.valid += stands
        if stands and self.ahead:
            self.known = self.last = self.ahead.pop(0)
            self.accepted += 1
            return True
        self.forget()
        return False

    def forget(self) -> None:
        """Drop what was scored; the cache stays good as far as `valid`."""
        self.known = None
        self.wasted += len(self.ahead)
        self.ahead = []


def check_room(prompt: Prompt, length: int, limit: int, *, slide: bool) -> None:
    """Make sure that a prompt's rows can grow as far as they may.

    Args:
        prompt: The prompt.
        length: What stands before the new tokens: the prompt itself, or a mirror's own one.
        limit: The model's context window, in tokens. The last new token is never fed to it.
        slide: Whether full rows go on with their last half.

    Raises:
        ContextOverflowError: There is nothing to start from, or no room to grow.
    """
    what = "prompt" if length == len(prompt.tokens) else "the mirrored prompt of prompt"
    if not length:
        message = f"{what} {prompt.index} is empty: expected at least one token to continue from"
    elif slide or length + prompt.max_new_tokens <= limit + 1:
        return
    else:
        message = (
            f"{what} {prompt.index} has {length} tokens and may grow by {prompt.max_new_tokens}, "
            f"but the window is {limit}: shorten it, lower max_new_tokens, or set "
            'overflow="slide"'
        )
    raise ContextOverflowError(message, prompt_tokens=length, limit=limit)


class Branch:
    """One model's view of all rows."""

    def __init__(
        self,
        model: CausalLM,
        board: Board,
        prefix: Callable[[Prompt], Sequence[int]],
        meter: Meter,
        scope: Callable[[int], bool],
        *,
        slide: bool = False,
    ) -> None:
        self.model = model
        self.rows: list[BranchRow] = []
        self.layers: Sequence[int] = ()
        self.drafted = 0
        self.accepted = 0
        self._board = board
        self._prefix = prefix
        self._meter = meter
        self._scope = scope
        self._slide = slide
        self._cache = model.make_cache(0)
        self._parents: list[int] = []
        self._moved = False

    def close(self) -> None:
        """Free the cache, whoever still refers to the branch: it is left without slots."""
        self.rows, self._parents = [], []
        self._cache.fork([])

    def admit(self, place: int, prompt: Prompt) -> None:
        """Start a row; one whose sibling is here takes the prefix over from its slot."""
        prefix = self._prefix(prompt) if self._scope(prompt.index) else ()
        row, parent = BranchRow(prompt.index, prefix), -1
        for other, kin in enumerate(self.rows):
            same = bool(prefix) and kin.prompt_index == prompt.index
            if same and kin.base == 0 and kin.valid >= len(prefix):
                row.fed, row.valid, parent = list(kin.fed), len(prefix), self._parents[other]
                break
        if place == len(self.rows):
            self.rows.append(row)
            self._parents.append(parent)
        else:
            self.rows[place] = row
            self._parents[place] = parent
        self._moved = True

    def check_room(self, prompt: Prompt) -> None:
        """Make sure that a prompt's rows can grow as far as they may."""
        if self._scope(prompt.index):
            length = len(self._prefix(prompt))
            check_room(prompt, length, self.model.context_length, slide=self._slide)

    def is_behind(self, place: int) -> bool:
        """Whether the end of a row's sequence was never scored."""
        return self.rows[place].known is None

    def logits(self, places: Sequence[int]) -> Logits:
        """Next-token logits of rows whose sequences are scored to their ends."""
        rows = self.rows
        return gather_logits([known for place in places if (known := rows[place].known)])

    def judge(self, place: int) -> tuple[Tensor, int] | None:
        """The model's own logits for a row's next token: a tensor and a place in it."""
        known = self.rows[place].known
        return None if known is None else (known.scores.logits, known.at)

    def hidden_states(self, layer: int, index: Sequence[int]) -> Float[Tensor, "rows embed"]:
        """The residual stream after `layer` blocks, at each row's last scored position.

        Raises:
            LookupError: It was not kept, or a row has no scored position.
        """
        scored = [last for place in index if (last := self.rows[place].last)]
        if not self.layers or len(scored) < len(index):
            message = 'hidden states are not at hand: declare wants={"hidden_states"}'
            raise LookupError(message)
        return gather_hidden_states(scored, layer)

    def length(self, place: int) -> int:
        """How many tokens of the row's sequence are in view."""
        row = self.rows[place]
        return len(row.prefix) + self._board.rows[place].grown - row.base

    def append(self, tokens: Sequence[int]) -> None:
        """Follow the board's rows; to be called before the board appends."""
        for place, token in enumerate(tokens):
            if token >= 0:
                self.accepted += self.rows[place].take(token, self.length(place))

    def fork(self, parents: Sequence[int]) -> None:
        """Copy rows; their cache slots move with the next model call."""
        copies = []
        heirs: set[int] = set()
        for parent in parents:
            row = self.rows[parent]
            copy = replace(row, fed=list(row.fed), ahead=list(row.ahead))
            if parent in heirs:
                copy.earned = copy.accepted = copy.wasted = 0
            heirs.add(parent)
            copies.append(copy)
        self.rows = copies
        self._parents = [self._parents[parent] for parent in parents]
        self._moved = True

    def rewind(self, counts: Sequence[int]) -> None:
        """Take tokens back; to be called after the board has. What was fed stays usable."""
        for place, count in enumerate(counts):
            if count:
                row = self.rows[place]
                row.forget()
                row.valid = min(row.valid, self.length(place))

    def proposals(self, place: int) -> list[int]:
        """The drafted tokens that still stand behind a row's sequence."""
        row = self.rows[place]
        return row.fed[row.valid : row.valid + len(row.ahead)]

    def feed(self, places: Sequence[int], proposals: Sequence[Sequence[int]]) -> None:
        """Score these rows' last positions, and those of the tokens proposed behind them."""
        leaders = self._leaders(places)
        tokens: list[Sequence[int]] = [()] * len(self.rows)
        keep = [0] * len(self.rows)
        for place, drafted in zip(places, proposals, strict=True):
            if leaders.get(place, place) == place:
                tokens[place], keep[place] = self._work(place, drafted)
        self._move_slots()
        self._cut_slots(keep)
        scores = self._score(tokens, keep)
        self._meter.model_calls += 1
        at = 0
        for place, count in enumerate(keep):
            if count:
                self._settle(place, tokens[place], [Scored(scores, at + i) for i in range(count)])
                at += count
        for place, leader in leaders.items():
            if place != leader:
                self._follow(place, leader)

    def _score(self, tokens: Sequence[Sequence[int]], keep: Sequence[int]) -> Scores:
        """Run the model; what it was at work on is not kept by an error's traceback."""
        try:
            return self.model.score(self._cache, tokens, keep, self.layers)
        except BaseException as error:
            clear_frames(error.__traceback__.tb_next if error.__traceback__ else None)
            raise

    def _leaders(self, places: Sequence[int]) -> dict[int, int]:
        """Rows that have read nothing yet, each with the first of its prompt among them."""
        first: dict[int, int] = {}
        leaders = {}
        for place in places:
            row = self._board.rows[place]
            if self.rows[place].valid == 0 and row.grown == 0:
                leaders[place] = first.setdefault(row.prompt.index, place)
        return leaders

    def _work(self, place: int, drafted: Sequence[int]) -> tuple[Sequence[int], int]:
        """What to feed a row and how many positions to score; cuts `valid` back to the start."""
        row = self.rows[place]
        if row.known is not None and not drafted:
            return [], 0
        length = self.length(place)
        if self._slide and length > self.model.context_length:
            row.base += length - self.model.context_length // 2
            row.valid, row.known = 0, None
            length = self.length(place)
        row.wasted += len(row.ahead)
        row.ahead = []
        if row.known is None and row.valid == length:
            row.valid -= 1
        drafted = drafted[: self.model.context_length - length]
        tail = self._tail(place, length - row.valid)
        row.earned += len(tail)
        self._meter.tokens_fed += len(tail) + len(drafted)
        self.drafted += len(drafted)
        return [*tail, *drafted], len(drafted) + (row.known is None)

    def _tail(self, place: int, count: int) -> list[int]:
        """The last `count` tokens of a row's sequence."""
        row = self._board.rows[place]
        if count <= row.grown:
            return row.tokens[len(row.tokens) - count :]
        prefix = self.rows[place].prefix
        return [*prefix[len(prefix) + row.grown - count :], *row.new_tokens]

    def _settle(self, place: int, tokens: Sequence[int], scored: list[Scored]) -> None:
        row = self.rows[place]
        row.fed[row.valid :] = tokens
        row.valid = self.length(place)
        if row.known is None:
            row.known = row.last = scored.pop(0)
        row.ahead = scored

    def _follow(self, place: int, leader: int) -> None:
        """Give a row what its prompt's first row has just read."""
        source = self.rows[leader]
        length = source.valid
        self.rows[place] = replace(
            source, fed=source.fed[:length], ahead=[], earned=0, accepted=0, wasted=0
        )
        self._parents[place] = leader
        self._moved = True

    def _cut_slots(self, keep: Sequence[int]) -> None:
        """Forget what the slots about to be fed hold beyond their rows' start."""
        lengths = self._cache.lengths
        cuts = [
            row.valid if count else length
            for row, count, length in zip(self.rows, keep, lengths, strict=True)
        ]
        if cuts != list(lengths):
            self._cache.rewind(cuts)

    def _move_slots(self) -> None:
        """Bring the cache's slots where the rows are: one gather, however often they forked."""
        if self._moved:
            self._cache.fork(self._parents)
            self._parents = list(range(len(self.rows)))
            self._moved = False
