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
        str | None,
        typer.Option(
            "--detector",
            metavar="NAME",
            help="kgw-watermark, synthid-watermark, …; the mark of --config by default.",
        ),
    ] = None,
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
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            help="Judge a file, or each completion of what generate --json printed; again for "
            "more.",
        ),
    ] = None,
    lines: Annotated[
        bool, typer.Option("--lines", help="Each line that is not empty is a text.")
    ] = False,
    config: Annotated[
        list[Path] | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="Settings in a JSON file, or what generate --json printed; -o goes before.",
        ),
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
    """Say how surely texts carry a mark: a p-value, small where there is one.

    Of the model only the tokenizer is read. A setting must be what it was when the text was made.
    """
    from gpt2sdk.cli.config_file import read_config
    from gpt2sdk.cli.detection_report import judged, report, show_report
    from gpt2sdk.cli.given_options import read_options
    from gpt2sdk.cli.plugin_files import read_plugins, registry_with
    from gpt2sdk.cli.score_report import read_texts
    from gpt2sdk.cli.terminal import remark, show_json
    from gpt2sdk.generator.detecting import detect_all
    from gpt2sdk.generator.marking import as_marked
    from gpt2sdk.loading import Hub, open_model

    found_texts = read_texts(text, file or [], documents=False, empty=True)
    texts = judged(found_texts, lines=lines)
    registry = registry_with(read_plugins(plugin))
    hub = Hub(revision=revision, local_files_only=offline)
    opened = open_model(model, registry=registry, hub=hub)
    preset = read_config(config).preset
    settings = (preset.record or preset.options) if config else None
    name, options = as_marked(settings, detector, read_options(option, {}), registry)
    found = detect_all(
        [content for _, content in texts],
        name,
        options,
        prompt=prompt,
        language=opened.tokenizer(),
        vocab_size=opened.architecture.vocabulary_size(),
        registry=registry,
    )
    detections = found if isinstance(found, list) else [found]
    for note in dict.fromkeys(note for each in detections for note in each.notes):
        remark(f"note: {note}")
    named = [(*each, detection) for each, detection in zip(texts, detections, strict=True)]
    if as_json:
        show_json({"model": model, "detector": name, "detections": report(named)})
    else:
        show_report(named)
