"""The host: loads plugins one by one, and calls their hooks so that none can break another."""

import logging
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from threading import RLock
from typing import Final, Literal, TypeVar

import pluggy

from gpt2sdk import __version__
from gpt2sdk.errors import PluginError, PluginLoadError
from gpt2sdk.plugins.discovery import (
    ALLOW_LIST,
    Candidate,
    allow_list,
    installed,
    matches,
    normalized,
    unmet,
)
from gpt2sdk.plugins.inspection import HookManager, file_of, name_of, said
from gpt2sdk.plugins.origin import Origin, PluginRecord, Status

Observer = Literal[
    "gpt2sdk_model_loaded",
    "gpt2sdk_generation_started",
    "gpt2sdk_generation_finished",
    "gpt2sdk_cli",
]

Request = Literal["gpt2sdk_load_adapter"]

Offering = TypeVar("Offering")

CORE: Final = Origin("gpt2sdk", "gpt2sdk", __version__, "gpt2sdk.defaults")
"""Where the core's own components come from."""
_LOG = logging.getLogger("gpt2sdk.plugins")


class PluginHost:
    """Loads plugins on first use and keeps a record of each.

    A plugin that cannot be used is left out as a whole: it is logged once, as a warning of the
    logger `gpt2sdk.plugins`, and its record says why. One that was handed in raises instead. An
    observer that raises is logged and noted, and the generation goes on: who only watches does
    not decide.
    """

    def __init__(
        self,
        plugins: Sequence[object] = (),
        *,
        discover: bool = True,
        allowed: Collection[str] | None = None,
    ) -> None:
        """Register the plugins that are handed in; installed ones wait for the first use.

        Args:
            plugins: Modules or objects with functions marked `hookimpl`.
            discover: Whether installed plugins are looked for.
            allowed: Entry points or distributions to look at; by default those that the
                environment variable `GPT2SDK_PLUGINS` names, or all where it is not set.

        Raises:
            PluginLoadError: What was handed in is no plugin.
        """
        self._manager = HookManager()
        self._records = {CORE.plugin: PluginRecord(CORE, Status.ACTIVE)}
        self._lock = RLock()
        self._discovered = not discover
        self._allowed = (
            allow_list(os.environ) if allowed is None else frozenset(map(normalized, allowed))
        )
        for number, plugin in enumerate(plugins):
            origin = Origin(name_of(plugin))
            try:
                self._admit(f"{number} {origin.plugin}", plugin, origin)
            except (pluggy.PluginValidationError, ValueError) as error:
                raise _load_error(origin, said(error)) from error

    def records(self) -> tuple[PluginRecord, ...]:
        """What is known of each plugin: the core, handed-in ones, then by distribution."""
        self._discover()
        return tuple(self._records.values())

    def notify(self, observer: Observer, subject: object) -> None:
        """Call every plugin's hook of this name with what it observes or extends.

        What one raises is logged and noted in its record; the others are still called.
        """
        self._discover()
        caller: pluggy.HookCaller = getattr(self._manager.hook, observer)
        for hook in reversed(caller.get_hookimpls()):
            try:
                hook.function(*[subject for _ in hook.argnames])
            except Exception as error:  # noqa: BLE001 - whatever it raised
                reason = f"{observer} raised {said(error)}"
                record = self._records[hook.plugin_name]
                self._records[hook.plugin_name] = replace(record, reason=reason)
                _LOG.warning("the plugin %s: %s", record.origin, reason, exc_info=error)

    def ask(self, request: Request, subjects: Mapping[str, object]) -> bool:
        """Call the plugins' hooks of this name one after another, until one returns true.

        What one raises is the caller's: unlike an observer, it was asked to do something.

        Args:
            request: The hook.
            subjects: Its arguments, by name; a plugin may leave some out.

        Returns:
            Whether one did.
        """
        self._discover()
        caller: pluggy.HookCaller = getattr(self._manager.hook, request)
        return any(
            hook.function(*[subjects[name] for name in hook.argnames])
            for hook in reversed(caller.get_hookimpls())
        )

    def offerings(self, check: Callable[[object], Offering]) -> list[tuple[Origin, Offering]]:
        """Ask every plugin, the core among them, for its components, in the records' order.

        Args:
            check: Turns what a hook returned into what is wanted, or raises.

        Raises:
            PluginLoadError: A plugin that was handed in breaks the contract.
        """
        from gpt2sdk import defaults  # noqa: PLC0415 - it imports torch

        self._discover()
        if not self._manager.is_registered(defaults):
            self._admit(CORE.plugin, defaults, self._records[CORE.plugin].origin)
        offerings: dict[str, tuple[Origin, Offering]] = {}
        for hook in self._manager.hook.gpt2sdk_components.get_hookimpls():
            key, origin = hook.plugin_name, self._records[hook.plugin_name].origin
            try:
                offerings[key] = origin, check(hook.function())
            except (Exception, SystemExit) as error:
                if not origin.distribution:
                    raise _load_error(origin, said(error)) from error
                self._leave_out(key, origin, Status.FAILED, said(error))
        return [offerings[key] for key in self._records if key in offerings]

    def note(self, components: Iterable[tuple[Origin, str]]) -> None:
        """Keep in the records what each plugin offers, as `role:name`."""
        offered: dict[Origin, list[str]] = {}
        for origin, name in components:
            offered.setdefault(origin, []).append(name)
        for key, record in self._records.items():
            names = tuple(sorted(offered.get(record.origin, ())))
            self._records[key] = replace(record, components=names)

    def _discover(self) -> None:
        """Load what is installed, once."""
        with self._lock:
            if self._discovered:
                return
            self._discovered = True
            candidates = installed()
            self._report_missing(candidates)
            admitted = [candidate for candidate in candidates if self._admits(candidate)]
            for candidate in admitted:
                self._load(candidate, [e for e in admitted if e.rivals(candidate)])

    def _report_missing(self, candidates: Sequence[Candidate]) -> None:
        """Report names of the allow-list that no plugin has."""
        allowed = self._allowed or frozenset()
        known = [matches(candidate.origin, allowed) for candidate in candidates]
        for name in sorted(allowed.difference([CORE.plugin], *known)):
            reason = f"{ALLOW_LIST} names it, but it is not installed"
            self._leave_out(f"missing {name}", Origin(name), Status.MISSING, reason)

    def _admits(self, candidate: Candidate) -> bool:
        """Whether the allow-list names a plugin; its record says so where it does not."""
        if self._allowed is None or matches(candidate.origin, self._allowed):
            return True
        reason = f"{ALLOW_LIST} does not name it"
        record = PluginRecord(candidate.origin, Status.EXCLUDED, reason)
        self._records[candidate.key] = record
        return False

    def _load(self, candidate: Candidate, rivals: Sequence[Candidate]) -> None:
        """Import and register an installed plugin, or report why not."""
        key, origin = candidate.key, candidate.origin
        if rivals:
            others = " and ".join(str(rival.origin) for rival in rivals)
            reason = f"{others} has an entry point {origin.plugin} as well: uninstall one"
            self._leave_out(key, origin, Status.CONFLICT, reason)
            return
        needs = unmet(candidate.requires, __version__)
        if needs is not None:
            reason = f"it needs {needs}, and this is gpt2sdk {__version__}"
            self._leave_out(key, origin, Status.INCOMPATIBLE, reason)
            return
        try:
            plugin = candidate.entry_point.load()
            if self._manager.is_registered(plugin):
                twin = str(self._manager.get_name(plugin))
                self._records[twin] = replace(self._records[twin], origin=origin)
            else:
                self._admit(key, plugin, origin)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it raised
            self._leave_out(key, origin, Status.FAILED, said(error))

    def _admit(self, key: str, plugin: object, origin: Origin) -> None:
        """Register a plugin and keep its record."""
        hooks = self._manager.admit(plugin, key)
        self._records[key] = PluginRecord(origin, Status.ACTIVE, file=file_of(plugin), hooks=hooks)

    def _leave_out(self, key: str, origin: Origin, status: Status, reason: str) -> None:
        """Forget a plugin, keep a record of why, and log it."""
        self._manager.dismiss(key)
        record = self._records.get(key, PluginRecord(origin, status))
        self._records[key] = replace(record, status=status, reason=reason)
        _LOG.warning("the plugin %s is left out: %s", origin, reason)


def _load_error(origin: Origin, reason: str) -> PluginError:
    return PluginLoadError(
        f"{origin.plugin} cannot be used as a plugin: {reason}", plugin=origin.plugin
    )


@cache
def default_host() -> PluginHost:
    """Return the host of this process: all installed plugins that `GPT2SDK_PLUGINS` allows."""
    return PluginHost()
