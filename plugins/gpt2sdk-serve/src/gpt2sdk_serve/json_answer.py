"""JSON as it is sent: valid whatever texts hold."""

import json

from starlette.responses import Response
from typing_extensions import override


def to_json(value: object) -> bytes:
    """Return a value as JSON; half characters, which UTF-8 has no bytes for, become `?`.

    >>> to_json({"text": "né"}).decode()
    '{"text":"né"}'
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


class JSONAnswer(Response):
    """An answer in JSON."""

    media_type = "application/json"

    @override
    def render(self, content: object) -> bytes:
        return to_json(content)
