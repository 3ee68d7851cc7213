"""Scores of named texts, as JSON and as people read them."""

import math
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import RenderableType

from gpt2sdk.cli.prompt_files import STANDARD_INPUT, read_text
from gpt2sdk.cli.tables import heading, show, table
from gpt2sdk.components.language import Language
from gpt2sdk.components.records import Score
from gpt2sdk.errors import OptionError
from gpt2sdk.tokenizer.document_encoder import DocumentEncoder
from gpt2sdk.tokenizer.documents import SEPARATOR, split_documents
from gpt2sdk.tokenizer.end_tokens import EndTokens
from gpt2sdk.tokenizer.tokenizer import Tokenizer

_LONGEST_NAME = 40
_TITLES = ("", "tokens", "bytes", "bits per byte", "perplexity")

ARGUMENT = "argument"

Named = tuple[str, str, Score]
"""Where a text is from, the text, and its score."""


def read_texts(
    text: str | None, files: Sequence[Path], *, documents: bool, empty: bool = False
) -> list[tuple[str, str]]:
    """Return the texts to score, each with where it is from: a file, or `argument`.

    Args:
        text: The argument.
        files: The files.
        documents: Whether what `<|endoftext|>` separates are texts of their own.
        empty: Whether a text may be empty.

    Raises:
        OptionError: There is none, there are texts and files, one is empty or not UTF-8.
    """
    if text is not None and files:
        raise OptionError("a text was given as an argument and with --file: give one", name="text")
    sources = [str(file) for file in files]
    if text == STANDARD_INPUT or (text is None and not files and not sys.stdin.isatty()):
        sources = [STANDARD_INPUT]
    texts = [(_source_name(source), read_text(source)) for source in sources]
    if not sources and text is not None:
        texts = [(ARGUMENT, text)]
    if not texts:
        raise OptionError(
            "there is no text: give it as an argument, with --file, or on standard input",
            name="text",
        )
    if documents:
        texts = [part for source, content in texts for part in _apart(source, content)]
    for source, content in texts:
        if not (content or empty):
            named = "the text" if source == ARGUMENT else source
            raise OptionError(f"{named} is empty: expected text to score", name="text")
    return texts


def _apart(source: str, content: str) -> list[tuple[str, str]]:
    r"""Cut a text where lines separate documents; a text without any is one.

    >>> _apart("tales.txt", "One.\n<|endoftext|>\nTwo.\n<|endoftext|>\n")
    [('tales.txt 1', 'One.'), ('tales.txt 2', 'Two.')]
    """
    found = enumerate(split_documents(content), start=1)
    return [(f"{source} {number}", part) for number, part in found] or [(source, "")]


def as_read(
    texts: Sequence[tuple[str, str]], tokenizer: Language, ends: EndTokens
) -> list[str | list[int]]:
    """Return texts as they are scored: those with separators in them as tokens, as in training.

    Args:
        texts: Each with where it is from.
        tokenizer: The model's.
        ends: Its end tokens.

    Raises:
        OptionError: A text has separators, and the model no token for them.
        TokenizerError: A text cannot be encoded.
    """
    if not isinstance(tokenizer, Tokenizer):
        return [content for _, content in texts]
    encoder = DocumentEncoder(tokenizer, ends)
    return [_one_as_read(source, content, encoder, ends) for source, content in texts]


def _one_as_read(
    source: str, content: str, encoder: DocumentEncoder, ends: EndTokens
) -> str | list[int]:
    if SEPARATOR in content and ends.closing is None:
        line = content.partition(SEPARATOR)[0].count("\n") + 1
        raise OptionError(
            f"{source}, line {line}: {SEPARATOR} ends a document, and the model has no end token: "
            "score the documents one by one with --documents",
            name="text",
        )
    if SEPARATOR not in content and not any(text in content for text in encoder.spelled):
        return content
    documents = split_documents(content)
    tokens = [token for each in documents for _, ids in encoder.encode(each) for token in ids]
    # The file's end is not the model's to predict: texts without separators have no end either.
    return tokens[:-1]


def report(named: Sequence[Named], *, tokens: bool) -> list[dict[str, object]]:
    """Return scores as JSON-ready values; what is infinite is null there."""
    return [
        {
            "source": source,
            "tokens": score.token_count,
            "bytes": score.nbytes,
            "nats": _finite(score.nats),
            "bits": _finite(score.bits),
            "bits_per_byte": _finite(score.bits_per_byte),
            "perplexity": _finite(score.perplexity),
            "context": list(score.context),
            **({"logprobs": _each_token(score)} if tokens else {}),
        }
        for source, _, score in named
    ]


def show_report(named: Sequence[Named], *, tokens: bool) -> None:
    """Print scores as a table, and their sum if there are several."""
    rows = [_row(label(source, text), score) for source, text, score in named]
    if len(named) > 1:
        rows.append(_row("total", _sum([score for *_, score in named])))
    parts: list[RenderableType] = [table(rows, _TITLES)]
    if tokens:
        for source, text, score in named:
            parts += [heading(f"\n{label(source, text)}"), _token_table(score)]
    show(*parts)


def _row(label: str, score: Score) -> tuple[str, ...]:
    return (
        label,
        f"{score.token_count:,}",
        f"{score.nbytes:,}",
        f"{score.bits_per_byte:.4f}",
        f"{score.perplexity:,.2f}",
    )


def _token_table(score: Score) -> RenderableType:
    columns = zip(score.tokens, score.texts, score.logprobs, strict=True)
    rows = [(str(token), repr(text), f"{logprob:.4f}") for token, text, logprob in columns]
    return table(rows, ("token", "text", "log-probability"), names=3)


def _each_token(score: Score) -> list[dict[str, object]]:
    columns = zip(score.tokens, score.texts, score.logprobs, strict=True)
    return [
        {"token": token, "text": text, "logprob": _finite(logprob)}
        for token, text, logprob in columns
    ]


def _sum(scores: Sequence[Score]) -> Score:
    """Return the score of several texts together."""
    return Score(
        tokens=tuple(token for score in scores for token in score.tokens),
        texts=tuple(text for score in scores for text in score.texts),
        logprobs=tuple(logprob for score in scores for logprob in score.logprobs),
        nbytes=sum(score.nbytes for score in scores),
    )


def label(source: str, text: str) -> str:
    r"""Return what a text is called: its file, or how it begins, on one line.

    >>> label("tale.txt", "Once"), label("argument", "Once\nupon")
    ('tale.txt', "'Once\\nupon'")
    """
    return (
        source
        if source != ARGUMENT
        else repr(text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 1] + "…")
    )


def _source_name(source: str) -> str:
    return "standard input" if source == STANDARD_INPUT else source


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
