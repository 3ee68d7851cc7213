"""No repeated n-grams: a sequence of n tokens is not said twice."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field, model_validator
from typing_extensions import override

from gpt2sdk import (
    Logits,
    LogitsProcessor,
    PerRow,
    ProcessorRun,
    Prompt,
    Rows,
    Session,
    Stage,
    TokenId,
    check_ids,
)


class NoRepeatNgramSize(LogitsProcessor):
    """Rules out every token that would complete an n-gram the row already has.

    The prompt counts, as in transformers. With n = 1 no token is said twice, those of the prompt
    included; a row that runs out of tokens is an error. With a window only n-grams within the last
    tokens count; those of a whitelist may complete any, as in sglang's processor for DeepSeek-OCR,
    where the columns of a table repeat and its cells must not.

    A row remembers where each beginning of an n-gram was last followed by each token, so a step
    takes time in the number of tokens that are ruled out, however long the row is.

    Paulus, Xiong and Socher, "A deep reinforced model for abstractive summarization", 2017,
    arXiv:1705.04304.

    Example:
        After `0 1 0` the pair `0 1` would be said twice; after two more tokens it is out of a
        window of 4.

        >>> from gpt2sdk.testing import make_rows, process
        >>> pairs = NoRepeatNgramSize(no_repeat_ngram_size=2)
        >>> process(pairs, [[1.0, 2.0, 3.0]], make_rows([[0, 1, 0]])).tolist()
        [[1.0, -inf, 3.0]]
        >>> near = NoRepeatNgramSize(no_repeat_ngram_size=2, no_repeat_ngram_window=4)
        >>> process(near, [[1.0, 2.0, 3.0]], make_rows([[0, 1, 2, 2, 0]])).tolist()
        [[1.0, 2.0, 3.0]]

    Raises:
        OptionError: A window has no room for an n-gram, or a token of the whitelist does not exist.
    """

    stage: ClassVar[Stage] = Stage.PENALTY
    rank: ClassVar[int] = 50

    no_repeat_ngram_size: Annotated[
        int, Field(ge=0, description="Length of sequences not said twice, in tokens; 0 is off.")
    ] = 0
    no_repeat_ngram_window: Annotated[
        int | None,
        Field(ge=1, description="How many last tokens they are looked for in; None for all."),
    ] = None
    no_repeat_ngram_whitelist: Annotated[
        tuple[TokenId, ...], Field(description="Ids of tokens that may complete any of them.")
    ] = ()

    @model_validator(mode="after")
    def _check_window(self) -> "NoRepeatNgramSize":
        window = self.no_repeat_ngram_window
        if window is not None and window < self.no_repeat_ngram_size:
            raise ValueError(
                "expects a no_repeat_ngram_window of at least no_repeat_ngram_size: it would rule "
                "nothing out"
            )
        return self

    @override
    def start(self, session: Session) -> ProcessorRun:
        check_ids(self.no_repeat_ngram_whitelist, session, "no_repeat_ngram_whitelist")
        if not self.no_repeat_ngram_size:
            return self
        size = self.no_repeat_ngram_size

        def begin(prompt: Prompt) -> _Ngrams:
            ngrams = _Ngrams({})
            for token in prompt.tokens:
                ngrams = ngrams.accept(token, size)
            return ngrams

        ngrams = session.per_row(begin, lambda value, token, _: value.accept(token, size))
        return _Run(self, frozenset(self.no_repeat_ngram_whitelist), ngrams)

    @override
    def process(self, logits: Logits, rows: Rows) -> Logits:
        return logits


@dataclass(frozen=True, slots=True)
class _Ngrams:
    """The n-grams of a row.

    Attributes:
        places: By what an n-gram begins with and by its last token: where that stands. All rows of
            a prompt write here, those that were taken back too, and nothing is ever removed: so a
            place counts for a row only if the n-gram is what the row has there.
        tail: The row's last n - 1 tokens, or all if it has fewer.
        length: How many tokens it has.
    """

    places: dict[tuple[int, ...], dict[int, list[int]]]
    tail: tuple[int, ...] = ()
    length: int = 0

    def accept(self, token: int, size: int) -> "_Ngrams":
        """Take a token."""
        if len(self.tail) == size - 1:
            places = self.places.setdefault(self.tail, {}).setdefault(token, [])
            if not places or places[-1] != self.length:
                places.append(self.length)
        tail = (*self.tail, token)[1 - size :] if size > 1 else ()
        return _Ngrams(self.places, tail, self.length + 1)

    def following(self, tokens: Sequence[int], size: int, first: int) -> Iterator[int]:
        """The tokens that stood behind the tail, in n-grams that begin at `first` or later."""
        if len(self.tail) < size - 1:
            return
        for token, places in self.places.get(self.tail, {}).items():
            for place in reversed(places):
                begin = place - size + 1
                if begin >= first and tuple(tokens[begin : place + 1]) == (*self.tail, token):
                    yield token
                    break


@dataclass(frozen=True)
class _Run:
    """The n-grams of each row."""

    options: NoRepeatNgramSize
    whitelist: frozenset[int]
    ngrams: PerRow[_Ngrams]

    def process(self, logits: Logits, rows: Rows) -> Logits:
        size, window = self.options.no_repeat_ngram_size, self.options.no_repeat_ngram_window
        out = [
            (row, token)
            for row, (tokens, ngrams) in enumerate(
                zip(rows.histories(), self.ngrams[rows], strict=True)
            )
            for token in ngrams.following(
                tokens, size, 0 if window is None else max(0, len(tokens) - window)
            )
            if token not in self.whitelist
        ]
        if not out:
            return logits
        where = torch.tensor(out, dtype=torch.int64, device=logits.device).unbind(1)
        return logits.index_put(where, logits.new_tensor(-torch.inf))
