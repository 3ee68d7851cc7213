"""`gpt2sdk bench`: how fast a model writes here, and how fast the machine would let it."""

from typing import Annotated

import typer

from gpt2sdk.cli.load_flags import LoadFlags, with_load_flags
from gpt2sdk.cli.parameters import AsJson, Model, Options


@with_load_flags
def bench(  # noqa: PLR0913 - each is a flag
    model: Model,
    *,
    rows: Annotated[
        str, typer.Option("--rows", metavar="N,…", help="How many rows decode together.")
    ] = "1,8,32",
    prompt: Annotated[
        int, typer.Option("--prompt", metavar="N", min=1, help="Tokens of each row's prompt.")
    ] = 32,
    new: Annotated[
        int, typer.Option("--new", metavar="N", min=2, help="Tokens that each row writes.")
    ] = 64,
    long: Annotated[
        int | None,
        typer.Option(
            "--long",
            metavar="N",
            min=0,
            help="Tokens of the prompt whose first token is awaited: 512, or as many as fit; "
            "0 leaves it out.",
        ),
    ] = None,
    rounds: Annotated[
        int, typer.Option("--rounds", metavar="N", min=1, help="Turns of each engine, at most.")
    ] = 7,
    seconds: Annotated[
        float,
        typer.Option("--seconds", metavar="S", min=0, help="No round begins after this long."),
    ] = 120.0,
    option: Options = None,
    as_json: AsJson = False,
    flags: LoadFlags,
) -> None:
    """Measure how fast a model writes here, beside the rate at which memory is read.

    --runner, --quantization and --dtype take several names, with commas between them; `none` is no
    quantization. All combinations take turns, and are compared with the first. With -o it also says
    what a step with these options takes beyond a greedy one.
    """
    from gpt2sdk.benchmark.case import TimedCase
    from gpt2sdk.benchmark.timing import compare
    from gpt2sdk.cli.bench_engines import engine_names, load_engines, read_counts
    from gpt2sdk.cli.bench_report import as_record, show_bench
    from gpt2sdk.cli.given_options import read_options
    from gpt2sdk.cli.load_options import read_load_options
    from gpt2sdk.cli.plugin_files import read_plugins, registry_with
    from gpt2sdk.cli.terminal import remark, show_json
    from gpt2sdk.errors import OptionError
    from gpt2sdk.options import compose

    counts = read_counts(rows)
    plugins = read_plugins(flags.plugin)
    registry = registry_with(plugins)
    wanted = {
        name: read_load_options(each, option, registry, of_calls=True)
        for name, each in engine_names(flags).items()
    }
    options = read_options(next(iter(wanted.values())).rest, {})
    if "max_new_tokens" in options:
        message = "max_new_tokens: --new says how many tokens each row writes"
        raise OptionError(message, name="max_new_tokens")
    # What is wrong with the options is said before a model is loaded.
    for count in counts:
        compose(options, registry=registry, prompts=count)
    settings = {name: each.settings for name, each in wanted.items()}
    engines = load_engines(model, flags, settings, plugins)
    for name, generator in engines.items():
        for note in generator.notes:
            remark(f"note: {name}: {note}")
    cases = [TimedCase(count, prompt, new) for count in counts]
    window = min(each.model.context_length for each in engines.values())
    awaited = min(512, window - 1) if long is None else long
    if awaited:
        cases.append(TimedCase(rows=1, prompt=awaited, new=1))
    found = compare(engines, cases, options=options or None, rounds=rounds, seconds=seconds)
    if as_json:
        show_json(as_record(model, found, option or ()))
    else:
        show_bench(model, found)
