"""`gpt2sdk info`: what a model is."""

from typing import Annotated

import typer

from gpt2sdk.cli.parameters import AsJson, Model, Offline, PluginFiles, Revision


def info(
    model: Model,
    *,
    shapes: Annotated[
        bool, typer.Option("--shapes", help="Follow the tensors' shapes through the model.")
    ] = False,
    plugin: PluginFiles = None,
    as_json: AsJson = False,
    revision: Revision = None,
    offline: Offline = False,
) -> None:
    """Say what a model is, and what it takes of memory.

    Only the headers of the weights are read.
    """
    from dataclasses import asdict

    from gpt2sdk.cli.model_card import describe, show_card
    from gpt2sdk.cli.model_files import find_model
    from gpt2sdk.cli.plugin_files import read_plugins, registry_with
    from gpt2sdk.cli.shape_walk import show_walk, walk
    from gpt2sdk.cli.terminal import show_json
    from gpt2sdk.gpt2.checkpoint import open_checkpoint

    registry = registry_with(read_plugins(plugin))
    files = find_model(model, registry, revision=revision, offline=offline)
    checkpoint = open_checkpoint(files.source.path)
    card = describe(files, checkpoint)
    walked = walk(checkpoint.config) if shapes else []
    if as_json:
        rows = {"shapes": [asdict(row) for row in walked]} if shapes else {}
        show_json(asdict(card) | rows)
        return
    show_card(card, checkpoint.config)
    if shapes:
        show_walk(walked)
