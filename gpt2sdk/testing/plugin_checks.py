"""Checks of a whole plugin: how it loads, and the conformance of every component it offers."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gpt2sdk.errors import OptionError, listing
from gpt2sdk.options.owners import CHAIN_ROLES, is_shared
from gpt2sdk.options.settings import Settings
from gpt2sdk.plugins.contract import role_name
from gpt2sdk.plugins.discovery import matches, normalized
from gpt2sdk.plugins.origin import Origin, PluginRecord, Status
from gpt2sdk.plugins.registry import Offer, Registry
from gpt2sdk.spelling import likely
from gpt2sdk.testing.conformance import check_title, findings
from gpt2sdk.testing.examples import example_of

_HEAVY = ("torch", "transformers", "pydantic")
_NAMED = re.compile(r"[a-z][a-z0-9_]*(\.[A-Za-z0-9_]+)*")


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """What one check found.

    Attributes:
        subject: The component, or the plugin.
        role: What that is; `plugin` for the plugin.
        check: What was checked, in words joined by underscores.
        passed: Whether the promise is kept; `None` where it was not tried.
        message: What was found, or why it was not tried; empty where all is well.
    """

    subject: str
    role: str
    check: str
    passed: bool | None
    message: str = ""


def find_plugin(registry: Registry, name: str) -> PluginRecord:
    """Return the record of a plugin.

    Args:
        registry: Where to look.
        name: Its entry point, its distribution, or the file that it is in.

    Raises:
        OptionError: There is none of this name.
    """
    records = registry.plugins()
    wanted = frozenset({normalized(name)})
    for record in records:
        origin = record.origin
        if matches(origin, wanted) or origin.plugin in (name, f"{name}.py"):
            return record
    raise OptionError(_no_plugin(name, registry), name="name", value=name)


def _no_plugin(name: str, registry: Registry) -> str:
    """Say what may have been meant by a name that no plugin has."""
    message = f"there is no plugin {name!r}"
    if name.endswith(".py") or "/" in name:
        return f"{message}: check a file with --plugin {name}, and its name without a folder"
    offers = registry.named(name)
    if offers:
        return f"{message}: it is {listing(list(map(str, offers)))}, whose plugin is checked"
    records = registry.plugins()
    names = {record.origin.plugin for record in records}
    near = likely(name, names | {record.origin.distribution for record in records} - {""}, 1)
    if near:
        return f"{message}: did you mean {near[0]}?"
    return f"{message}: there are {listing(sorted(record.origin.qualifier for record in records))}"


def check_plugin(
    registry: Registry, name: str, values: Mapping[str, Mapping[str, object]] | None = None
) -> list[CheckOutcome]:
    """Check a plugin and all that it offers.

    Args:
        registry: Where to find it.
        name: Its entry point, its distribution, or the file that it is in.
        values: Options to check components with, by component; see `example_of` for the others.

    Raises:
        OptionError: There is no such plugin, or it has none of these components.
    """
    record = find_plugin(registry, name)
    offers = [offer for offer in registry.offers() if offer.origin == record.origin]
    values = values or {}
    unknown = sorted(values.keys() - {offer.name for offer in offers})
    if unknown:
        message = f"{record.origin} has no component {unknown[0]}"
        raise OptionError(message, name=unknown[0])
    found = list(_of_plugin(record, offers, registry))
    for offer in offers:
        found += _of_component(offer, values.get(offer.name, {}))
    return found


def _of_plugin(
    record: PluginRecord, offers: Sequence[Offer], registry: Registry
) -> Iterator[CheckOutcome]:
    """Check how a plugin loads, and whether its names are its own."""

    def outcome(check: str, fault: str) -> CheckOutcome:
        return CheckOutcome(record.origin.plugin, "plugin", check, not fault, fault)

    active = record.status is Status.ACTIVE
    yield outcome("it_is_loaded", "" if active and not record.reason else record.reason)
    if not active:
        return
    yield outcome("its_entry_module_is_light", _weight(record.origin))
    twins = [
        str(rival)
        for offer in offers
        for rival in registry.named(offer.name, *offer.roles)
        if rival.origin != record.origin
    ]
    fault = f"{listing(twins)} has the same name: users have to write both parts" if twins else ""
    yield outcome("its_names_are_its_own", fault)
    yield outcome("its_options_are_its_own", "; ".join(_taken_options(offers, registry)))


def _taken_options(offers: Sequence[Offer], registry: Registry) -> Iterator[str]:
    """Yield what is wrong with options that make a name ambiguous which something else has.

    Those of processors and criteria are given by their names alone, in every call.
    """
    chain = [offer for offer in offers if set(offer.roles) & set(CHAIN_ROLES)]
    for offer, option in (
        (each, option) for each in chain for option in each.component.option_names()
    ):
        if option in Settings.model_fields:
            yield f"{offer.name}.{option} is an option of every call: call it otherwise"
            continue
        having = registry.having(option, *CHAIN_ROLES)
        rivals = [str(each) for each in having if each.origin != offer.origin]
        if rivals and not is_shared(option, having):
            yield (
                f"{offer.name}.{option} is an option of {listing(rivals)} too: with both installed "
                f"{option}=… alone is ambiguous for everybody; call it otherwise, as in "
                f"{offer.name}_{option}"
            )


def _weight(origin: Origin) -> str:
    """Say what heavy modules an entry module imports, in a process of its own; empty for none."""
    module = origin.target.partition(":")[0]
    if not _NAMED.fullmatch(module) or module.partition(".")[0] == "gpt2sdk":
        return ""
    program = f"import sys, {module}; print(*(m for m in {_HEAVY!r} if m in sys.modules))"
    path = os.pathsep.join(filter(None, sys.path))
    run = subprocess.run(  # noqa: S603 - a module's name, and nothing else
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if run.returncode:
        return f"{module} cannot be imported alone: {run.stderr.strip().splitlines()[-1]}"
    heavy = run.stdout.split()
    where = "import components in gpt2sdk_components, so that no command waits for them"
    return f"{module} imports {listing(heavy)}: {where}" if heavy else ""


def _of_component(offer: Offer, values: Mapping[str, object]) -> Iterator[CheckOutcome]:
    """Run every check of a component, on a value with which it does something."""
    role = ", ".join(map(role_name, offer.roles))
    try:
        component = example_of(offer.component, values)
    except OptionError as error:
        yield CheckOutcome(offer.name, role, "all", None, str(error))
        return
    for check, fault, _ in findings(component):
        yield CheckOutcome(offer.name, role, check_title(check), not fault, fault)
