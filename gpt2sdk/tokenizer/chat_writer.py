"""Messages to a prompt, by a chat template: special tokens where that writes them, else text."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gpt2sdk.errors import OptionError, listing
from gpt2sdk.mention import argument
from gpt2sdk.tokenizer.chat_files import chosen_name
from gpt2sdk.tokenizer.chat_template import ChatTemplate
from gpt2sdk.tokenizer.stand_ins import StandIns
from gpt2sdk.tokenizer.unicode_text import check_unicode

Message = Mapping[str, object]
"""One turn of a chat: its `role`, its `content`, and whatever else a template reads."""

# Characters for private use: no template asks for them.
_PRIVATE = range(0xF0000, 0xFFFFD)


@dataclass(frozen=True, slots=True)
class ChatPrompt:
    """What a template made of messages.

    Attributes:
        text: The prompt, special tokens spelled out.
        tokens: The prompt as the model reads it.
    """

    text: str
    tokens: tuple[int, ...]


class ChatWriter:
    """Writes prompts for one tokenizer.

    Whether a special token stands there does not depend on what messages say: stand-ins are in the
    template alone, so that it may trim, split and rewrite its messages as it likes. A template that
    puts special tokens together from parts (`'<|' + message['role'] + '|>'`) is run once more with
    messages of other characters, which tells what it wrote by itself.
    """

    def __init__(
        self, stand_ins: StandIns, templates: Mapping[str, str], special_names: Mapping[str, str]
    ) -> None:
        """Keep what templates need.

        Args:
            stand_ins: The tokenizer.
            templates: Its templates, by name.
            special_names: Special tokens by what they are called: `bos_token` and so on.
        """
        self._stand_ins = stand_ins
        self._templates = templates
        self._special = {
            name: stand_ins.names.get(text, text) for name, text in special_names.items()
        }
        self._read: dict[str, ChatTemplate] = {}

    def write(
        self,
        messages: Sequence[Message],
        *,
        chat_template: str | None = None,
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
        tools: Sequence[object] | None = None,
        documents: Sequence[object] | None = None,
        variables: Mapping[str, object] | None = None,
    ) -> ChatPrompt:
        """Make a prompt of messages.

        Args:
            messages: The turns so far.
            chat_template: A template's name or text; by default the tokenizer's own.
            add_generation_prompt: Whether what begins an answer stands at the end.
            continue_final_message: Whether the prompt ends with the last message's text instead,
                and nothing of the template behind it.
            tools: JSON schemas of functions, for templates that tell of them.
            documents: Texts to answer from, likewise.
            variables: What else the template reads, such as `enable_thinking`.

        Raises:
            OptionError: There is no template, it cannot be read, or it refuses the messages; or it
                cannot be told which special tokens are its own, or where the last message ends.
            TokenizerError: The messages hold what is no Unicode text.
        """
        template = self._template(chat_template, tools=bool(tools))
        given: dict[str, object] = {
            "messages": _checked(messages),
            "tools": tools,
            "documents": documents,
        }
        others = {
            **self._special,
            "add_generation_prompt": add_generation_prompt and not continue_final_message,
            **(variables or {}),
        }
        written = template.render({**others, **given})
        check_unicode(written)
        if self._stand_ins.is_broken(written):
            message = "the chat template changes special tokens after it wrote them: give another"
            raise OptionError(message, name="chat_template")
        written = self._settled(written, template, given, others)
        if continue_final_message:
            written = _open_ended(written, messages[-1].get("content"))
        return ChatPrompt(self._stand_ins.take(written), tuple(self._stand_ins.encode(written)))

    def turn_end(
        self, *, chat_template: str | None = None, tools: Sequence[object] | None = None
    ) -> tuple[int, str] | None:
        """Return the special token that a template writes behind an answer, and its text.

        A model that was taught chats ends its answers with it, whether or not a file says so.

        Args:
            chat_template: As for `write`.
            tools: As for `write`.

        Returns:
            `None` where something else stands there, or the template takes no such chat.
        """
        asked, answer = (chr(each) * 3 for each in _PRIVATE[:2])
        turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
        given: dict[str, object] = {"messages": turns, "tools": tools, "documents": None}
        others = {**self._special, "add_generation_prompt": False}
        try:
            template = self._template(chat_template, tools=bool(tools))
            written = self._settled(template.render({**others, **given}), template, given, others)
        except OptionError:
            return None
        _, found, behind = written.rpartition(answer)
        behind = behind.lstrip()
        text = self._stand_ins.begins(behind) if found else None
        return None if text is None else (self._stand_ins.encode(behind)[0], text)

    def _template(self, wanted: str | None, *, tools: bool) -> ChatTemplate:
        name = chosen_name(wanted, self._templates, tools=tools)
        source = wanted if name is None else self._templates[name]
        if source is None:
            raise OptionError(
                f"the tokenizer has no chat template: give {argument('chat_template')} with one, "
                "such as the model's instruct version has in its tokenizer_config.json or "
                "chat_template.jinja, or write the prompt yourself and call generate",
                name="chat_template",
            )
        if name is None and "{" not in source:
            known = listing(list(self._templates)) or "none"
            raise OptionError(
                f"chat_template is {source!r:.60}, expected a template's text or name: {known}",
                name="chat_template",
                value=source,
            )
        if source not in self._read:
            self._read[source] = ChatTemplate(source, self._stand_ins.put)
        return self._read[source]

    def _settled(
        self,
        written: str,
        template: ChatTemplate,
        given: Mapping[str, object],
        others: Mapping[str, object],
    ) -> str:
        """Put stand-ins where a template put special tokens together from parts.

        Raises:
            OptionError: Messages spell out the same, so that nobody knows which is whose.
        """
        found = self._stand_ins.spelled_out(written)
        if not found:
            return written
        try:
            masked = template.render({**others, **_masked(given)})
        except OptionError as error:
            raise self._undecided(found) from error
        own = self._stand_ins.spelled_out(masked)
        if not own:
            return written
        # Others are what messages spell out, and stay text.
        same = [text for text in found if text in own]
        if own != same or any(text in said for said in _texts(given) for text in own):
            raise self._undecided(own)
        return self._stand_ins.put(written, only=own)

    def _undecided(self, found: Sequence[str]) -> OptionError:
        return OptionError(
            f"the chat template puts the special token {found[0]!r} together from parts, and a "
            "message may have written one: leave special tokens out of the messages, or give "
            f"{argument('chat_template')} one that writes them as a whole",
            name="messages",
        )


def _checked(messages: object) -> list[Message]:
    """Make sure that messages are such."""
    example = '{"role": "user", "content": "…"}'
    if isinstance(messages, str | Mapping) or not isinstance(messages, Sequence):
        message = f"messages is {messages!r:.60}, expected a list such as [{example}]"
        raise OptionError(message, name="messages", value=messages)
    if not messages:
        message = f"there are no messages: expected a list such as [{example}]"
        raise OptionError(message, name="messages", value=messages)
    for number, each in enumerate(messages):
        if not isinstance(each, Mapping) or not isinstance(each.get("role"), str):
            message = f"message {number} is {each!r:.60}, expected one such as {example}"
            raise OptionError(message, name="messages", value=each)
    return list(messages)


def _open_ended(written: str, content: object) -> str:
    """Cut a prompt behind the text of its last message, blanks included where they are there.

    >>> _open_ended("user: Who?</s> assistant: The owl</s>", " The owl ")
    'user: Who?</s> assistant: The owl'
    >>> _open_ended("assistant: The owl </s>", "The owl ")
    'assistant: The owl '
    """
    text = content.strip() if isinstance(content, str) else ""
    at = written.rfind(text) if text else -1
    if at < 0:
        message = (
            f"the last message is {content!r:.60}, expected a text that the chat template writes "
            "as it is, to be continued"
        )
        raise OptionError(message, name="continue_final_message", value=content)
    whole = str(content).lstrip()
    return written[: at + len(whole if written.startswith(whole, at) else text)]


def _masked(value: Mapping[str, object]) -> dict[str, object]:
    """Return the same with other characters; roles, names and blanks stay."""
    private = chr(random.SystemRandom().choice(_PRIVATE))

    def mask(each: object) -> object:
        if isinstance(each, str):
            return "".join(letter if letter.isspace() else private for letter in each)
        if isinstance(each, Mapping):
            return {key: part if key == "role" else mask(part) for key, part in each.items()}
        if isinstance(each, Sequence):
            return [mask(part) for part in each]
        return each

    return {key: mask(each) for key, each in value.items()}


def _texts(value: object) -> list[str]:
    """Return all that messages say, roles aside."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        parts = [part for key, part in value.items() if key != "role"]
    else:
        parts = list(value) if isinstance(value, Sequence) else []
    return [text for part in parts for text in _texts(part)]
