"""The registry: every component that is installed, by role, by name and by option."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from threading import RLock
from typing import TypeVar, cast

from typing_extensions import override

from gpt2sdk.components.component import Component
from gpt2sdk.errors import OptionError, PluginConflictError, PluginError, listing
from gpt2sdk.plugins.contract import component_classes, role_name, roles_of
from gpt2sdk.plugins.discovery import normalized
from gpt2sdk.plugins.host import PluginHost, default_host
from gpt2sdk.plugins.known import KNOWN
from gpt2sdk.plugins.origin import Origin, PluginRecord
from gpt2sdk.plugins.unused import unused
from gpt2sdk.spelling import likely

C = TypeVar("C", bound=Component)

# More names than these are no question any more, but a list.
_FEW = 3


@dataclass(frozen=True, slots=True)
class Offer:
    """A component that a plugin offers.

    Attributes:
        component: Its class.
        origin: Where it comes from.
        roles: What it can be; most have one role.
    """

    component: type[Component]
    origin: Origin
    roles: tuple[type[Component], ...]

    @property
    def name(self) -> str:
        """What users call it."""
        return self.component.name

    @override
    def __str__(self) -> str:
        return f"the {role_name(self.roles[0])} {self.name} of {self.origin}"


class Registry:
    """Every component, found when one is first looked for and the same ever after.

    Attributes:
        host: What loaded the plugins, and notifies their observers.
    """

    def __init__(
        self,
        plugins: Sequence[object] = (),
        *,
        discover: bool = True,
        allowed: Collection[str] | None = None,
        host: PluginHost | None = None,
    ) -> None:
        """Make a registry of the core's components, installed ones and those handed in.

        Args:
            plugins: Modules or objects with functions marked `hookimpl`.
            discover: Whether installed plugins are looked for.
            allowed: Entry points or distributions to look at; by default those that the
                environment variable `GPT2SDK_PLUGINS` names, or all where it is not set.
            host: What has loaded plugins already, in place of all these.

        Raises:
            PluginLoadError: What was handed in is no plugin.
        """
        self.host = host or PluginHost(plugins, discover=discover, allowed=allowed)
        self._offers: tuple[Offer, ...] | None = None
        self._by_option: dict[str, tuple[Offer, ...]] = {}
        self._collecting = False
        self._lock = RLock()

    def offers(self, *roles: type[Component]) -> tuple[Offer, ...]:
        """Return what is offered in any of these roles, or in all, by name and distribution."""
        self._collect()
        return _in(roles, self._offers or ())

    def plugins(self) -> tuple[PluginRecord, ...]:
        """What is known of each plugin, with what it offers."""
        self._collect()
        return self.host.records()

    def find(self, role: type[C], name: str) -> type[C]:
        """Return the component of this role and name.

        Args:
            role: `Strategy`, `Sampler` and so on.
            name: In either spelling, `prompt_lookup` or `prompt-lookup`; where two distributions
                use one name, `distribution:name`.

        Raises:
            OptionError: There is none of this name.
            PluginConflictError: Several plugins have one.
        """
        found = self.named(name, role)
        if not found:
            raise self._unknown(role, name)
        if len(found) > 1:
            raise conflict(name, found)
        return cast("type[C]", found[0].component)

    def named(self, name: str, *roles: type[Component]) -> tuple[Offer, ...]:
        """Return what has this name, in either spelling, in any of these roles."""
        qualifier, _, plain = name.rpartition(":")
        plain = plain.replace("-", "_")
        return tuple(
            offer
            for offer in self.offers(*roles)
            if offer.name == plain
            and (not qualifier or normalized(offer.origin.qualifier) == normalized(qualifier))
        )

    def having(self, option: str, *roles: type[Component]) -> tuple[Offer, ...]:
        """Return what has this option, in any of these roles, or in all."""
        self._collect()
        return _in(roles, self._by_option.get(option, ()))

    def origin(self, component: type[Component]) -> Origin | None:
        """Return where a component class comes from; `None` for one that no plugin offers."""
        return next((o.origin for o in self.offers() if o.component is component), None)

    def class_named(self, name: str) -> type[Component] | None:
        """Return the component whose class has this name; `None` if there is none.

        Raises:
            PluginConflictError: Several plugins have one.
        """
        found = [offer for offer in self.offers() if offer.component.__name__ == name]
        if len(found) > 1:
            raise conflict(name, found)
        return found[0].component if found else None

    def remedy(self, name: str) -> str:
        """Say how to get what a distribution that is not in use is known to have.

        Args:
            name: A component's name or class, or an option; empty where none is known to have it.
        """
        for distribution, reason in self._unused().items():
            if name in KNOWN[distribution].split():
                return f"it is in {distribution}{reason}"
        return ""

    def nearest(self, name: str, names: Iterable[str]) -> str:
        """Ask whether one of these names was meant, else one of a distribution not in use.

        Empty where none is near.
        """
        near = likely(name, names)
        if not near:
            elsewhere = {word for unused in self._unused() for word in KNOWN[unused].split()}
            found = likely(name, elsewhere, 1)
            near = [f"{word} ({self.remedy(word)})" for word in found]
        return f"did you mean {' or '.join(near)}?" if near else ""

    def advice(self, class_name: str) -> str:
        """Say what may help where there is no component class of this name."""
        classes = {offer.component.__name__ for offer in self.offers()}
        hint = self.remedy(class_name) or self.nearest(class_name, classes)
        return f": {hint}" if hint else ""

    def _unused(self) -> dict[str, str]:
        """Return the known distributions that are not in use, and what to do about each."""
        return unused(self.host.records())

    def _unknown(self, role: type[Component], name: str) -> OptionError:
        names = sorted({offer.name for offer in self.offers(role)})
        spelled = name.rpartition(":")[2].replace("-", "_")
        hint = self.remedy(spelled) or self.nearest(spelled, names) or _in_part(spelled, names)
        if not hint:
            hint = f"there are {listing(names)}" if names else "none is installed"
        option = role_name(role)
        return OptionError(
            f"there is no {option} {name!r}: {hint}", name=option, value=name, expected=hint
        )

    def _collect(self) -> None:
        """Ask the plugins for their components, once."""
        with self._lock:
            if self._offers is not None:
                return
            if self._collecting:
                raise PluginError("a plugin looked for components while it was being loaded")
            self._collecting = True
            try:
                self._offers = self._collected()
            finally:
                self._collecting = False

    def _collected(self) -> tuple[Offer, ...]:
        found: dict[type[Component], Offer] = {}
        for origin, components in self.host.offerings(component_classes):
            for component in components:
                offer = Offer(component, origin, roles_of(component))
                found.setdefault(component, offer)
        offers = sorted(found.values(), key=lambda offer: (offer.name, str(offer.origin)))
        self.host.note(
            (offer.origin, f"{role_name(role)}:{offer.name}")
            for offer in offers
            for role in offer.roles
        )
        by_option: dict[str, list[Offer]] = {}
        for offer in offers:
            for option in offer.component.option_names():
                by_option.setdefault(option, []).append(offer)
        self._by_option = {option: tuple(owners) for option, owners in by_option.items()}
        return tuple(offers)


def _in(roles: Collection[type[Component]], offers: Sequence[Offer]) -> tuple[Offer, ...]:
    """Return those of the offers that have one of these roles; all where none is given."""
    return tuple(offer for offer in offers if not roles or set(roles) & set(offer.roles))


def _in_part(name: str, names: Sequence[str]) -> str:
    """Ask whether one of the few names was meant that have this one as some of their words.

    >>> _in_part("kgw", ["gumbel_watermark", "kgw_watermark"]), _in_part("kg", ["kgw_watermark"])
    ('did you mean kgw_watermark?', '')
    """
    near = [each for each in names if f"_{name}_" in f"_{each}_"]
    return f"did you mean {' or '.join(near)}?" if 1 <= len(near) <= _FEW else ""


def conflict(name: str, offers: Sequence[Offer], suffix: str = "") -> PluginConflictError:
    """The exception for a name that several components claim.

    Args:
        name: What was written.
        offers: The components.
        suffix: `.option` where an option was looked for.
    """
    rivals = sorted(offers, key=str)
    names = [offer.name for offer in rivals]
    ways = [
        (offer.name if names.count(offer.name) == 1 else f"{offer.origin.qualifier}:{offer.name}")
        for offer in rivals
    ]
    return PluginConflictError(
        f"{name} is ambiguous, {' and '.join(map(str, rivals))} have it: "
        f"write {' or '.join(way + suffix for way in ways)}",
        plugin=name,
        distribution=rivals[0].origin.distribution,
        version=rivals[0].origin.version,
    )


@cache
def default_registry() -> Registry:
    """Return the registry of this process: the core's components and all installed ones."""
    return Registry(host=default_host())
