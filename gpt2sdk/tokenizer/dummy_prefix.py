"""The blank that many tokenizers put before a text, and texts behind others must not have."""

import json
from typing import Any

from tokenizers import Tokenizer


def without_prefix(library: Tokenizer) -> Tokenizer | None:
    """Return a copy of a tokenizer that puts no blank before a text.

    SentencePiece calls it the dummy prefix. It is put there by a normalizer (`Prepend`), or by
    what cuts texts into words (`Metaspace`, `ByteLevel`).

    Args:
        library: The tokenizer.

    Returns:
        The copy; `None` where no blank is put there anyway.
    """
    parts = (library.normalizer, library.pre_tokenizer)
    if not any(map(_changes, map(_written, parts))):
        return None
    written: dict[str, Any] = json.loads(library.to_str())
    for place in ("normalizer", "pre_tokenizer"):
        written[place] = _without(written[place])
    return Tokenizer.from_str(json.dumps(written))


def _written(part: object) -> Any:  # noqa: ANN401 - as JSON has it
    state = None if part is None else part.__getstate__()
    return json.loads(state) if isinstance(state, bytes | str) else None


def _changes(part: Any) -> bool:  # noqa: ANN401 - as JSON has it
    return bool(_without(part) != part)


def _without(part: Any) -> Any:  # noqa: ANN401 - as JSON has it
    """Return a normalizer or pre-tokenizer without its blank.

    >>> _without({"type": "Metaspace", "prepend_scheme": "first", "split": False})
    {'type': 'Metaspace', 'prepend_scheme': 'never', 'split': False}
    >>> _without({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}]})
    {'type': 'Sequence', 'normalizers': []}
    """
    if not isinstance(part, dict):
        return part
    kind = part.get("type")
    if kind == "Sequence":
        return {
            key: [_without(each) for each in value if _stays(each)]
            if isinstance(value, list)
            else value
            for key, value in part.items()
        }
    if kind == "Metaspace":
        return part | {"prepend_scheme": "never"}
    if kind == "ByteLevel":
        return part | {"add_prefix_space": False}
    return part if _stays(part) else None


def _stays(part: Any) -> bool:  # noqa: ANN401 - as JSON has it
    return not (isinstance(part, dict) and part.get("type") == "Prepend")
