"""What potentials weigh: what a row has written, as text and as tokens."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from gpt2sdk import Prompt, Rows, Session, Vocabulary, continuation_text


@dataclass(frozen=True, slots=True)
class Continuation:
    """A continuation of a prompt, finished or not.

    Attributes:
        text: What is written, complete characters only: that of the completion, where it is
            finished.
        tokens: The same as token ids, an end token included.
        prompt: What is continued.
        vocabulary: Text to tokens and back.

    Example:
        >>> from gpt2sdk.testing import Letters
        >>> ab = Continuation("ab", (0, 1), Prompt(0, (5,)), Letters())
        >>> ab.then(2).text, [each.text for each in ab.prefixes()]
        ('abc', ['', 'a'])
    """

    text: str
    tokens: tuple[int, ...]
    prompt: Prompt = field(repr=False)
    vocabulary: Vocabulary = field(repr=False, compare=False)

    def then(self, token: int) -> "Continuation":
        """The continuation with one more token."""
        return self._of((*self.tokens, token))

    def prefixes(self) -> Iterator["Continuation"]:
        """All shorter ones, from the empty one on."""
        return (self._of(self.tokens[:length]) for length in range(len(self.tokens)))

    def _of(self, tokens: tuple[int, ...]) -> "Continuation":
        text = spelled(self.vocabulary, self.prompt, tokens)
        return Continuation(text, tokens, self.prompt, self.vocabulary)


def spelled(vocabulary: Vocabulary, prompt: Prompt, tokens: Sequence[int]) -> str:
    """The text of tokens, without special ones, end tokens and characters that are not whole."""
    mute = prompt.eos_token_ids.union(vocabulary.special_tokens.values())
    # What stands for an unfinished character is the replacement character, up to three times.
    spoken = [token for token in tokens if token not in mute]
    return continuation_text(vocabulary, spoken).rstrip("\ufffd")


def continuations(session: Session, rows: Rows) -> list[Continuation]:
    """What some rows of a session have written."""
    texts = session.texts()
    over = [seat for seat, row in zip(rows.index, rows.records, strict=True) if row.finish_reason]
    for seat, completion in zip(over, session.completions(over), strict=True):
        texts[seat] = completion.text
    return [
        Continuation(texts[seat], tuple(row.new_tokens), row.prompt, session.vocabulary)
        for seat, row in zip(rows.index, rows.records, strict=True)
    ]
