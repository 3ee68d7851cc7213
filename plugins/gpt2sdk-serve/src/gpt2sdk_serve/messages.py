"""The messages of a chat, as templates take them."""

from collections.abc import Mapping, Sequence
from typing import Any

from gpt2sdk_serve.problem import RequestError


def read_messages(given: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return messages whose contents are texts.

    OpenAI's clients may send a content in parts; those that are texts are joined.

    Raises:
        RequestError: A message has no role or no content, or a part is no text.

    >>> read_messages([{"role": "user", "content": [{"type": "text", "text": "Hello"}]}])
    [{'role': 'user', 'content': 'Hello'}]
    """
    messages = []
    for place, message in enumerate(given):
        if not isinstance(message.get("role"), str):
            text = f"messages[{place}] has no role: expected user, assistant or system"
            raise RequestError(text, param="messages")
        if message.get("content") is None and message["role"] != "assistant":
            text = f"messages[{place}] has no content: expected a text"
            raise RequestError(text, param="messages")
        messages.append({**message, "content": _content(message.get("content"), place)})
    return messages


def _content(content: object, place: int) -> str | None:
    if content is None or isinstance(content, str):
        return content
    if not isinstance(content, list):
        text = f"messages[{place}].content is {content!r:.60}, expected a text"
        raise RequestError(text, param="messages")
    parts = []
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        said = part.get("text") if isinstance(part, dict) else None
        if kind != "text" or not isinstance(said, str):
            text = f"messages[{place}].content has a part {kind!r:.60}: these models read texts"
            raise RequestError(text, param="messages", code="unsupported")
        parts.append(said)
    return "".join(parts)
