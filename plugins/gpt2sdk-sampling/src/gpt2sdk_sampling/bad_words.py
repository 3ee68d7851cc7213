"""Bad words: token sequences that are not said."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field
from typing_extensions import override

from gpt2sdk import Logits, LogitsProcessor, ProcessorRun, Rows, Session, Stage
from gpt2sdk_sampling.history import rule_out
from gpt2sdk_sampling.sequences import Sequences
from gpt2sdk_sampling.token_ids import TextOrIds, tokens_of


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
        return _Run(Sequences.of(sorted(set(self._sequences(session))), session.device))

    def _sequences(self, session: Session) -> Iterator[tuple[int, ...]]:
        for word in self.bad_words:
            yield tokens_of(word, session, "bad_words")
            if isinstance(word, str) and not word.startswith(" "):
                yield tokens_of(f" {word}", session, "bad_words")


@dataclass(frozen=True)
class _Run:
    """The words, on the session's device."""

    words: Sequences

    def process(self, logits: Logits, rows: Rows) -> Logits:
        ends = self.words.ends
        ending = (ends[:, None] == rows.eos_token_ids[:, None]).any(-1)
        due = self.words.due(rows) & ~(self.words.alone & ending)
        return rule_out(logits, ends.expand(len(due), -1), due)
