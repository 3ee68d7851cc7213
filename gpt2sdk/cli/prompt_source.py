"""What `generate` continues: texts or chats, typed, in files, or those of an earlier call."""

from dataclasses import dataclass
from pathlib import Path

from gpt2sdk.cli.config_file import ConfigFile
from gpt2sdk.cli.messages import Chats, read_messages
from gpt2sdk.cli.prompt_files import read_prompts
from gpt2sdk.cli.running import Job
from gpt2sdk.errors import OptionError
from gpt2sdk.generator.chatting import answer_ends, write_chat
from gpt2sdk.generator.generator import Generator
from gpt2sdk.options import Composition, Preset


@dataclass(frozen=True, slots=True)
class Asked:
    """What the flags said of prompts.

    Attributes:
        prompt: The argument.
        file: What `--file` says.
        messages: What `--messages` says.
        chat_template: The template of chats.
        lines: Whether each line is a prompt.
    """

    prompt: str | None = None
    file: Path | None = None
    messages: str | None = None
    chat_template: str | None = None
    lines: bool = False


@dataclass(frozen=True, slots=True)
class PromptSource:
    """Prompts that are read: texts, or else chats.

    Attributes:
        prompts: Texts.
        chats: Chats.
        chat_template: What writes these, where it is not the model's own.
        allow_special: Whether special tokens in the texts are the tokens they name.
    """

    prompts: tuple[str, ...] = ()
    chats: Chats = ()
    chat_template: str | None = None
    allow_special: bool = False

    def __len__(self) -> int:
        return len(self.chats or self.prompts)

    def job(self, generator: Generator, composition: Composition, preset: Preset) -> Job:
        """Return what is asked of a generator.

        Raises:
            OptionError: There is no chat template, or it refuses the messages.
        """
        if not self.chats:
            special = self.allow_special
            return Job(generator, self.prompts, composition, preset, allow_special=special)
        language, template = generator.tokenizer, self.chat_template
        written = [write_chat(language, chat, chat_template=template) for chat in self.chats]
        return Job(
            generator,
            [each.text for each in written],
            composition.ending_at(answer_ends(generator, template)),
            preset,
            tokens=[each.tokens for each in written],
            chats=self.chats,
            chat_template=template,
        )


def read_source(asked: Asked, found: ConfigFile, *, allow_special: bool) -> PromptSource:
    """Read the prompts of a call; those of an earlier one where none are given.

    Args:
        asked: What the flags said.
        found: What `--config` named.
        allow_special: Whether special tokens in texts are tokens.

    Raises:
        OptionError: There are none, or two sources; or what was read is none.
    """
    texts = asked.prompt is not None or asked.file is not None
    if asked.messages is not None:
        if texts or asked.lines:
            message = "--messages has the whole prompt: give no text, --file or --lines beside it"
            raise OptionError(message, name="messages", value=asked.messages)
        return PromptSource(chats=read_messages(asked.messages), chat_template=asked.chat_template)
    if not texts and found.chats:
        template = asked.chat_template or found.chat_template
        return PromptSource(chats=found.chats, chat_template=template)
    if asked.chat_template is not None:
        message = "--chat-template writes chats: give them with --messages"
        raise OptionError(message, name="chat_template", value=asked.chat_template)
    if not texts and found.prompts:
        special = allow_special or found.allow_special
        return PromptSource(found.prompts, allow_special=special)
    prompts = read_prompts(asked.prompt, asked.file, lines=asked.lines)
    return PromptSource(tuple(prompts), allow_special=allow_special)
