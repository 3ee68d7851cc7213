"""Known distributions that are not in use, and what to do about each."""

from collections.abc import Collection, Iterable

from gpt2sdk.plugins.known import COMMANDS, KNOWN
from gpt2sdk.plugins.origin import PluginRecord, Status


def unused(
    records: Iterable[PluginRecord], distributions: Collection[str] = tuple(KNOWN)
) -> dict[str, str]:
    """Return which of these distributions are not in use, each with how to get it or why not.

    Args:
        records: What is known of each plugin.
        distributions: Those that are asked about; all with components by default.
    """
    found = {record.origin.distribution: record for record in records}
    missing = {}
    for distribution in distributions:
        record = found.get(distribution)
        if record is None:
            missing[distribution] = f": pip install {distribution}"
        elif record.status is not Status.ACTIVE:
            missing[distribution] = f", which is left out: {record.reason}"
    return missing


def command_remedy(command: str, records: Iterable[PluginRecord]) -> str:
    """Say how to get a command that a known distribution adds; empty where none does."""
    distribution = COMMANDS.get(command, "")
    reason = unused(records, [distribution]).get(distribution) if distribution else None
    return "" if reason is None else f"it is in {distribution}{reason}"
