"""Flags that a command does not have: how what was meant is written."""

from collections.abc import Collection, Sequence
from pathlib import Path

from gpt2sdk.cli.flags import behind_o, flag
from gpt2sdk.cli.plugin_files import read_plugins, registry_with
from gpt2sdk.components.component import Component
from gpt2sdk.components.placement import Placement
from gpt2sdk.components.quantizer import Quantizer
from gpt2sdk.generator.load_words import LOADS_ELSEWHERE
from gpt2sdk.options import (
    CALLS_ELSEWHERE,
    CHAIN_ROLES,
    NAMED_ROLES,
    called_here,
    is_option,
)
from gpt2sdk.plugins.registry import Registry

_OF_CALLS = frozenset({"generate", "chat", "explain"})
# Where options of calls stand behind `-o`, and no preset is read.
_DRAWN_FROM = frozenset({"bench", "chat", "next-token"})
# What holds components, which nobody types.
_LISTS = frozenset({"processors", "stopping"})


def advice(written: str, command: str, flags: Collection[str], args: Sequence[str]) -> str:
    """Say how an option is written that was taken for a flag; empty where it is none.

    Args:
        written: The flag, such as `--num-beams`.
        command: The command that does not have it.
        flags: Those that it has.
        args: All that was typed.

    Raises:
        GPT2SDKError: Plugins cannot be asked, or their files cannot be read.
    """
    of_calls, loads = command in _OF_CALLS, "--quantization" in flags
    if "-o" not in flags or not (of_calls or loads):
        return ""
    name, registry = written.lstrip("-").replace("-", "_"), _registry(flags, args)
    if name == "config":
        instead = "; give options with -o" if command in _DRAWN_FROM else ""
        return f"{command} has no --config: presets are for generate, explain and detect{instead}"
    found = LOADS_ELSEWHERE.get(name) if loads else None
    hint = found.hint if found else ""
    if not found and _is_known(name, registry, of_calls=of_calls, loads=loads):
        return f"{written} is an option and no flag: write {behind_o(name, _value(written, args))}"
    if not found and of_calls:
        found = CALLS_ELSEWHERE.get(name)
        hint = called_here(name, registry) or registry.remedy(name)
    here = [_way(each, flags) for each in (found.here if found else ()) if each not in _LISTS]
    ways = f" ({', '.join(here)})" if here else ""
    return f"there is no {written}: {hint}{ways}" if hint else ""


def _is_known(name: str, registry: Registry, *, of_calls: bool, loads: bool) -> bool:
    """Whether a command takes an option behind `-o`."""
    roles: list[type[Component]] = [*CHAIN_ROLES, *NAMED_ROLES] if of_calls else []
    roles += [Quantizer, Placement] if loads else []
    of_roles = bool(registry.having(name.rpartition(".")[2], *roles))
    return (of_calls or of_roles) and is_option(name, registry, *roles)


def _registry(flags: Collection[str], args: Sequence[str]) -> Registry:
    """Return what is installed, and what the files bring that were typed behind `--plugin`."""
    typed = _values("--plugin", args) if "--plugin" in flags else []
    return registry_with(read_plugins([Path(file) for file in typed]))


def _value(written: str, args: Sequence[str]) -> str:
    """Return what was typed behind a flag; dots where nothing was.

    >>> _value("--stop", ["generate", "--stop", "The end"]), _value("--min-p", ["--min-p=0.1"])
    ('The end', '0.1')
    >>> _value("--min-p", ["--min-p", "--json"])
    '…'
    """
    return next(iter(_values(written, args)), "…")


def _values(written: str, args: Sequence[str]) -> list[str]:
    """Return what was typed behind a flag each time.

    >>> _values("--plugin", ["--plugin", "a.py", "Once", "--plugin=b.py", "--plugin"])
    ['a.py', 'b.py']
    """
    found = []
    for place, typed in enumerate(args):
        name, _, value = typed.partition("=")
        if name == written:
            behind = args[place + 1 : place + 2]
            found.append(value or "".join(each for each in behind if not each.startswith("--")))
    return [value for value in found if value]


def _way(name: str, flags: Collection[str]) -> str:
    """Write an argument as a command has it: one that has no flag for it, behind `-o`."""
    own = flag(name)
    return own if own in flags or not own.startswith("--") else f"-o {name}="
