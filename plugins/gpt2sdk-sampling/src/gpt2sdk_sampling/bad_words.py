"""Bad words: token sequences that are not said."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from gpt2sdk import (
    Logits,
    LogitsProcessor,
    OneOrMore,
    ProcessorRun,
    Rows,
    Session,
    Stage,
    TextOrIds,
    tokens_of,
)


class BadWords(LogitsProcessor):
    """Rules out the last token of a sequence whenever a row ends with the tokens before it.

    A sequence may begin in the prompt. A word that is the end token alone is passed over, as in
    transformers.

    A text is banned as its tokens are when it stands alone, and when a blank stands before it; a
    text that begins with a blank, only so. (vLLM leaves the second form out where it has
    another number of tokens.) The same letters cut into other tokens are not found: this bans
    token sequences, not texts.

    Example:
        >>> from gpt2sdk.testing import make_rows, process
        >>> words = BadWords(bad_words=[[0], [1, 2]])
        >>> process(words, [[1.0, 1.0, 1.0]] * 2, make_rows([[0, 1], [1, 0]])).tolist()
        [[-inf, 1.0, -inf], [-inf, 1.0, 1.0]]
    """

    stage: ClassVar[Stage] = Stage.CONSTRAIN
    rank: ClassVar[int] = 10

    bad_words: Annotated[
        tuple[TextOrIds, ...],
        OneOrMore,
        Field(description="Texts, or lists of token ids, that are not said."),
    ] = ()

    @override
    def start(self, session: Session) -> ProcessorRun:
        return _Run.of(sorted(set(self._sequences(session))), session)

    def _sequences(self, session: Session) -> Iterator[tuple[int, ...]]:
        for word in self.bad_words:
            yield tokens_of(word, session, "bad_words")
            if isinstance(word, str) and not word.startswith(" "):
                yield tokens_of(f" {word}", session, "bad_words")


@dataclass(frozen=True)
class _Run:
    """What is ruled out always, and what behind which tokens.

    Attributes:
        alone: Words of one token.
        penalty: `-inf` for each of them, 0 for others.
        endings: By the length of what must stand before, and by that, the last tokens. They are
            looked up on the host: a text seldom ends with the beginning of a bad word, and then
            nothing has to be done.
    """

    alone: frozenset[int]
    penalty: Float[Tensor, " vocab"]
    endings: Mapping[int, Mapping[tuple[int, ...], tuple[int, ...]]]

    @classmethod
    def of(cls, words: Sequence[tuple[int, ...]], session: Session) -> "_Run":
        endings: dict[int, dict[tuple[int, ...], tuple[int, ...]]] = {}
        for word in words:
            behind = endings.setdefault(len(word) - 1, {})
            behind[word[:-1]] = (*behind.get(word[:-1], ()), word[-1])
        alone = endings.pop(0, {}).get((), ())
        penalty = torch.zeros(session.model.vocab_size)
        penalty[list(alone)] = -torch.inf
        return cls(frozenset(alone), penalty.to(session.device), endings)

    def process(self, logits: Logits, rows: Rows) -> Logits:
        records = rows.records
        out = logits + self.penalty if self.alone else logits
        ends = [
            (seat, token)
            for seat, row in enumerate(records)
            for token in self.alone & row.prompt.eos_token_ids
        ]
        if ends:
            spared = _places(ends, logits)
            out = out.index_put(spared, logits[spared])
        due = [(seat, token) for seat, row in enumerate(records) for token in self._due(row.tokens)]
        return out.index_put(_places(due, logits), out.new_tensor(-torch.inf)) if due else out

    def _due(self, tokens: list[int]) -> Iterator[int]:
        """The tokens that a row which ends with these may not take next."""
        for length, behind in self.endings.items():
            if length <= len(tokens):
                yield from behind.get(tuple(tokens[-length:]), ())


def _places(pairs: list[tuple[int, int]], logits: Logits) -> tuple[Tensor, ...]:
    """Return pairs of a seat and a token as what indexes logits."""
    return torch.tensor(pairs, dtype=torch.int64, device=logits.device).unbind(1)
