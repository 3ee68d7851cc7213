"""`gpt2sdk explain`: what a call with these options would run."""

from typing import Annotated

import typer

from gpt2sdk.cli.parameters import AsJson, Config, Offline, Options, PluginFiles, Revision


def explain(  # noqa: PLR0913 - each is a flag
    model: Annotated[
        str | None,
        typer.Argument(metavar="MODEL", help="A model, for its end tokens; else none is needed."),
    ] = None,
    *,
    option: Options = None,
    config: Config = None,
    prompts: Annotated[
        int, typer.Option("--prompts", metavar="N", min=1, help="How many prompts the call has.")
    ] = 1,
    plugin: PluginFiles = None,
    as_json: AsJson = False,
    revision: Revision = None,
    offline: Offline = False,
) -> None:
    """Say what a call would run, in which order, and why.

    No weights are read.
    """
    from gpt2sdk.cli.config_file import read_config
    from gpt2sdk.cli.explanation_table import as_record, show_explanation
    from gpt2sdk.cli.given_options import read_options
    from gpt2sdk.cli.plugin_files import read_plugins, registry_with
    from gpt2sdk.cli.terminal import show_json
    from gpt2sdk.options import compose
    from gpt2sdk.options import explain as explained

    registry = registry_with(read_plugins(plugin))
    preset = read_config(config).preset
    composition = compose(
        read_options(option, {}), registry=registry, prompts=prompts, config=preset
    )
    if model is not None:
        from gpt2sdk.loading import Hub, open_model

        hub = Hub(revision=revision, local_files_only=offline)
        opened = open_model(model, registry=registry, hub=hub)
        composition = composition.ending_at(opened.end_tokens(opened.tokenizer()).ids)
    explanation = explained(composition, registry)
    if as_json:
        show_json(as_record(explanation))
    else:
        show_explanation(explanation)
