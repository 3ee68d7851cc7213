"""DRY: what would lengthen a repetition becomes less likely, more so the longer it is."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, OneOrMore, PerRow, ProcessorRun, Rows, Session, Stage
from gpt2sdk_sampling.aho_corasick import AhoCorasick
from gpt2sdk_sampling.spelling import Spelling

_MOST = 1e30
"""The greatest penalty, in nats: a float32, and so is its difference to any logit."""


class DryMultiplier(LogitsProcessor):
    r"""Takes `m * base ** (n - allowed)` from a token that would repeat what followed `n` tokens.

    `n` is how many last tokens of the row stand somewhere before, with that token behind them; the
    longest such repetition counts, from `allowed` tokens on. The prompt counts. A repetition may
    overlap itself, so loops are found.

    Breakers keep what is meant to be repeated, such as a speaker's name at the head of a line: no
    repetition reaches back over one, and a token that ends one is never penalised. They are found
    in the text, in the middle of a token or across several: a breaker `:` is in `):` as well. A
    repetition begins behind the token in which the last breaker ended. (text-generation-webui
    takes the last token that a breaker is cut into behind an `a`; llama.cpp looks for the same
    tokens as here, and vLLM's pull request for those that hold a whole breaker.)

    All tokens are looked at unless `dry_penalty_last_n` says less, in llama.cpp the last 64.

    "DRY: a modern repetition penalty that reliably prevents looping", p-e-w, 2024,
    text-generation-webui pull request 5677. Per step it takes time in the length of what is looked
    at: the Z-algorithm on the reversed tokens (Gusfield, 1997), as in llama.cpp.

    Example:
        After `0 1 2 0 1` the two tokens `0 1` stood before, with a 2 behind them: 1.0 * 2.0 ** 0.
        After one more round there are five of them: 2.0 ** 3.

        >>> from gpt2sdk.testing import make_rows, process
        >>> dry = DryMultiplier(dry_multiplier=1.0, dry_base=2.0)
        >>> rows = make_rows([[0, 1, 2, 0, 1], [0, 1, 2, 0, 1, 2, 0, 1]])
        >>> process(dry, [[0.0, 0.0, 0.0]] * 2, rows).tolist()
        [[0.0, 0.0, -1.0], [0.0, 0.0, -8.0]]
    """

    stage: ClassVar[Stage] = Stage.PENALTY
    rank: ClassVar[int] = 45

    dry_multiplier: Annotated[
        float, Field(ge=0.0, description="Penalty of the shortest repetition, in nats; 0 is off.")
    ] = 0.0
    dry_base: Annotated[
        float, Field(ge=1.0, description="By what each further token multiplies it.")
    ] = 1.75
    dry_allowed_length: Annotated[
        int, Field(ge=1, description="Repeated tokens from which on the next one is penalised.")
    ] = 2
    dry_penalty_last_n: Annotated[
        int, Field(ge=-1, description="How many last tokens are looked at; -1 for all, 0 for none.")
    ] = -1
    dry_sequence_breakers: Annotated[
        tuple[Annotated[str, Field(min_length=1)], ...],
        OneOrMore,
        Field(description="Texts that no repetition reaches over."),
    ] = ("\n", ":", '"', "*")

    @override
    def start(self, session: Session) -> ProcessorRun:
        spelling = Spelling(session.vocabulary)
        breakers = AhoCorasick([spelling.of(text) for text in self.dry_sequence_breakers])

        def read(value: _Unbroken, token: int) -> _Unbroken:
            state, ended = breakers.walk(value.state, spelling[token])
            return _Unbroken(state, 0 if ended else value.count + 1)

        def begin(tokens: Sequence[int]) -> _Unbroken:
            value = _Unbroken()
            for token in tokens:
                value = read(value, token)
            return value

        unbroken = session.per_row(
            lambda prompt: begin(prompt.tokens), lambda value, token, _: read(value, token)
        )
        return _Run(self, spelling, breakers, unbroken)


@dataclass(frozen=True, slots=True)
class _Unbroken:
    """How far a row is from its last breaker.

    Attributes:
        state: How much of a breaker stands at its end.
        count: How many tokens it has behind the last one that ended a breaker.
    """

    state: int = 0
    count: int = 0


@dataclass(frozen=True)
class _Run:
    """DRY at work in one session."""

    dry: DryMultiplier
    spelling: Spelling
    breakers: AhoCorasick
    unbroken: PerRow[_Unbroken]

    def process(self, logits: Logits, rows: Rows) -> Logits:
        places: list[tuple[int, int]] = []
        penalties: list[float] = []
        for place, (tokens, unbroken) in enumerate(
            zip(rows.histories(), self.unbroken[rows], strict=True)
        ):
            for token, length in self._repeats(tokens, unbroken).items():
                places.append((place, token))
                penalties.append(self._penalty(length))
        if not places:
            return logits
        where = torch.tensor(places, dtype=torch.int64, device=logits.device).unbind(1)
        taken = torch.tensor(penalties, dtype=logits.dtype, device=logits.device)
        return logits.index_put(where, -taken, accumulate=True)

    def _repeats(self, tokens: Sequence[int], unbroken: _Unbroken) -> Mapping[int, int]:
        """How long a repetition each token would lengthen, where it is long enough."""
        seen = len(tokens) if self.dry.dry_penalty_last_n < 0 else self.dry.dry_penalty_last_n
        backwards = tokens[: -seen - 1 : -1] if seen else []
        longest: dict[int, int] = {}
        for back, length in matches(backwards, unbroken.count).items():
            token = backwards[back - 1]
            if length >= max(self.dry.dry_allowed_length, longest.get(token, 0)):
                longest[token] = length
        return {
            token: length
            for token, length in longest.items()
            if not self.breakers.walk(unbroken.state, self.spelling[token])[1]
        }

    def _penalty(self, length: int) -> float:
        beyond = length - self.dry.dry_allowed_length
        most = math.log(_MOST) / math.log(self.dry.dry_base) if self.dry.dry_base > 1.0 else beyond
        return min(self.dry.dry_multiplier * self.dry.dry_base ** min(beyond, most), _MOST)


def matches(backwards: Sequence[int], limit: int) -> dict[int, int]:
    """How many tokens, counted back from each earlier place, are those at the end.

    The Z-algorithm: what was compared within the match that reaches furthest is not compared
    again, so it takes time in the number of tokens.

    Args:
        backwards: The tokens, the last one first.
        limit: How long a match may be.

    Returns:
        The lengths of the matches by how far back their last token is, but for empty ones.

    >>> matches([1, 0, 2, 1, 0, 2, 1, 0], limit=9)
    {3: 5, 6: 2}
    """
    lengths: dict[int, int] = {}
    size = len(backwards)
    left = right = at = 0
    while limit:
        try:
            at = backwards.index(backwards[0], at + 1)
        except (ValueError, IndexError):
            break
        length = min(lengths.get(at - left, 0), right - at) if at < right else 0
        if at + length >= right:
            while (
                length < limit
                and at + length < size
                and (backwards[length] == backwards[at + length])
            ):
                length += 1
            left, right = at, at + length
        lengths[at] = length
    return lengths
