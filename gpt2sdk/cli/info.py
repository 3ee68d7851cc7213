"""`gpt2sdk info`: what a model is, and what loading it would do."""

from typing import Annotated

import typer

from gpt2sdk.cli.load_flags import LoadFlags, with_load_flags
from gpt2sdk.cli.parameters import AsJson, LoaderOptions, Model


@with_load_flags
def info(
    model: Model,
    *,
    shapes: Annotated[
        bool, typer.Option("--shapes", help="Follow the tensors' shapes through the model.")
    ] = False,
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Say what loading would take; so do flags about it."),
    ] = False,
    option: LoaderOptions = None,
    as_json: AsJson = False,
    flags: LoadFlags,
) -> None:
    """Say what a model is, and what it takes of memory.

    Only the headers of the weights are read. With --quantization, --placement or --memory it says
    what loading like that would do: which part gets which format, goes where, and why.
    """
    from dataclasses import asdict

    from gpt2sdk.cli.load_options import read_load_options
    from gpt2sdk.cli.load_table import show_plan
    from gpt2sdk.cli.model_card import describe, show_card
    from gpt2sdk.cli.plugin_files import read_plugins, registry_with
    from gpt2sdk.cli.shape_walk import show_walk
    from gpt2sdk.cli.terminal import show_json
    from gpt2sdk.loading import LoadSettings, open_model, plan_load

    registry = registry_with(read_plugins(flags.plugin))
    hub = flags.hub()
    settings = read_load_options(flags, option, registry).settings
    opened = open_model(model, registry=registry, hub=hub)
    card = describe(opened)
    wanted = plan or settings != LoadSettings()
    if not as_json:
        # Before the plan, which may say that it does not fit.
        show_card(card, opened.architecture)
    planned = plan_load(model, settings, hub=hub, registry=registry) if wanted else None
    walked = opened.architecture.shapes() if shapes else []
    if as_json:
        rows = {"shapes": [asdict(row) for row in walked]} if shapes else {}
        steps = {"plan": planned.as_dict()} if planned else {}
        show_json(asdict(card) | rows | steps)
        return
    if planned:
        show_plan(planned)
    if shapes:
        show_walk(walked, list(opened.architecture.parts()))
