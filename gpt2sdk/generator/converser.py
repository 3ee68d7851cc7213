"""What answers in a chat: messages in, the next one out."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, overload

from gpt2sdk.components.call_record import CallRecord
from gpt2sdk.components.records import Result
from gpt2sdk.generator.chatting import Chat, chats_of, turn_end, write_chat
from gpt2sdk.generator.holder import ModelHolder
from gpt2sdk.generator.prompts import PromptInput
from gpt2sdk.session.engine import Engine


class Converser(ModelHolder, ABC):
    """Takes part in chats, as its model's template writes them."""

    eos_token_ids: frozenset[int]

    @abstractmethod
    def generate(
        self,
        prompt: PromptInput,
        *,
        cancel: threading.Event | None = None,
        engine: Engine | None = None,
        config: CallRecord | Mapping[str, object] | None = None,
        **options: object,
    ) -> Result:
        """Continue prompts and return everything at once."""

    @overload
    def chat_prompt(
        self,
        messages: Chat,
        *,
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
        chat_template: str | None = None,
        tools: Sequence[Mapping[str, object]] | None = None,
        documents: Sequence[Mapping[str, object]] | None = None,
        chat_template_kwargs: Mapping[str, object] | None = None,
        tokenize: Literal[True] = True,
    ) -> list[int]: ...

    @overload
    def chat_prompt(
        self,
        messages: Chat,
        *,
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
        chat_template: str | None = None,
        tools: Sequence[Mapping[str, object]] | None = None,
        documents: Sequence[Mapping[str, object]] | None = None,
        chat_template_kwargs: Mapping[str, object] | None = None,
        tokenize: Literal[False],
    ) -> str: ...

    def chat_prompt(  # noqa: PLR0913 - what templates read
        self,
        messages: Chat,
        *,
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
        chat_template: str | None = None,
        tools: Sequence[Mapping[str, object]] | None = None,
        documents: Sequence[Mapping[str, object]] | None = None,
        chat_template_kwargs: Mapping[str, object] | None = None,
        tokenize: bool = True,
    ) -> list[int] | str:
        """Write the prompt of a chat: what `generate`, `stream` and `score` take.

        Special tokens are tokens where the template writes them. What messages spell out is text,
        so nobody ends a turn or begins another one from within. The template says whether a bos
        token stands at the beginning; none is added to token ids.

        Args:
            messages: The turns so far: `{"role": "user", "content": "…"}` and so on.
            add_generation_prompt: Whether what begins an answer stands at the end.
            continue_final_message: Whether the prompt ends within the last message instead, behind
                its text: what is generated goes on with it.
            chat_template: A Jinja template, or the name of one of the tokenizer's; by default its
                own: `chat_template` in `tokenizer_config.json`, or `chat_template.jinja`.
            tools: JSON schemas of functions, for templates that tell of them.
            documents: Texts to answer from, likewise.
            chat_template_kwargs: What else the template reads, such as `enable_thinking`.
            tokenize: Whether token ids are returned; otherwise the text, with special tokens
                spelled out. That is for looking at: as a prompt, these would be text.

        Raises:
            OptionError: There is no template, it cannot be read, or it refuses the messages.
            TokenizerError: A message is no Unicode text.
        """
        written = write_chat(
            self.tokenizer,
            messages,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=continue_final_message,
            chat_template=chat_template,
            tools=tools,
            documents=documents,
            variables=chat_template_kwargs,
        )
        return list(written.tokens) if tokenize else written.text

    def chat(  # noqa: PLR0913 - what makes the prompt, and what runs it
        self,
        messages: Chat | Sequence[Chat],
        *,
        continue_final_message: bool = False,
        chat_template: str | None = None,
        tools: Sequence[Mapping[str, object]] | None = None,
        documents: Sequence[Mapping[str, object]] | None = None,
        chat_template_kwargs: Mapping[str, object] | None = None,
        cancel: threading.Event | None = None,
        engine: Engine | None = None,
        config: CallRecord | Mapping[str, object] | None = None,
        **options: object,
    ) -> Result:
        """Answer a chat, or several at once, and return everything.

        An answer also ends at the special token that the template writes behind answers, where that
        is no end token by the model's files; `Result.notes` says so. Otherwise it is
        `generate(chat_prompt(messages), …)`; `stream(chat_prompt(messages), …)` yields the
        answer as it becomes certain.

        Args:
            messages: The turns so far, or a list of chats.
            continue_final_message: As for `chat_prompt`: the last message is how the answer begins.
            chat_template: As for `chat_prompt`.
            tools: As for `chat_prompt`.
            documents: As for `chat_prompt`.
            chat_template_kwargs: As for `chat_prompt`.
            cancel: As for `generate`.
            engine: As for `generate`.
            config: As for `generate`.
            options: As for `generate`.

        Raises:
            OptionError: As for `chat_prompt` and `generate`.
            ContextOverflowError: A chat, or what it may grow by, exceeds the window.
            GenerationError: Something raised while generating; `.partial` has what was made.
        """
        chats, single = chats_of(messages)
        prompts = [
            self.chat_prompt(
                each,
                continue_final_message=continue_final_message,
                chat_template=chat_template,
                tools=tools,
                documents=documents,
                chat_template_kwargs=chat_template_kwargs,
            )
            for each in chats
        ]
        prompt = prompts[0] if single else prompts
        notes: tuple[str, ...] = ()
        if config is None and "eos_token_id" not in options:
            ends = self.eos_token_ids
            found = turn_end(self.tokenizer, ends, chat_template=chat_template, tools=tools)
            if found is not None:
                options["eos_token_id"], notes = sorted({*ends, found[0]}), (found[1],)
        result = self.generate(prompt, cancel=cancel, engine=engine, config=config, **options)
        return replace(result, notes=(*result.notes, *notes)) if notes else result
