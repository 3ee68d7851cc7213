"""`gpt2sdk detect`: how surely texts carry a mark."""

from pathlib import Path
from typing import Annotated

import typer

from gpt2sdk.cli.parameters import AsJson, Model, Offline, PluginFiles, Revision


def detect(  # noqa: PLR0913 - each is a flag
    model: Model,
    text: Annotated[
        str | None,
        typer.Argument(metavar="TEXT", help="The text to judge; - for standard input."),
    ] = None,
    *,
    detector: Annotated[
        str, typer.Option("--detector", metavar="NAME", help="kgw-watermark, synthid-watermark, …")
    ],
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            "-o",
            metavar="NAME=VALUE",
            help="A setting of the detector, such as hashing_key=7; again for more.",
        ),
    ] = None,
    file: Annotated[
        list[Path] | None,
        typer.Option("--file", "-f", metavar="FILE", help="Judge a file; again for more."),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(
            "--prompt", metavar="TEXT", help="What stood before: context that is not judged."
        ),
    ] = None,
    as_json: AsJson = False,
    plugin: PluginFiles = None,
    revision: Revision = None,
    offline: Offline = False,
) -> None:
    """Say how surely texts carry a mark: a p-value, exact and small where there is one.

    Of the model only the tokenizer is read. A setting must be what it was when the text was made.
    """
    from gpt2sdk.cli.detection_report import report, show_report
    from gpt2sdk.cli.given_options import read_options
    from gpt2sdk.cli.plugin_files import read_plugins, registry_with
    from gpt2sdk.cli.score_report import read_texts
    from gpt2sdk.cli.terminal import show_json
    from gpt2sdk.generator.detecting import detect_all
    from gpt2sdk.loading import Hub, open_model

    texts = read_texts(text, file or [], documents=False)
    registry = registry_with(read_plugins(plugin))
    hub = Hub(revision=revision, local_files_only=offline)
    opened = open_model(model, registry=registry, hub=hub)
    found = detect_all(
        [content for _, content in texts],
        detector,
        read_options(option, {}),
        prompt=prompt,
        language=opened.tokenizer(),
        vocab_size=opened.architecture.vocabulary_size(),
        registry=registry,
    )
    detections = found if isinstance(found, list) else [found]
    named = [(*each, detection) for each, detection in zip(texts, detections, strict=True)]
    if as_json:
        show_json({"model": model, "detector": detector, "detections": report(named)})
    else:
        show_report(named)
