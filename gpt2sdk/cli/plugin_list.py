"""Plugins and what each offers, as JSON and as people read it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import RenderableType
from rich.text import Text

from gpt2sdk.cli.plugin_commands import conflict, home_of, is_in, offered_commands
from gpt2sdk.cli.tables import indented, show, table
from gpt2sdk.plugins.origin import PluginRecord, Status
from gpt2sdk.plugins.registry import Registry

_LISTED_BY_WHAT_THEY_OFFER = ("gpt2sdk_components", "gpt2sdk_cli")
_COLOURS = {Status.ACTIVE: "green", Status.EXCLUDED: "dim"}


@dataclass(frozen=True, slots=True)
class PluginLine:
    """A plugin, as `--json` prints it.

    Attributes:
        name: Its entry point, or the file it is in.
        distribution: What ships it; empty for a file.
        version: That distribution's version.
        status: How it fares.
        reason: Why it is left out, what one of its hooks last raised, or which of its commands
            cannot be called.
        file: The file of its entry module.
        components: What it offers, as `role:name`.
        commands: The commands it adds.
        hooks: The hooks it implements.
    """

    name: str
    distribution: str
    version: str
    status: Status
    reason: str
    file: str
    components: tuple[str, ...]
    commands: tuple[str, ...]
    hooks: tuple[str, ...]


def describe(registry: Registry) -> list[PluginLine]:
    """Return what is known of each plugin, the core first."""
    offered = offered_commands(registry.host)
    return [_line(record, offered, registry) for record in registry.plugins()]


def _line(
    record: PluginRecord, offered: Mapping[str, Sequence[object]], registry: Registry
) -> PluginLine:
    commands = [
        name for name, found in offered.items() if any(is_in(record, home_of(one)) for one in found)
    ]
    conflicts = [
        conflict(name, offered[name], registry.host) for name in commands if len(offered[name]) > 1
    ]
    return PluginLine(
        name=record.origin.plugin,
        distribution=record.origin.distribution,
        version=record.origin.version,
        status=record.status,
        reason="; ".join(filter(None, [record.reason, *conflicts])),
        file=record.file,
        components=record.components,
        commands=tuple(commands),
        hooks=record.hooks,
    )


def show_plugins(lines: Sequence[PluginLine]) -> None:
    """Print a block for each plugin."""
    parts = [part for line in lines for part in _block(line)]
    show(*parts[1:])


def _block(line: PluginLine) -> Iterator[RenderableType]:
    distribution = f"{line.distribution} {line.version}".strip() or "not installed"
    status = (str(line.status), _COLOURS.get(line.status, "red"))
    yield ""
    yield Text.assemble((line.name, "bold"), "  ", distribution, "  ", status)
    if line.reason:
        yield indented(line.reason, 2)
    offered: dict[str, list[str]] = {}
    for component in line.components:
        role, _, name = component.rpartition(":")
        offered.setdefault(role, []).append(name)
    if line.commands:
        offered["command"] = list(line.commands)
    hooks = [hook for hook in line.hooks if hook not in _LISTED_BY_WHAT_THEY_OFFER]
    if hooks:
        offered["hook"] = hooks
    rows = [(role, ", ".join(names)) for role, names in offered.items()]
    if line.file:
        rows.append(("file", line.file))
    if rows:
        yield table([(Text(title, style="dim"), names) for title, names in rows])
