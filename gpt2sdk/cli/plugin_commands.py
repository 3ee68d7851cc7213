"""Commands that plugins add."""

import inspect
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import typer
from typer.main import get_group

from gpt2sdk.errors import PluginConflictError, listing
from gpt2sdk.plugins.host import PluginHost
from gpt2sdk.plugins.origin import PluginRecord

_LOG = logging.getLogger("gpt2sdk.cli")


def plugin_commands(host: PluginHost) -> dict[str, Any]:
    """Return the commands that plugins add, by name.

    One that several plugins add is refused when it is called: who is meant cannot be told.
    """
    return {
        name: found[0] if len(found) == 1 else _refused(conflict(name, found, host))
        for name, found in offered_commands(host).items()
    }


def offered_commands(host: PluginHost) -> dict[str, list[Any]]:
    """Return every command that plugins offer, by name, also those of one name.

    Each is built by itself, so that a mistake in one does the others no harm.
    """
    added = typer.Typer()
    host.notify("gpt2sdk_cli", added)
    commands: dict[str, list[Any]] = {}
    for alone in _one_by_one(added):
        try:
            built = get_group(alone).commands
        except Exception as error:  # noqa: BLE001 - whatever a plugin's command makes typer raise
            _LOG.warning("a plugin's command is left out: %s: %s", type(error).__name__, error)
            continue
        for name, command in built.items():
            commands.setdefault(name, []).append(command)
    return commands


def conflict(name: str, commands: Sequence[object], host: PluginHost) -> str:
    """Say which plugins have one command, and what to do about it."""
    owners = [
        next((str(r.origin) for r in host.records() if is_in(r, home)), home)
        for home in map(home_of, commands)
    ]
    return (
        f"the command {name} is added by {listing(sorted(owners))}: uninstall one, or name in "
        "GPT2SDK_PLUGINS those to use"
    )


def is_in(record: PluginRecord, module: str) -> bool:
    """Whether a module belongs to a plugin: to its package, or it is the plugin."""
    package = record.origin.target.partition(":")[0].partition(".")[0]
    return module == record.origin.plugin or (
        bool(package) and module.partition(".")[0] == package and package != "gpt2sdk"
    )


def home_of(command: object) -> str:
    """Return the module that a command is in; empty where none can be found."""
    callback = getattr(command, "callback", None)
    if inspect.isfunction(callback):
        return callback.__module__
    return next((home_of(each) for each in getattr(command, "commands", {}).values()), "")


def _refused(reason: str) -> object:
    """Return a command that, whatever it is given, only says why it does not run."""
    name = "refused"
    alone = typer.Typer(rich_markup_mode=None)

    @alone.command(
        name,
        help=f"Not to be used: {reason}.",
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
    def refuse() -> None:
        raise PluginConflictError(reason)

    return get_group(alone).commands[name]


def _one_by_one(added: typer.Typer) -> Iterator[typer.Typer]:
    """Give each command, and each group of them, an application of its own."""
    for command in added.registered_commands:
        alone = typer.Typer(rich_markup_mode=None)
        alone.registered_commands = [command]
        yield alone
    for group in added.registered_groups:
        alone = typer.Typer(rich_markup_mode=None)
        alone.registered_groups = [group]
        yield alone
