"""Bad words: token sequences that are not said."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from jaxtyping import Bool, Int
from pydantic import BeforeValidator, Field
from torch import Tensor
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, ProcessorRun, Rows, Session, Stage
from gpt2sdk_sampling.history import rule_out
from gpt2sdk_sampling.suffix import last_tokens
from gpt2sdk_sampling.token_ids import TextOrIds, tokens_of

_ANY = -2
"""In a word's beginning: whatever stands there, or nothing."""


def _several(words: object) -> object:
    return (words,) if isinstance(words, str) else words


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
        BeforeValidator(_several),
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
    """The sequences as tensors: what must stand before, and what is then ruled out.

    Beginnings are right-aligned: of the words `1 2 3` and `4` they are `1 2` and `* *`.
    """

    beginnings: Int[Tensor, "words time"]
    ends: Int[Tensor, " words"]
    alone: Bool[Tensor, " words"]

    @classmethod
    def of(cls, words: Sequence[tuple[int, ...]], session: Session) -> "_Run":
        longest = max((len(word) for word in words), default=1)
        beginnings = [[_ANY] * (longest - len(word)) + list(word[:-1]) for word in words]
        device = session.device
        return cls(
            torch.tensor(beginnings, dtype=torch.int64, device=device).view(
                len(words), longest - 1
            ),
            torch.tensor([word[-1] for word in words], dtype=torch.int64, device=device),
            torch.tensor([len(word) == 1 for word in words], dtype=torch.bool, device=device),
        )

    def process(self, logits: Logits, rows: Rows) -> Logits:
        before = last_tokens(rows, self.beginnings.shape[1])[:, None]
        due = ((before == self.beginnings) | (self.beginnings == _ANY)).all(-1)
        ending = (self.ends[:, None] == rows.eos_token_ids[:, None]).any(-1)
        due &= ~(self.alone & ending)
        return rule_out(logits, self.ends.expand(len(due), -1), due)
