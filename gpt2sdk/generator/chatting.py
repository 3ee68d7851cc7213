"""Chats as a generator takes them: one or several, written by its tokenizer's template."""

from collections.abc import Mapping, Sequence
from typing import TypeGuard, cast

from gpt2sdk.components.language import Language
from gpt2sdk.errors import OptionError
from gpt2sdk.tokenizer.chat_writer import ChatPrompt, Message
from gpt2sdk.tokenizer.tokenizer import Tokenizer

Chat = Sequence[Message]
"""The turns of a chat, each with its `role` and `content`."""


def chats_of(messages: Chat | Sequence[Chat]) -> tuple[list[Chat], bool]:
    """Return chats in a list, and whether it is one alone.

    >>> turn = {"role": "user", "content": "Hello"}
    >>> chats_of([turn]) == ([[turn]], True), chats_of([[turn], [turn]]) == ([[turn]] * 2, False)
    (True, True)
    """
    given: object = messages
    if _is_list(given) and len(given) and all(map(_is_list, given)):
        return list(cast("Sequence[Chat]", messages)), False
    return [cast("Chat", messages)], True


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, Sequence) and not isinstance(value, str)


def write_chat(  # noqa: PLR0913 - what templates read
    language: Language,
    messages: Chat,
    *,
    add_generation_prompt: bool = True,
    continue_final_message: bool = False,
    chat_template: str | None = None,
    tools: Sequence[Mapping[str, object]] | None = None,
    documents: Sequence[Mapping[str, object]] | None = None,
    variables: Mapping[str, object] | None = None,
) -> ChatPrompt:
    """Write the prompt of a chat, as `Generator.chat_prompt` says.

    Raises:
        OptionError: The tokenizer is of another kind, and has no templates; or as there.
        TokenizerError: A message is no Unicode text.
    """
    if not isinstance(language, Tokenizer):
        kind = type(language).__name__
        message = f"the tokenizer is a {kind}: expected a gpt2sdk Tokenizer, which reads templates"
        raise OptionError(message, name="chat_template")
    return language.chats.write(
        messages,
        add_generation_prompt=add_generation_prompt,
        continue_final_message=continue_final_message,
        chat_template=chat_template,
        tools=tools,
        documents=documents,
        variables=variables,
    )
