"""`gpt2sdk info`: what a model is."""

from typing import Annotated

import typer

from gpt2sdk.cli.parameters import AsJson, Model, Offline, PluginFiles, Revision


def info(
    model: Model,
    *,
    shapes: Annotated[
        bool, typer.Option("--shapes", help="Follow the shapes of the tensors through the model.")
    ] = False,
    plugin: PluginFiles = None,
    as_json: AsJson = False,
    revision: Revision = None,
    offline: Offline = False,
) -> None:
    """Say what a model is: its sizes, its tokenizer and what it takes of memory.

    Only the headers of the weights are read.
    """
    from dataclasses import asdict

    from gpt2sdk.cli.model_card import read_card, show_card
    from gpt2sdk.cli.model_files import find_model
    from gpt2sdk.cli.plugin_files import read_plugins, registry_with
    from gpt2sdk.cli.terminal import show_json

    registry = registry_with(read_plugins(plugin))
    files = find_model(model, registry, revision=revision, offline=offline)
    card = read_card(files)
    if as_json:
        show_json(asdict(card))
    else:
        show_card(card, files.config)
