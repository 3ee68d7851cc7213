"""`gpt2sdk plugins`: what is installed, and how it fares; `plugins check`: what it promises."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typing_extensions import override

from gpt2sdk.cli.exit_codes import FAILED
from gpt2sdk.cli.parameters import AsJson, PluginFiles

ComponentOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        "-o",
        metavar="COMPONENT.NAME=VALUE",
        help="An option to check a component with; again for more.",
    ),
]


class PluginCommands(TyperGroup):
    """Lists plugins where no command is named."""

    @override
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        asked = not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names)
        return super().parse_args(ctx, ["list", *args] if asked else args)


def plugins(*, plugin: PluginFiles = None, as_json: AsJson = False) -> None:
    """List plugins and what each offers; broken ones say why.

    The environment variable GPT2SDK_PLUGINS=a,b allows only those; empty, it allows none.
    """
    from dataclasses import asdict

    from gpt2sdk.cli.logs import unsaid
    from gpt2sdk.cli.plugin_files import read_plugins, registry_with
    from gpt2sdk.cli.plugin_list import describe, show_plugins
    from gpt2sdk.cli.terminal import show_json

    with unsaid():
        described = describe(registry_with(read_plugins(plugin)))
    if as_json:
        show_json([asdict(line) for line in described])
    else:
        show_plugins(described)


def check(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="An entry point, a distribution, or a file's name."),
    ],
    *,
    option: ComponentOptions = None,
    plugin: PluginFiles = None,
    as_json: AsJson = False,
) -> None:
    """Run the conformance checks on every component of a plugin.

    Each is checked with the values that its fields state as examples, or with some that their
    types take. The exit code is 0 where every promise is kept, else 1.
    """
    from dataclasses import asdict

    from gpt2sdk.cli.logs import unsaid
    from gpt2sdk.cli.plugin_files import read_plugins, registry_with
    from gpt2sdk.cli.plugin_outcomes import component_values, show_outcomes
    from gpt2sdk.cli.terminal import show_json
    from gpt2sdk.testing.plugin_checks import check_plugin

    with unsaid():
        registry = registry_with(read_plugins(plugin))
        found = check_plugin(registry, name, component_values(option, registry))
    if as_json:
        show_json([asdict(each) for each in found])
    else:
        show_outcomes(found)
    if any(each.passed is False for each in found):
        raise typer.Exit(FAILED)
