"""Commands that plugins add."""

import inspect
import logging
from collections.abc import Iterator
from typing import Any

import typer
from typer.main import get_group

from gpt2sdk.plugins.host import PluginHost

_LOG = logging.getLogger("gpt2sdk.cli")


def plugin_commands(host: PluginHost) -> dict[str, Any]:
    """Return the commands that plugins add, by name; of two with one name, the first.

    Each is built by itself, so that a mistake in one does the others no harm.
    """
    added = typer.Typer()
    host.notify("gpt2sdk_cli", added)
    commands: dict[str, Any] = {}
    for alone in _one_by_one(added):
        try:
            built = get_group(alone).commands
        except Exception as error:  # noqa: BLE001 - whatever a plugin's command makes typer raise
            _LOG.warning("a plugin's command is left out: %s: %s", type(error).__name__, error)
            continue
        for name, command in built.items():
            commands.setdefault(name, command)
    return commands


def home_of(command: object) -> str:
    """Return the module that a command is in; empty where none can be found."""
    callback = getattr(command, "callback", None)
    if inspect.isfunction(callback):
        return callback.__module__
    return next((home_of(each) for each in getattr(command, "commands", {}).values()), "")


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
