"""Token ids in the forms other libraries have them, as plain lists."""

from collections.abc import Mapping, Sequence
from typing import SupportsIndex

from numpy import integer, ndarray
from tokenizers import Encoding
from torch import Tensor

from gpt2sdk.errors import OptionError

Ids = Sequence[SupportsIndex] | Tensor | ndarray | Encoding
"""One sequence of token ids."""

TokenInput = Tensor | ndarray | Encoding | Mapping[str, object]
"""What holds token ids without being a list: a tensor or an array of one axis or two, an encoding
of tokenizers, or what a tokenizer of transformers returns."""

_ELSEWHERE = ("inputs_embeds", "position_ids")


def as_lists(given: object, name: str) -> object:
    """Turn tensors, arrays, encodings and tokenizers' batches into lists; leave what else it is.

    Padding, where an attention mask marks it, is left out, wherever it stands.

    Args:
        given: What a caller gave for one text or several.
        name: What it is called in messages.

    Raises:
        OptionError: Numbers are no integers, or a batch cannot be read.

    >>> as_lists({"input_ids": [[0, 5, 6], [7, 8, 9]], "attention_mask": [[0, 1, 1]] * 2}, "prompt")
    [[5, 6], [8, 9]]
    """
    found = given
    if isinstance(given, Mapping):
        found = _read_batch(given, name)
    elif isinstance(given, Encoding):
        found = _kept(given.ids, given.attention_mask, name)
    elif isinstance(given, Tensor | ndarray):
        found = _read_array(given, name)
    elif isinstance(given, integer):
        found = int(given)
    elif isinstance(given, list | tuple):
        found = [as_lists(each, name) for each in given]
    return found


def _read_array(given: Tensor | ndarray, name: str) -> object:
    """Return an array's numbers; one of words is left as it is written."""
    numbers = (
        not given.is_floating_point() if isinstance(given, Tensor) else given.dtype.kind != "f"
    )
    if not numbers or str(given.dtype).removeprefix("torch.") in {"bool", "complex64"}:
        raise OptionError(
            f"{name} has numbers of type {given.dtype}, expected token ids, which are integers",
            name=name,
            value=given,
        )
    return given.tolist()


def _read_batch(given: Mapping[str, object], name: str) -> object:
    """Return the token ids of a tokenizer's batch, without its padding."""
    refused = [key for key in _ELSEWHERE if key in given]
    if "input_ids" not in given or refused:
        what = f"has {refused[0]}" if refused else f"has {', '.join(map(str, given))}"
        raise OptionError(
            f"{name} {what}: expected input_ids, and an attention_mask where they are padded",
            name=name,
            value=given,
        )
    tokens = as_lists(given["input_ids"], name)
    mask = given.get("attention_mask")
    if mask is None:
        return tokens
    return _kept(tokens, as_lists(mask, name), name)


def _kept(tokens: object, mask: object, name: str) -> object:
    """Return the tokens that a mask has ones for, row by row."""
    if isinstance(tokens, list) and isinstance(mask, list) and len(tokens) == len(mask):
        if all(isinstance(each, list) for each in tokens):
            return [_kept(row, its, name) for row, its in zip(tokens, mask, strict=True)]
        if all(each in (0, 1) for each in mask):
            return [token for token, kept in zip(tokens, mask, strict=True) if kept]
    raise OptionError(
        f"{name} has an attention_mask that does not fit its input_ids: expected a 0 or 1 for "
        "each token",
        name=name,
        value=mask,
    )
