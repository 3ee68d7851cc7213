"""`gpt2sdk chat`: talk with a model, line by line."""

from typing import Annotated

import typer

from gpt2sdk.cli.load_flags import LoadFlags, with_load_flags
from gpt2sdk.cli.parameters import ChatTemplateFile, Model, Options


@with_load_flags
def chat(  # noqa: PLR0913 - each is a flag
    model: Model,
    *,
    system: Annotated[
        str | None,
        typer.Option("--system", metavar="TEXT", help="What the model is told before the chat."),
    ] = None,
    chat_template: ChatTemplateFile = None,
    max_new_tokens: Annotated[
        int | None,
        typer.Option("--max-new-tokens", metavar="N", help="Most tokens of an answer."),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option("--temperature", metavar="T", help="Below 1 is safer, above 1 is wilder."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", help="The same seed, the same answers.")
    ] = None,
    option: Options = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print answers and errors only.")
    ] = False,
    flags: LoadFlags,
) -> None:
    """Talk with a model: each line is a message, and the answer is printed while it is made.

    /reset begins anew; Ctrl-C ends an answer, and Ctrl-D or the end of the input the chat.
    """
    from gpt2sdk.cli.conversation import Conversation, converse
    from gpt2sdk.cli.given_options import read_options
    from gpt2sdk.cli.load_options import read_load_options
    from gpt2sdk.cli.loaded_generator import load_generator
    from gpt2sdk.cli.messages import read_chat_template
    from gpt2sdk.cli.plugin_files import read_plugins, registry_with
    from gpt2sdk.cli.terminal import remark

    plugins = read_plugins(flags.plugin)
    registry = registry_with(plugins)
    named = {"max_new_tokens": max_new_tokens, "temperature": temperature, "seed": seed}
    how = read_load_options(flags, option, registry, of_calls=True)
    options = read_options(how.rest, named)
    template = read_chat_template(chat_template)
    talk = Conversation(options, registry, system, template)
    # What is wrong with the options is said before a model is loaded.
    talk.composed()
    # What was read of a chat is not read again.
    generator = load_generator(model, flags, how.settings, plugins, "256MB")
    if not quiet:
        for note in generator.notes:
            remark(f"note: {note}")
    converse(talk, generator)
