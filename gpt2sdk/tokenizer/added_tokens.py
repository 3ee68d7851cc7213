"""Added tokens: which number each has, whatever order and gaps the files have.

The `tokenizers` library numbers added tokens itself, one after another from the end of the
vocabulary, and passes over the ids that a file states. So here they come in the order of their
ids, and what is missing between them is filled with placeholders, named as llama.cpp names them:
`[PAD50260]`. A placeholder is a special token that no text becomes and that has no text.
"""

from collections.abc import Iterable, Mapping
from itertools import pairwise

from tokenizers import AddedToken, Tokenizer

from gpt2sdk.errors import TokenizerError

_MOST_MISSING = 2**16


def placeholder(token: int) -> str:
    """Return the name of an id that no token has.

    >>> placeholder(50260)
    '[PAD50260]'
    """
    return f"[PAD{token}]"


def fill_vocabulary(vocab: Mapping[str, int], named: Mapping[int, str]) -> dict[str, int]:
    """Give every id up to the highest a token: the library counts tokens where it needs the next.

    Args:
        vocab: Ids by token.
        named: Added tokens by id; one whose id is missing gets its place.

    Raises:
        TokenizerError: If too many ids are missing.

    >>> fill_vocabulary({"a": 0, "b": 3}, {1: "<s>", 4: "<pad>"})
    {'a': 0, 'b': 3, '<s>': 1, '[PAD2]': 2}
    """
    last = max(vocab.values(), default=-1)
    if last + 1 == len(vocab):
        return dict(vocab)
    _check_missing(last + 1 - len(vocab), last)
    present = set(vocab.values())
    missing = [token for token in range(last + 1) if token not in present]
    return dict(vocab) | {named.get(token) or placeholder(token): token for token in missing}


def in_order(first: int, stated: Iterable[tuple[int, AddedToken]]) -> list[AddedToken]:
    """Return tokens so that the library gives each the id that is stated for it.

    Args:
        first: The id that the library gives next.
        stated: Ids, `first` or higher, each once, and their tokens.

    Raises:
        TokenizerError: If an id is stated twice, is another token's, or is far from the others.

    >>> [str(added) for added in in_order(5, [(8, AddedToken("b")), (6, AddedToken("a"))])]
    ['[PAD5]', 'a', '[PAD7]', 'b']
    """
    listed = sorted(stated, key=lambda item: item[0])
    ids = [first - 1, *(token for token, _ in listed)]
    tokens: list[AddedToken] = []
    for (before, token), (_, added) in zip(pairwise(ids), listed, strict=True):
        if token <= before:
            raise TokenizerError(
                f"the added token {added.content!r} should be {token}, but that is another "
                "token's id: its files belong to different tokenizers"
            )
        _check_missing(token - before - 1, token)
        tokens += (
            AddedToken(placeholder(missing), normalized=False, special=True)
            for missing in range(before + 1, token)
        )
        tokens.append(added)
    return tokens


def add_in_order(library: Tokenizer, stated: Iterable[tuple[int, AddedToken]]) -> None:
    """Add tokens under the ids that are stated for them.

    One that the library knows already, under this id, becomes special if it is so here.

    Raises:
        TokenizerError: If an id is not to be had.
    """
    known = library.get_added_tokens_decoder()
    fresh: list[tuple[int, AddedToken]] = []
    for token, added in stated:
        present = library.token_to_id(added.content)
        if present is None:
            fresh.append((token, added))
            continue
        if present != token:
            raise TokenizerError(
                f"the added token {added.content!r} should be {token}, but is {present}: its "
                "files belong to different tokenizers"
            )
        if token not in known or (added.special and not known[token].special):
            library.add_tokens([added])
    # At once: the library prepares itself anew each time.
    library.add_tokens(in_order(library.get_vocab_size(with_added_tokens=True), fresh))


def _check_missing(count: int, token: int) -> None:
    if count > _MOST_MISSING:
        raise TokenizerError(
            f"token {token} stands behind {count} ids without a token: expected at most "
            f"{_MOST_MISSING}; the file is damaged"
        )
