"""A byte-level BPE in two files: the vocabulary, and the merges that make its tokens."""

from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import TypeGuard

from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

from gpt2sdk.config_files import read_json
from gpt2sdk.errors import CheckpointError, TokenizerError
from gpt2sdk.tokenizer.added_tokens import fill_vocabulary

_PRE_TOKENIZER = pre_tokenizers.ByteLevel(add_prefix_space=False)
_DECODER = decoders.ByteLevel()
_ALPHABET = frozenset(pre_tokenizers.ByteLevel.alphabet())


def read_byte_pairs(
    vocab_file: Path, merges_file: Path, added: Mapping[int, str], special: Container[str]
) -> Tokenizer:
    """Build GPT-2's tokenizer of `vocab.json` and `merges.txt`.

    Empty lines and comments among the merges are passed over. A comment is a line that begins
    with `#` and is no merge; `# #` may be one.

    Args:
        vocab_file: Ids by token, as JSON.
        merges_file: One merge a line: two tokens and a space between them.
        added: The added tokens by id; like special ones, no merge has to make them.
        special: The texts of special tokens.

    Raises:
        TokenizerError: If a file is no such thing, or if merges are missing: where a token of the
            vocabulary could come of merges, and does not, the file was cut short.
    """
    ids = _vocabulary(vocab_file)
    try:
        text = merges_file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TokenizerError(f"{merges_file}: cannot be read as UTF-8 text: {error}") from error
    merges = list(_merges(merges_file, text, ids))
    made = {left + right for left, right in merges}
    _check_complete(
        merges_file,
        {
            text: token
            for text, token in ids.items()
            if not (text in made or text in special or added.get(token) == text)
        },
    )
    try:
        filled = fill_vocabulary(ids, added)
    except TokenizerError as error:
        raise TokenizerError(f"{vocab_file}: {error}") from error
    library = Tokenizer(BPE(vocab=filled, merges=merges))
    # One of its own: a library shares what it is given, and folders may set its prefix space.
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    return library


def _vocabulary(file: Path) -> dict[str, int]:
    try:
        vocab = read_json(file)
    except CheckpointError as error:
        raise TokenizerError(str(error)) from error
    ids = {text: token for text, token in vocab.items() if _is_id(token)}
    wrong = next((text for text in vocab if text not in ids), None)
    if wrong is not None:
        raise TokenizerError(
            f"{file}: is not a tokenizer's file: the token {wrong!r} has the id {vocab[wrong]!r}, "
            "expected a whole number of 0 or more"
        )
    return ids


def _is_id(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32


def _merges(file: Path, text: str, ids: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        parts = line.split()
        if len(parts) == 2 and parts[0] in ids and parts[1] in ids and "".join(parts) in ids:
            yield parts[0], parts[1]
        elif parts and not line.startswith("#"):
            raise TokenizerError(
                f"{file}: is not a tokenizer's file: line {number} is {line!r:.60}, expected two "
                "tokens of the vocabulary that are a third when joined"
            )


def _check_complete(file: Path, unmade: Mapping[str, int]) -> None:
    """Make sure that merges make every token that they could make.

    In GPT-2's own vocabulary that is every token but the 256 bytes and `<|endoftext|>`. Special
    tokens, and what fairseq fills its table with (`madeupword0000`), are several words: no merge
    could make them.

    Args:
        file: Where the merges are from.
        unmade: Ids by token, of the tokens that no merge makes.
    """
    orphans = [text for text in unmade if _could_be_merged(text)]
    if orphans:
        first = min(orphans, key=unmade.__getitem__)
        raise TokenizerError(
            f"{file}: no merge makes {len(orphans)} tokens of the vocabulary, such as {first!r} "
            f"({unmade[first]}): the file was cut short, fetch it again; tokens that are to be "
            "found as they are spelled belong into added_tokens.json"
        )


def _could_be_merged(text: str) -> bool:
    """Whether a token is two bytes or more, all of one word.

    >>> [_could_be_merged(text) for text in ("Ġthe", "Ã", "<s>", "madeupword0000")]
    [True, False, False, False]
    """
    if len(text) < 2 or not _ALPHABET.issuperset(text):
        return False
    return len(_PRE_TOKENIZER.pre_tokenize_str(_DECODER.decode([text]))) == 1
