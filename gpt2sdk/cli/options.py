"""`gpt2sdk options`: every option there is, or one in detail."""

from typing import Annotated

import typer

from gpt2sdk.cli.parameters import AsJson, PluginFiles


def options(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="An option, a component or a role, in detail."),
    ] = None,
    *,
    plugin: PluginFiles = None,
    as_json: AsJson = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print a JSON Schema of all options of a call.")
    ] = False,
) -> None:
    """List the options of a call, by what has them.

    `component.option` always says which is meant; the last part is enough where it is clear.
    """
    from dataclasses import asdict

    from gpt2sdk.cli.option_tables import show_details, show_options, show_role
    from gpt2sdk.cli.plugin_files import read_plugins, registry_with
    from gpt2sdk.cli.terminal import show_json
    from gpt2sdk.options import json_schema, option_records, role_asked_for

    registry = registry_with(read_plugins(plugin))
    if schema:
        show_json(json_schema(registry))
        return
    records = option_records(registry, name)
    if as_json:
        show_json([asdict(record) for record in records])
    elif name is None:
        show_options(records, registry)
    elif (role := role_asked_for(name)) and not any(each.name == name for each in records):
        show_role(role, records, registry)
    else:
        show_details(name, records, registry)
