"""A call at work: streamed as text, or gathered as JSON."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

import typer

from gpt2sdk.cli.exit_codes import INTERRUPTED
from gpt2sdk.cli.interruption import cancelling
from gpt2sdk.cli.messages import Chats
from gpt2sdk.cli.printer import Printer
from gpt2sdk.cli.terminal import remark, show_json
from gpt2sdk.components.records import Delta, Result
from gpt2sdk.errors import GenerationError
from gpt2sdk.generator.beginning import begin, check_model
from gpt2sdk.generator.generator import Generator
from gpt2sdk.generator.prompts import encode_prompts, encode_text
from gpt2sdk.generator.stream import Stream
from gpt2sdk.options import Composition, Preset


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a call.

    Attributes:
        result: Everything it made.
        failure: What was raised on the way.
        cancelled: Whether the user ended it early.
    """

    result: Result
    failure: GenerationError | None
    cancelled: bool

    def close(self) -> None:
        """Say what ended the call early, if anything did.

        Raises:
            GenerationError: What was raised on the way.
            Exit: The user ended the call.
        """
        if self.failure is not None:
            raise self.failure
        if self.cancelled:
            remark("cancelled")
            raise typer.Exit(INTERRUPTED)


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked of a generator.

    Attributes:
        generator: What runs the call.
        prompts: The prompts' texts.
        composition: What the options come to.
        preset: What of it came from a file.
        allow_special: Whether special tokens in the texts are the tokens they name.
        tokens: The prompts' token ids, where chats were made of them; the texts are what these say.
        chats: These chats, for the record.
        chat_template: The template that was named, likewise.
    """

    generator: Generator
    prompts: Sequence[str]
    composition: Composition
    preset: Preset = field(default_factory=Preset)
    allow_special: bool = False
    tokens: Sequence[Sequence[int]] | None = None
    chats: Chats = ()
    chat_template: str | None = None

    def stream(self, cancel: threading.Event) -> Stream:
        """Begin the call.

        Raises:
            OptionError: The preset is a record of another model's call.
        """
        check_model(self.generator, self.preset)
        language = self.generator.tokenizer
        given: list[str | Sequence[int]] = [
            encode_text(prompt, language, allow_special=True) if self.allow_special else prompt
            for prompt in (self.prompts if self.tokens is None else ())
        ]
        given += self.tokens or ()
        call = begin(
            self.generator,
            encode_prompts(given, language, self.generator.model.vocab_size),
            self.composition,
            engine=None,
            streaming=True,
            cancelled=cancel.is_set,
        )
        return Stream(call.submit(), cancel)


def run(job: Job, watch: Callable[[Delta], None] = lambda _delta: None) -> Outcome:
    """Run a call to its end, whatever ends it.

    Args:
        job: What is asked for.
        watch: Gets every delta as it comes.

    Raises:
        OptionError: An option or a prompt is wrong.
        ContextOverflowError: A prompt, or what it may grow by, exceeds the window.
    """
    cancel = threading.Event()
    failure = None
    with cancelling(cancel):
        stream = job.stream(cancel)
        try:
            for delta in stream:
                watch(delta)
        except GenerationError as error:
            failure = error
    reasons = {completion.finish_reason for completion in stream.result.completions}
    return Outcome(stream.result, failure, cancel.is_set() or "cancelled" in reasons)


def print_text(job: Job, *, samples: Sequence[int], quiet: bool) -> Outcome:
    """Print completions as they are made, then what they cost."""
    printer = Printer(job.prompts, samples)
    outcome = run(job, printer.add)
    printer.end(outcome.result.completions)
    if not quiet:
        remark(costs(outcome.result))
    return outcome


def print_json(job: Job, model: str) -> Outcome:
    """Print everything about a call as one JSON object."""
    outcome = run(job)
    result = outcome.result
    completions = [
        {"prompt": job.prompts[each.prompt_index], **asdict(each)} for each in result.completions
    ]
    record = {
        "model": model,
        "prompts": list(job.prompts),
        "allow_special": job.allow_special,
        **({"messages": job.chats, "chat_template": job.chat_template} if job.chats else {}),
        "completions": completions,
        "usage": asdict(result.usage),
        "options": dict(result.options),
        "record": None if result.record is None else result.record.as_dict(),
    }
    if outcome.failure is not None:
        record["error"] = str(outcome.failure)
    show_json(record)
    return outcome


def costs(result: Result) -> str:
    """Say in one line what a call cost, and how to repeat it.

    >>> from gpt2sdk.components.records import Usage
    >>> costs(Result((), Usage(new_tokens=20, model_calls=9, seconds=0.5, drafted=15, accepted=12)))
    '20 tokens, 40.0 tokens/s, 9 model calls, 12 of 15 drafted tokens accepted'
    """
    usage = result.usage
    said = [f"{usage.new_tokens} tokens"]
    if usage.seconds:
        said.append(f"{usage.new_tokens / usage.seconds:.1f} tokens/s")
    said.append(f"{usage.model_calls} model calls")
    if usage.drafted:
        said.append(f"{usage.accepted} of {usage.drafted} drafted tokens accepted")
    if "seed" in result.options:
        said.append(f"seed {result.options['seed']}")
    return ", ".join(said)
