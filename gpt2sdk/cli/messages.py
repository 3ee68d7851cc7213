"""Chats on the command line: messages in a JSON file, and the template that writes them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeGuard

from gpt2sdk.cli.prompt_files import read_text
from gpt2sdk.errors import OptionError

Chats = Sequence[Sequence[Mapping[str, object]]]
"""The messages of one chat or several."""

_EXAMPLE = '[{"role": "user", "content": "…"}]'


def read_messages(source: str) -> Chats:
    """Read the chats of a JSON file; `-` is standard input.

    It holds a list of messages, a list of such lists, or an object with `messages`, as servers are
    sent it.

    Raises:
        OptionError: It is no JSON, or something else.
    """
    text = read_text(source)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        message = f"--messages {source}: expected JSON: {error}"
        raise OptionError(message, name="messages", value=source) from None
    found = found.get("messages") if isinstance(found, dict) else found
    chats = found if isinstance(found, list) and _lists(found) else [found]
    if not are_chats(chats):
        message = f"--messages {source}: expected {_EXAMPLE} or a list of such; got {text!r:.60}"
        raise OptionError(message, name="messages", value=source)
    return chats


def read_chat_template(given: str | None) -> str | None:
    """Return a chat template's text, where a file was named; else what was given: a name.

    Raises:
        OptionError: The file is not UTF-8.
    """
    return read_text(given) if given is not None and Path(given).is_file() else given


def are_chats(found: object) -> TypeGuard[Chats]:
    """Whether something is a list of chats.

    >>> are_chats([[{"role": "user", "content": "Hello"}]]), are_chats([[]]), are_chats("Hello")
    (True, False, False)
    """
    return isinstance(found, list) and all(
        isinstance(chat, list) and chat and _are_messages(chat) for chat in found
    )


def _lists(found: list[object]) -> bool:
    return bool(found) and all(isinstance(each, list) for each in found)


def _are_messages(chat: list[object]) -> bool:
    return all(isinstance(each, dict) and isinstance(each.get("role"), str) for each in chat)
