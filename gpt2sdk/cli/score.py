"""`gpt2sdk score`: how likely texts are to a model."""

from pathlib import Path
from typing import Annotated

import typer

from gpt2sdk.cli.load_flags import LoadFlags, with_load_flags
from gpt2sdk.cli.parameters import AsJson, LoaderOptions, Model


@with_load_flags
def score(  # noqa: PLR0913 - each is a flag
    model: Model,
    text: Annotated[
        str | None,
        typer.Argument(metavar="TEXT", help="The text to score; - for standard input."),
    ] = None,
    *,
    file: Annotated[
        list[Path] | None,
        typer.Option("--file", "-f", metavar="FILE", help="Score a file; again for more."),
    ] = None,
    documents: Annotated[
        bool,
        typer.Option("--documents", help="Score what <|endoftext|> separates one by one."),
    ] = False,
    window: Annotated[
        int | None,
        typer.Option("--window", metavar="N", help="Most tokens that a prediction sees."),
    ] = None,
    stride: Annotated[
        int | None,
        typer.Option("--stride", metavar="N", help="Tokens scored with each window but the first."),
    ] = None,
    bos: Annotated[
        bool, typer.Option("--bos/--no-bos", help="Put the bos token before each text.")
    ] = True,
    context: Annotated[
        str | None,
        typer.Option(
            "--context", metavar="TEXT", help="What stands before each text, and is not scored."
        ),
    ] = None,
    tokens: Annotated[
        bool, typer.Option("--tokens", help="Show each token with its log-probability.")
    ] = False,
    as_json: AsJson = False,
    option: LoaderOptions = None,
    flags: LoadFlags,
) -> None:
    """Say how likely texts are: bits per byte and perplexity.

    Less is likelier. A text longer than the window is read in windows that overlap.
    """
    from gpt2sdk.cli.load_options import read_load_options
    from gpt2sdk.cli.loaded_generator import load_generator
    from gpt2sdk.cli.plugin_files import read_plugins, registry_with
    from gpt2sdk.cli.score_report import as_read, read_texts, report, show_report
    from gpt2sdk.cli.terminal import remark, show_json

    texts = read_texts(text, file or [], documents=documents)
    plugins = read_plugins(flags.plugin)
    how = read_load_options(flags, option, registry_with(plugins))
    generator = load_generator(model, flags, how.settings, plugins)
    scores = generator.score(
        as_read(texts, generator.tokenizer, generator.end_tokens),
        window=window,
        stride=stride,
        bos=bos,
        context=context,
    )
    for note in generator.notes:
        remark(f"note: {note}")
    if bos and not context and generator.tokenizer.bos_token_id is None:
        remark("note: there is no bos token, so the first token of each text is not scored")
    named = [(*text, each) for text, each in zip(texts, scores, strict=True)]
    if as_json:
        show_json({"model": model, "scores": report(named, tokens=tokens)})
    else:
        show_report(named, tokens=tokens)
