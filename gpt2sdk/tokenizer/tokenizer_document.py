"""`tokenizer.json`: a whole tokenizer in one file, read as the file means it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from gpt2sdk.config_files import read_json
from gpt2sdk.errors import CheckpointError, TokenizerError
from gpt2sdk.tokenizer.added_tokens import fill_vocabulary, in_order

_FLAGS = ("single_word", "lstrip", "rstrip", "normalized")


def read_document(file: Path) -> Tokenizer:
    """Read a `tokenizer.json`.

    Its added tokens have the ids that it states. BPE-dropout, which cuts a text otherwise each
    time (Provilkov et al. 2020, arXiv:1910.13267), is for training, and stays off.

    Raises:
        TokenizerError: If it is no such file, or its added tokens cannot have their ids.
    """
    try:
        document: dict[str, Any] = read_json(file)
    except CheckpointError as error:
        raise TokenizerError(str(error)) from error
    model = document.get("model")
    try:
        if isinstance(model, dict):
            changed = _renumber(document, model)
            if changed or model.get("dropout") is not None:
                model |= {"dropout": None} if "dropout" in model else {}
                return Tokenizer.from_str(json.dumps(document))
        return Tokenizer.from_str(file.read_text(encoding="utf-8-sig"))
    except TokenizerError as error:
        raise TokenizerError(f"{file}: {error}") from error
    except Exception as error:
        # The library raises plain `Exception`.
        reason = next(iter(str(error).splitlines()), "")
        raise TokenizerError(f"{file}: is not a tokenizer's file: {reason}") from error


def _renumber(document: dict[str, Any], model: dict[str, Any]) -> bool:
    """Write the added tokens so that the library gives them the ids that are stated.

    Returns:
        Whether anything had to be written otherwise.

    What is malformed is left as it is: the library's message says where.
    """
    entries, vocab = document.get("added_tokens"), _ids(model.get("vocab"))
    if not (isinstance(entries, list) and vocab and all(map(_is_entry, entries))):
        return False
    present: list[dict[str, Any]] = []
    fresh: list[dict[str, Any]] = []
    for entry in entries:
        known = vocab.get(entry["content"], entry["id"])
        if known != entry["id"]:
            raise TokenizerError(
                f"the added token {entry['content']!r} should be {entry['id']}, but is {known} in "
                "the vocabulary: expected one id for it"
            )
        (present if entry["content"] in vocab else fresh).append(entry)
    count = len(vocab)
    if fresh and isinstance(model["vocab"], dict):
        model["vocab"] = fill_vocabulary(vocab, {each["id"]: each["content"] for each in fresh})
        vocab = model["vocab"]
    inside = [each for each in fresh if vocab.get(each["content"]) == each["id"]]
    behind = [(each["id"], _token(each)) for each in fresh if each not in inside]
    tokens = enumerate(in_order(len(vocab), behind), start=len(vocab))
    ordered = [_entry(number, token) for number, token in tokens]
    document["added_tokens"] = [*present, *inside, *ordered]
    return len(vocab) != count or entries != [*present, *ordered]


def _ids(vocab: object) -> dict[str, int]:
    """Return the ids of a model's tokens; a list of tokens and scores has them in order."""
    if isinstance(vocab, list):
        return {str(item[0]): place for place, item in enumerate(vocab) if item}
    return dict(vocab) if isinstance(vocab, dict) else {}


def _is_entry(entry: object) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("content"), str)
        and isinstance(entry.get("id"), int)
        and all(isinstance(entry.get(flag), bool) for flag in (*_FLAGS, "special"))
    )


def _token(entry: Mapping[str, Any]) -> AddedToken:
    flags = {flag: entry[flag] for flag in _FLAGS}
    return AddedToken(entry["content"], special=entry["special"], **flags)


def _entry(number: int, token: AddedToken) -> dict[str, object]:
    flags = {flag: getattr(token, flag) for flag in _FLAGS}
    return {"id": number, "content": token.content, "special": token.special, **flags}
