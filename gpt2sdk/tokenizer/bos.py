"""Whether texts begin with the bos token, as a tokenizer's files of any age say it."""

import json
from collections.abc import Mapping

from tokenizers import Tokenizer

_PROBE = "a"


def adds_bos(library: Tokenizer, bos: str | None, settings: Mapping[str, object]) -> bool:
    """Say whether the tokenizer of these files puts the bos token before a text.

    `tokenizer_config.json` says it with `add_bos_token`. transformers 5 writes a template into
    `tokenizer.json` instead, and lets that win.

    Args:
        library: The tokenizer.
        bos: The text of its bos token; `None` if there is none.
        settings: What `tokenizer_config.json` holds.
    """
    token = None if bos is None else library.token_to_id(bos)
    if token is None:
        return False
    return settings.get("add_bos_token") is True or _begins_with(library, token)


def with_bos(library: Tokenizer, bos: str) -> str:
    """Return the text of a `tokenizer.json` whose template begins with the bos token.

    Args:
        library: The tokenizer.
        bos: The text of its bos token.
    """
    written, token = library.to_str(), library.token_to_id(bos)
    if token is None or _begins_with(library, token):
        return written
    values = json.loads(written)
    before = values.get("post_processor")
    template = _template(bos, token)
    values["post_processor"] = (
        template if before is None else {"type": "Sequence", "processors": [before, template]}
    )
    return json.dumps(values, ensure_ascii=False)


def _begins_with(library: Tokenizer, token: int) -> bool:
    plain = library.encode(_PROBE, add_special_tokens=False).ids
    whole = library.encode(_PROBE, add_special_tokens=True).ids
    # A template may as well put something behind a text.
    return [token, *plain] == whole[: len(plain) + 1]


def _template(bos: str, token: int) -> dict[str, object]:
    def special(number: int) -> dict[str, object]:
        return {"SpecialToken": {"id": bos, "type_id": number}}

    def text(name: str, number: int) -> dict[str, object]:
        return {"Sequence": {"id": name, "type_id": number}}

    return {
        "type": "TemplateProcessing",
        "single": [special(0), text("A", 0)],
        "pair": [special(0), text("A", 0), special(1), text("B", 1)],
        "special_tokens": {bos: {"id": bos, "ids": [token], "tokens": [bos]}},
    }
