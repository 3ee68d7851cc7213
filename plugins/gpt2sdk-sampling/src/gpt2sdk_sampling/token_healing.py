"""Token healing: a prompt's last tokens are chosen anew, so that a word may cross its end."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from typing_extensions import override

from gpt2sdk import (
    Logits,
    LogitsProcessor,
    PerRow,
    ProcessorRun,
    Rows,
    Session,
    Stage,
    Vocabulary,
)
from gpt2sdk_sampling.spelling import Spelling


class TokenHealing(LogitsProcessor):
    """Cuts back the last tokens of a prompt, and begins rows with tokens that spell the same text.

    A prompt that ends with `http:` ends with the token `:`, after which the token `//` is seldom
    seen: in texts the token `://` stands there. So a prompt's last tokens are cut off, as many as
    together are the beginning of a longer token, and a row begins with tokens that spell them:
    each one either goes on with what was cut off or completes it, and may go on behind it. If no
    token goes on behind the prompt's end, nothing is cut off. The first token and special tokens
    never are.

    A completion's `text` goes on behind the prompt as it was written; its `tokens` begin with
    those that were chosen anew. These are among `max_new_tokens`.

    Lundberg, "The art of prompt design: prompt boundaries and token healing", 2023, and guidance.
    transformers' option of this name cuts off one token, prefers longer ones by a bias of 10, and
    strips the prompt.

    Example:
        The token ` time` begins with the last two tokens of `the ti`.

        >>> from gpt2sdk.testing import make_rows, process, tiny_tokenizer
        >>> healing, tokenizer = TokenHealing(token_healing=True), tiny_tokenizer()
        >>> prompt = tokenizer.encode("the ti")
        >>> [tokenizer.token_text(token) for token in prompt]
        ['t', 'he', ' t', 'i']
        >>> healing.cut_back([prompt], tokenizer, tokenizer.vocab_size)
        [2]

        Where `b` (token 1) was cut off, the row writes it, and then is free.

        >>> rows = make_rows([[0], [0, 1]], prompt_lengths=[1, 1], cuts=[[1], [1]])
        >>> process(healing, [[1.0, 2.0, 3.0]] * 2, rows).tolist()
        [[-inf, 2.0, -inf], [1.0, 2.0, 3.0]]
    """

    stage: ClassVar[Stage] = Stage.CONSTRAIN
    rank: ClassVar[int] = 100

    token_healing: Annotated[
        bool, Field(description="Whether the last tokens of a prompt are chosen anew.")
    ] = False

    @override
    def cut_back(
        self, prompts: Sequence[Sequence[int]], vocabulary: Vocabulary, vocab_size: int
    ) -> Sequence[int]:
        if not self.token_healing:
            return [0] * len(prompts)
        words = _Words.of(vocabulary, vocab_size)
        return [words.broken(prompt) for prompt in prompts]

    @override
    def start(self, session: Session) -> ProcessorRun:
        if not self.token_healing:
            return self
        words = _Words.of(session.vocabulary, session.model.vocab_size)
        due = session.per_row(
            lambda prompt: words.text(prompt.cut), lambda due, token, _: words.left(due, token)
        )
        return _Run(words, due)

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        return logits


@dataclass(frozen=True)
class _Words:
    """The tokens that have text, in the order of their bytes.

    Attributes:
        order: Their bytes and ids, sorted.
        spelled: The bytes of each; none for special tokens.
    """

    order: Sequence[tuple[bytes, int]]
    spelled: Mapping[int, bytes]

    @classmethod
    def of(cls, vocabulary: Vocabulary, size: int) -> "_Words":
        spelling = Spelling(vocabulary)
        spelled = {token: bytes(own) for token in range(size) if _is_text(own := spelling[token])}
        return cls(sorted((own, token) for token, own in spelled.items()), spelled)

    def broken(self, prompt: Sequence[int]) -> int:
        """How many last tokens of a prompt are together the beginning of a longer one."""
        text, count = b"", 0
        for back, token in enumerate(reversed(prompt[1:]), 1):
            text = self.spelled.get(token, b"") + text
            if token not in self.spelled or len(text) >= self._longest:
                break
            if any(own != text for own, _ in self._beginning(text)):
                count = back
        return count

    def text(self, tokens: Sequence[int]) -> bytes:
        """What tokens spell."""
        return b"".join(self.spelled.get(token, b"") for token in tokens)

    def left(self, due: bytes, token: int) -> bytes:
        """What of a text is still due behind a token; nothing if the token is not of it."""
        own = self.spelled.get(token, b"")
        return due[len(own) :] if own and due.startswith(own) else b""

    def allowed(self, due: bytes) -> list[int]:
        """The tokens that go on with a text, or complete it."""
        parts = [
            token
            for size in range(1, len(due))
            for own, token in self._beginning(due[:size], whole=True)
        ]
        return parts + [token for _, token in self._beginning(due)]

    def _beginning(self, text: bytes, *, whole: bool = False) -> Iterator[tuple[bytes, int]]:
        """The tokens that begin with a text, or are it."""
        for place in range(bisect_left(self.order, (text, -1)), len(self.order)):
            own, token = self.order[place]
            if not own.startswith(text) or (whole and own != text):
                return
            yield own, token

    @cached_property
    def _longest(self) -> int:
        return max((len(own) for own, _ in self.order), default=0)


def _is_text(symbols: Sequence[int]) -> bool:
    return bool(symbols) and max(symbols) < 256


@dataclass(frozen=True)
class _Run:
    """The tokens, and what each row has yet to write of what was cut off its prompt."""

    words: _Words
    due: PerRow[bytes]

    def process(self, logits: Logits, rows: Rows) -> Logits:
        due = self.due[rows]
        places = [
            (row, token)
            for row, text in enumerate(due)
            if text
            for token in self.words.allowed(text)
            if token < logits.shape[1]
        ]
        if not places:
            return logits
        where = torch.tensor(places, dtype=torch.int64, device=logits.device).unbind(1)
        bound = torch.tensor([bool(text) for text in due], device=logits.device)
        out = bound[:, None].expand(logits.shape).index_put(where, bound.new_tensor(False))  # noqa: FBT003
        return logits.masked_fill(out, -torch.inf)
