"""A chat with whoever types: messages from standard input, answers as they are made."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gpt2sdk.cli.running import Job, Outcome, run
from gpt2sdk.cli.terminal import fail, remark, write
from gpt2sdk.errors import ContextOverflowError, OptionError
from gpt2sdk.generator.chatting import answer_ends, write_chat
from gpt2sdk.generator.generator import Generator
from gpt2sdk.options import Composition, compose
from gpt2sdk.plugins.registry import Registry

RESET = "/reset"


@dataclass(slots=True)
class Conversation:
    """What was said, and how answers are made.

    Attributes:
        options: The options of each call.
        registry: What they name.
        system: What the model is told before the chat.
        chat_template: The template, where it is not the model's own.
        messages: The turns so far, without `system`.
    """

    options: Mapping[str, object]
    registry: Registry
    system: str | None = None
    chat_template: str | None = None
    messages: list[dict[str, object]] = field(default_factory=list)

    def composed(self) -> Composition:
        """Return what the options come to; each answer has a seed of its own if none is given.

        Raises:
            OptionError: One is wrong, or asks for several answers.
        """
        composition = compose(dict(self.options), registry=self.registry, prompts=1)
        count = composition.lead_of(0).num_return_sequences
        if count != 1:
            message = f"num_return_sequences is {count}, expected 1: a chat goes on from one answer"
            raise OptionError(message, name="num_return_sequences", value=count)
        return composition

    def job(self, generator: Generator) -> Job:
        """Return what an answer to the last message is asked with.

        Raises:
            OptionError: There is no template, or it refuses the messages.
        """
        told: list[dict[str, object]] = (
            [] if self.system is None else [{"role": "system", "content": self.system}]
        )
        chat = [*told, *self.messages]
        prompt = write_chat(generator.tokenizer, chat, chat_template=self.chat_template)
        composition = self.composed().ending_at(answer_ends(generator, self.chat_template))
        return Job(generator, [prompt.text], composition, tokens=[prompt.tokens])

    def say(self, role: str, content: str) -> None:
        """Add a turn."""
        self.messages.append({"role": role, "content": content})


def converse(talk: Conversation, generator: Generator) -> None:
    """Answer messages until there are no more.

    Raises:
        OptionError: The template refuses the messages.
        ContextOverflowError: The chat got too long, and nobody is there to begin anew.
        GenerationError: Something raised.
    """
    # Whether there is a template that takes such messages is said before anything is typed.
    talk.say("user", "…")
    talk.job(generator)
    talk.messages.clear()
    for line in _lines():
        if line.strip() == RESET:
            talk.messages.clear()
            remark("the chat begins anew")
        elif line.strip():
            _answer(talk, generator, line)


def _answer(talk: Conversation, generator: Generator, line: str) -> None:
    talk.say("user", line)
    try:
        outcome = run(talk.job(generator), lambda delta: write(delta.text))
    except ContextOverflowError as error:
        if not sys.stdin.isatty():
            raise
        talk.messages.pop()
        fail(f"{error}; {RESET} begins anew")
        return
    write("\n")
    talk.say("assistant", _written(outcome))
    if outcome.failure is not None:
        raise outcome.failure


def _written(outcome: Outcome) -> str:
    return "".join(each.text for each in outcome.result.completions)


def _lines() -> Iterator[str]:
    """Yield what is typed, or what standard input holds."""
    if not sys.stdin.isatty():
        for line in sys.stdin:
            yield line.removesuffix("\n").removesuffix("\r")
        return
    while True:
        try:
            yield input("> ")
        except EOFError:
            write("\n")
            return
