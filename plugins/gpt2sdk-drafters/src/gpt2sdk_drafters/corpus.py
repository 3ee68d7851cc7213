"""Corpus: what most often followed the last tokens in files that are given."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Annotated, Any, cast

from jaxtyping import Int
from pydantic import BeforeValidator, Field, field_validator
from torch import Tensor
from typing_extensions import override

from gpt2sdk import CALLER_ONLY_RULE, Drafter, DrafterRun, OptionError, Rows, Session, Vocabulary
from gpt2sdk_drafters.drafting_model import padded
from gpt2sdk_drafters.suffix_array import SuffixArray

_LONGEST, _LEAST = 24, 0.1


def _written(paths: object) -> object:
    """Write paths as texts, so that the option can be recorded."""
    if isinstance(paths, PurePath):
        return str(paths)
    return tuple(map(_written, paths)) if isinstance(paths, tuple) else paths


class Corpus(Drafter):
    """Proposes what most often followed a row's last tokens in some text files.

    The longest run of last tokens, up to 24, that stands in the files counts. A proposal has as
    many tokens as the run at most, and ends where less than a tenth of the occurrences goes on so.
    It pays where the output quotes what is known beforehand: licences, templates, code of a
    project, answers given before.

    The files are read and tokenised once for a process, as long as they do not change; of the last
    four corpora the index stays in memory: eight bytes for each token. To sort a million tokens
    takes about a second.

    Drafting from a datastore: He et al., "REST: retrieval-based speculative decoding", 2023,
    arXiv:2311.08252. There drafts are trees; here the likeliest path is taken.
    """

    corpus: Annotated[
        tuple[str, ...] | str,
        BeforeValidator(_written),
        CALLER_ONLY_RULE,
        Field(description="Path of a UTF-8 text file, or several."),
    ]

    @classmethod
    @override
    def example_options(cls) -> dict[str, object]:
        return {"corpus": str(Path(__file__).with_name("letters.txt"))}

    @field_validator("corpus")
    @classmethod
    def _check_paths(cls, paths: tuple[str, ...] | str) -> tuple[str, ...] | str:
        if not paths:
            raise ValueError("expects at least one path")
        return paths

    @override
    def start(self, session: Session) -> DrafterRun:
        """Begin a session; reads the files if no other one did before.

        Raises:
            OptionError: A file is missing, unreadable, no UTF-8, or none has a text.
        """
        paths = (self.corpus,) if isinstance(self.corpus, str) else self.corpus
        files = tuple(file_of(path) for path in paths)
        vocabulary = cast("Any", session.vocabulary)
        return CorpusRun(index_of(files, vocabulary, session.model.vocab_size))


class CorpusRun:
    """An index that proposes."""

    def __init__(self, index: SuffixArray) -> None:
        self._index = index

    def propose(self, rows: Rows, k: int) -> Int[Tensor, "rows k"]:
        """Return up to `k` next tokens for each of these rows, padded with -1."""
        return padded([self._follow(history, k) for history in rows.histories()], k, rows)

    def _follow(self, history: Sequence[int], count: int) -> list[int]:
        first, last, size = self._index.longest(history, _LONGEST)
        return self._index.follow(first, last, size, min(count, size), _LEAST)


def file_of(path: str) -> tuple[str, int, int]:
    """What tells a file, and whether it is still the same one: path, time and size."""
    try:
        found = Path(path).stat()
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    return str(Path(path).resolve()), found.st_mtime_ns, found.st_size


@lru_cache(maxsize=4)
def index_of(
    files: tuple[tuple[str, int, int], ...], vocabulary: Vocabulary, separator: int
) -> SuffixArray:
    """Read files and sort their tokens, those of each file before a separator."""
    tokens: list[int] = []
    for path, _, _ in files:
        tokens += vocabulary.encode(read_text(path))
        tokens.append(separator)
    if len(tokens) == len(files):
        names = ", ".join(path for path, _, _ in files)
        raise OptionError(f"corpus expects files with text; nothing is in {names}", name="corpus")
    return SuffixArray(tokens, separator)


def read_text(path: str) -> str:
    """Return what a file says.

    Raises:
        OptionError: It is unreadable, or no UTF-8.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise _unreadable(path, f"it is no UTF-8 at byte {error.start}") from error


def _unreadable(path: str, why: str) -> OptionError:
    expected = "the path of a UTF-8 text file"
    message = f"corpus expects {expected}; cannot read {path}: {why}"
    return OptionError(message, name="corpus", value=path, expected=expected)
