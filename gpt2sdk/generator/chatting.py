"""Chats as a generator takes them: one or several, written by its tokenizer's template."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol, TypeGuard, cast

from gpt2sdk.components.language import Language
from gpt2sdk.errors import OptionError
from gpt2sdk.mention import argument
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


def turn_end(
    language: Language,
    ends: Collection[int],
    *,
    chat_template: str | None = None,
    tools: Sequence[Mapping[str, object]] | None = None,
) -> tuple[int, str] | None:
    """Return the token that ends an answer by the template alone, and a note; `None` for none.

    Args:
        language: The tokenizer.
        ends: The tokens that end texts anyway.
        chat_template: As for `Generator.chat_prompt`.
        tools: As for `Generator.chat_prompt`.
    """
    if not isinstance(language, Tokenizer):
        return None
    found = language.chats.turn_end(chat_template=chat_template, tools=tools)
    if found is None or found[0] in ends:
        return None
    token, text = found
    return token, (
        f"answers end at {text} ({token}), which the chat template writes behind them, though "
        f"neither the tokenizer nor a config names it; {argument('eos_token_id')} says otherwise"
    )


class Answerer(Protocol):
    """Whose answers end somewhere."""

    @property
    def tokenizer(self) -> Language:
        """What writes its prompts."""

    @property
    def eos_token_ids(self) -> frozenset[int]:
        """The tokens that end its texts."""


def answer_ends(answerer: Answerer, chat_template: str | None) -> frozenset[int]:
    """Return the tokens that end answers: those of all texts, and that of the template."""
    ends = answerer.eos_token_ids
    found = turn_end(answerer.tokenizer, ends, chat_template=chat_template)
    return ends if found is None else ends | {found[0]}


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
