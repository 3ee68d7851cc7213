"""`gpt2sdk choose`: which of several options follows a prompt."""

from pathlib import Path
from typing import Annotated

import typer

from gpt2sdk.cli.load_flags import LoadFlags, with_load_flags
from gpt2sdk.cli.parameters import AsJson, LoaderOptions, Model


@with_load_flags
def choose(  # noqa: PLR0913 - each is a flag
    model: Model,
    prompt: Annotated[
        str,
        typer.Argument(
            metavar="PROMPT",
            help="What the options follow; - for standard input, nothing with --file.",
        ),
    ],
    options: Annotated[
        list[str],
        typer.Argument(metavar="OPTION...", help="Two texts or more, each with its first blank."),
    ],
    *,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", metavar="FILE", help="Read the prompt from a file."),
    ] = None,
    lines: Annotated[
        bool, typer.Option("--lines", help="Each line of the input is a prompt.")
    ] = False,
    normalization: Annotated[
        str,
        typer.Option(
            "--normalization", metavar="NAME", help="Compare by sum, or mean per token or byte."
        ),
    ] = "sum",
    as_json: AsJson = False,
    option: LoaderOptions = None,
    flags: LoadFlags,
) -> None:
    """Say how likely each option is to follow a prompt, without generating.

    Options stand behind the prompt as they are written: ' yes', with its blank.
    """
    from gpt2sdk.cli.decisions import report, show_decisions
    from gpt2sdk.cli.load_options import read_load_options
    from gpt2sdk.cli.loaded_generator import load_generator
    from gpt2sdk.cli.plugin_files import read_plugins, registry_with
    from gpt2sdk.cli.prompt_files import read_prompts
    from gpt2sdk.cli.terminal import remark, show_json
    from gpt2sdk.generator.choosing import normalization_of

    by = normalization_of(normalization)
    if file is None:
        prompts = read_prompts(prompt, None, lines=lines)
    else:
        # The parser cannot know that the prompt is elsewhere, and took the first option for it.
        prompts, options = read_prompts(None, file, lines=lines), [prompt, *options]
    plugins = read_plugins(flags.plugin)
    how = read_load_options(flags, option, registry_with(plugins))
    generator = load_generator(model, flags, how.settings, plugins)
    decisions = generator.choose(prompts, options, normalization=by)
    for note in generator.notes:
        remark(f"note: {note}")
    if as_json:
        show_json({"model": model, "decisions": report(prompts, decisions)})
    else:
        show_decisions(prompts, decisions)
