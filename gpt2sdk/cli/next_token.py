"""`gpt2sdk next-token`: which tokens may follow a prompt, and how likely they are."""

from pathlib import Path
from typing import Annotated

import typer

from gpt2sdk.cli.load_flags import LoadFlags, with_load_flags
from gpt2sdk.cli.parameters import AsJson, Model, Options


@with_load_flags
def next_token(  # noqa: PLR0913 - each is a flag
    model: Model,
    prompt: Annotated[
        str | None,
        typer.Argument(metavar="PROMPT", help="What the token follows; - for standard input."),
    ] = None,
    *,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", metavar="FILE", help="Read the prompt from a file."),
    ] = None,
    top: Annotated[
        int,
        typer.Option("--top", metavar="N", min=1, help="How many of the likeliest tokens to name."),
    ] = 10,
    lines: Annotated[
        bool, typer.Option("--lines", help="Each line of the input is a prompt.")
    ] = False,
    option: Options = None,
    as_json: AsJson = False,
    flags: LoadFlags,
) -> None:
    """Say which tokens may follow a prompt, and how likely each is, without generating.

    It is the model's own distribution, or with -o what a call with these options draws from.
    """
    from gpt2sdk.cli.given_options import read_options
    from gpt2sdk.cli.load_options import read_load_options
    from gpt2sdk.cli.loaded_generator import load_generator
    from gpt2sdk.cli.next_token_table import report, show_next_tokens
    from gpt2sdk.cli.plugin_files import read_plugins, registry_with
    from gpt2sdk.cli.prompt_files import read_prompts
    from gpt2sdk.cli.terminal import remark, show_json
    from gpt2sdk.generator.peeking import check_chain, check_options
    from gpt2sdk.options import compose

    plugins = read_plugins(flags.plugin)
    registry = registry_with(plugins)
    how = read_load_options(flags, option, registry, of_calls=True)
    options = read_options(how.rest, {})
    prompts = read_prompts(prompt, file, lines=lines)
    # What is wrong with the options is said before a model is loaded.
    check_options(options, top)
    check_chain(compose(options, registry=registry, prompts=len(prompts)))
    generator = load_generator(model, flags, how.settings, plugins)
    answer = generator.next_token(prompts, n=top, **options)
    found = answer if isinstance(answer, list) else [answer]
    for note in generator.notes:
        remark(f"note: {note}")
    if as_json:
        show_json({"model": model, "next_tokens": report(prompts, found)})
    else:
        show_next_tokens(prompts, found)
