"""`gpt2sdk generate`: continue prompts."""

from pathlib import Path
from typing import Annotated

import typer

from gpt2sdk.cli.load_flags import LoadFlags, with_load_flags
from gpt2sdk.cli.parameters import AsJson, ChatTemplateFile, Config, Model, Options


@with_load_flags
def generate(  # noqa: PLR0913 - each is a flag
    model: Model,
    prompt: Annotated[
        str | None,
        typer.Argument(metavar="PROMPT", help="The text to continue; - for standard input."),
    ] = None,
    *,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", metavar="FILE", help="Read the prompt from a file."),
    ] = None,
    lines: Annotated[
        bool, typer.Option("--lines", help="Each line of the input is a prompt.")
    ] = False,
    allow_special: Annotated[
        bool,
        typer.Option(
            "--allow-special", help="Special tokens in a prompt are tokens, not ordinary text."
        ),
    ] = False,
    messages: Annotated[
        str | None,
        typer.Option(
            "--messages",
            metavar="FILE",
            help="Answer the chat of a JSON file, or a list of them; - for standard input.",
        ),
    ] = None,
    chat_template: ChatTemplateFile = None,
    max_new_tokens: Annotated[
        int | None,
        typer.Option("--max-new-tokens", metavar="N", help="Most tokens to add to a prompt."),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option("--temperature", metavar="T", help="Below 1 is safer, above 1 is wilder."),
    ] = None,
    top_k: Annotated[
        int | None, typer.Option("--top-k", metavar="K", help="Draw from the K likeliest tokens.")
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option("--top-p", metavar="P", help="Draw from the likeliest tokens of mass P."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", help="The same seed, the same text.")
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option("--strategy", metavar="NAME", help="How text grows: sample, greedy, …"),
    ] = None,
    num_return_sequences: Annotated[
        int | None,
        typer.Option(
            "--num-return-sequences", "-n", metavar="N", help="Completions of each prompt."
        ),
    ] = None,
    prefix_cache: Annotated[
        str | None,
        typer.Option(
            "--prefix-cache",
            metavar="SIZE",
            help="Read what prompts begin with alike once; so much may be kept: 256MB.",
        ),
    ] = None,
    option: Options = None,
    config: Config = None,
    as_json: AsJson = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print the text and errors only.")
    ] = False,
    flags: LoadFlags,
) -> None:
    """Continue a prompt, and print the text while it is made.

    Several completions (--lines, -n) are printed one after another.
    """
    from gpt2sdk.cli.config_file import read_config
    from gpt2sdk.cli.given_options import read_options
    from gpt2sdk.cli.load_options import read_load_options
    from gpt2sdk.cli.loaded_generator import load_generator
    from gpt2sdk.cli.messages import read_chat_template
    from gpt2sdk.cli.plugin_files import read_plugins, registry_with
    from gpt2sdk.cli.prompt_source import Asked, read_source
    from gpt2sdk.cli.running import print_json, print_text
    from gpt2sdk.cli.terminal import remark
    from gpt2sdk.generator.beginning import runtime_versions
    from gpt2sdk.options import compose

    plugins = read_plugins(flags.plugin)
    registry = registry_with(plugins)
    named = {
        "max_new_tokens": max_new_tokens,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "seed": seed,
        "strategy": strategy,
        "num_return_sequences": num_return_sequences,
    }
    how = read_load_options(flags, option, registry, of_calls=True)
    options = read_options(how.rest, named)
    found = read_config(config)
    asked = Asked(prompt, file, messages, read_chat_template(chat_template), lines=lines)
    source = read_source(asked, found, allow_special=allow_special)
    # What is wrong with the options is said before a model is loaded.
    composition = compose(options, registry=registry, prompts=len(source), config=found.preset)
    generator = load_generator(model, flags, how.settings, plugins, prefix_cache)
    if not quiet:
        versions = {**runtime_versions(), **composition.versions}
        for note in (*generator.notes, *found.changes(versions)):
            remark(f"note: {note}")
        if composition.logprobs is not None and not as_json:
            remark("note: log-probabilities are recorded, and --json prints them")
    job = source.job(generator, composition, found.preset)
    samples = [composition.lead_of(index).num_return_sequences for index in range(len(source))]
    outcome = print_json(job, model) if as_json else print_text(job, samples=samples, quiet=quiet)
    if not quiet:
        for note in outcome.result.notes:
            remark(f"note: {note}")
    outcome.close()
