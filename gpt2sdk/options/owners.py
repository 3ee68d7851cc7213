"""Which component each option of a call belongs to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gpt2sdk.components.component import Component
from gpt2sdk.components.drafter import Drafter
from gpt2sdk.components.processor import LogitsProcessor
from gpt2sdk.components.sampler import Sampler
from gpt2sdk.components.shared_option import Shared
from gpt2sdk.components.stopping import StoppingCriterion, TextCriterion
from gpt2sdk.components.strategy import Strategy
from gpt2sdk.errors import OptionError, listing
from gpt2sdk.options.call_words import CALLS_ELSEWHERE, of_loading
from gpt2sdk.options.field import understood
from gpt2sdk.options.given import Given, spelled, twice
from gpt2sdk.options.named import Named
from gpt2sdk.options.preset import check_rules
from gpt2sdk.options.settings import Settings
from gpt2sdk.plugins.contract import role_name
from gpt2sdk.plugins.registry import Offer, Registry, conflict
from gpt2sdk.spelling import likely

CHAIN_ROLES = (LogitsProcessor, StoppingCriterion, TextCriterion)
"""Roles whose components run because one of their options was set."""

NAMED_ROLES = (Strategy, Sampler, Drafter)
"""Roles whose components run because the call names them."""


@dataclass(slots=True)
class Assignment:
    """The options of a call by component, each under its field's name.

    Attributes:
        options: For each component class, what was given for its fields.
    """

    options: dict[type[Component], dict[str, Given]] = field(default_factory=dict)

    def pop(self, component: type[Component]) -> dict[str, Given]:
        """Return what was given for a component, and forget it."""
        return self.options.pop(component, {})

    def add(self, component: type[Component], option: str, given: Given) -> None:
        """Give a component one of its options, read as its type has it.

        Raises:
            OptionError: It has that one already, written differently.
        """
        given = understood(given, component.model_fields[option])
        check_rules(component, option, given)
        before = self.options.setdefault(component, {}).setdefault(option, given)
        if before is not given:
            raise twice(before, given)


def assign(
    options: Mapping[str, Given], chosen: Sequence[Named[Component]], registry: Registry
) -> Assignment:
    """Find the component of each option.

    A short name is looked for among the options of the components that the call names, then
    among those of processors and criteria. `component.option` always says which is meant. An
    option that is marked `Shared` goes to all that have it and that another option turns on,
    except where `component.option` says otherwise.

    Args:
        options: What was given, by name in its one spelling.
        chosen: The strategy, sampler and drafter.
        registry: All components.

    Raises:
        OptionError: An option is unknown, belongs to a component that was not chosen, or is
            shared by components of which none is turned on.
        PluginConflictError: Several processors and criteria have an option of this name.
    """
    assignment = Assignment()
    shared = []
    for name, given in options.items():
        owners = _owners_of(name, given, chosen, registry)
        if len(owners) > 1:
            shared.append((name, given, owners))
        else:
            assignment.add(owners[0], name.rpartition(".")[2], given)
    for option, given, owners in shared:
        _share(assignment, option, given, owners)
    return assignment


def _owners_of(
    name: str, given: Given, chosen: Sequence[Named[Component]], registry: Registry
) -> tuple[type[Component], ...]:
    """Return the component that an option belongs to, or all those that share it."""
    owner, _, option = name.rpartition(".")
    if owner:
        return (_named(owner, option, given, chosen, registry),)
    return _having(option, given, chosen, registry)


def is_shared(option: str, owners: Sequence[Offer]) -> bool:
    """Whether all of them mark an option as shared, and mean the same type and range by it."""
    fields = [offer.component.model_fields[option] for offer in owners]
    return all(
        Shared() in field.metadata
        and field.annotation == fields[0].annotation
        and field.metadata == fields[0].metadata
        for field in fields
    )


def _share(
    assignment: Assignment, option: str, given: Given, owners: Sequence[type[Component]]
) -> None:
    """Give a shared option to all that the call turns on."""
    takers = [owner for owner in owners if owner.switch() in assignment.options.get(owner, {})]
    if not takers:
        switches = ", ".join(sorted(str(owner.switch()) for owner in owners))
        raise OptionError(
            f"{given.written} needs one of {switches}, which turn on what it is for; components "
            "in processors=[…] and stopping=[…] have their own",
            name=given.written,
            value=given.value,
            expected=switches,
        )
    for taker in takers:
        own = understood(given, taker.model_fields[option])
        check_rules(taker, option, own)
        assignment.options[taker].setdefault(option, own)


def _having(
    option: str, given: Given, chosen: Sequence[Named[Component]], registry: Registry
) -> tuple[type[Component], ...]:
    """Find the component of a short name, or those that share it."""
    first = [one for one in chosen if option in one.component.model_fields]
    if len(first) > 1:
        owners = " and ".join(f"the {one.role} {one.component.name}" for one in first)
        ways = " or ".join(f"{one.component.name}.{option}" for one in first)
        raise OptionError(
            f"{option} is an option of {owners}: write {ways}",
            name=given.written,
            value=given.value,
        )
    if first:
        return (first[0].component,)
    chain = registry.having(option, *CHAIN_ROLES)
    if len(chain) == 1 or (chain and is_shared(option, chain)):
        return tuple(offer.component for offer in chain)
    if chain:
        raise conflict(option, chain, f".{option}")
    others = registry.having(option)
    raise _not_chosen(given, others) if others else unknown(given, registry)


def _named(
    owner: str, option: str, given: Given, chosen: Sequence[Named[Component]], registry: Registry
) -> type[Component]:
    """Find the component that a dotted name says."""
    offers = registry.named(owner)
    named = {offer.component for offer in offers}
    first = [c.component for c in chosen if c.component in named or c.component.name == owner]
    chain = [offer for offer in offers if set(offer.roles) & set(CHAIN_ROLES)]
    candidates = [*first, *(offer.component for offer in chain)]
    for component in candidates:
        if option not in component.model_fields:
            continue
        if component not in first and len(chain) > 1:
            raise conflict(owner, chain, f".{option}")
        return component
    if candidates:
        has = listing(list(candidates[0].model_fields)) or "none"
        raise OptionError(
            f"{given.written} is not an option: {owner} has {has}",
            name=given.written,
            value=given.value,
            expected=has,
        )
    raise _not_chosen(given, offers) if offers else unknown(given, registry)


def _not_chosen(given: Given, owners: Sequence[Offer]) -> OptionError:
    """The error for an option of something that the call does not name."""
    role = owners[0].roles[0]
    names = [owner.name for owner in owners if role in owner.roles]
    kind = role_name(role)
    several = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
    kinds = kind if len(names) == 1 else several
    if role in NAMED_ROLES:
        which = "it" if len(names) == 1 else "one of them, as"
        hint = f"choose {which} with {kind}={names[0]!r}"
    else:
        hint = f"a {kind} is chosen where the model is loaded"
    return OptionError(
        f"{given.written} is an option of the {kinds} {listing(names)}: {hint}",
        name=given.written,
        value=given.value,
        expected=hint,
    )


def is_option(name: str, registry: Registry, *roles: type[Component]) -> bool:
    """Whether a call has an option of this name, or a component, short or `component.option`.

    Args:
        name: The name, in either spelling.
        registry: All components.
        roles: Whose options count; those of all roles by default.
    """
    owner, _, option = spelled(name).rpartition(".")
    if not owner:
        return option in Settings.model_fields or bool(registry.having(option, *roles))
    return any(option in offer.component.option_names() for offer in registry.named(owner, *roles))


def check_names(names: Mapping[str, object], registry: Registry) -> None:
    """Make sure that there are options of these names.

    Raises:
        OptionError: There is no such option; what may have been meant stands in the message.
    """
    for name, value in names.items():
        if not is_option(name, registry):
            raise unknown(Given(name, value), registry)


def unknown(given: Given, registry: Registry) -> OptionError:
    """The error for a name that nothing has, with the nearest ones and how to get it."""
    name = spelled(given.written)
    owner, _, option = name.rpartition(".")
    hint = (
        called_here(name, registry)
        or registry.remedy(owner or option)
        or _own_options(option, registry)
        or registry.nearest(name, _names(registry, dotted=bool(owner)))
        or called_here("".join(likely(name, CALLS_ELSEWHERE, 1)), registry)
        or "`gpt2sdk options` lists them all"
    )
    return OptionError(
        f"there is no option {given.written}: {hint}",
        name=given.written,
        value=given.value,
        expected=hint,
    )


def called_here(name: str, registry: Registry) -> str:
    """Say what another program's name is here, and how to get it; empty where none has it."""
    known = CALLS_ELSEWHERE.get(name)
    if known is None:
        return ""
    if at_loading := of_loading(name):
        return at_loading
    remedies = dict.fromkeys(filter(None, map(registry.remedy, known.here)))
    return f"{known.hint} ({', '.join(remedies)})" if remedies else known.hint


def _names(registry: Registry, *, dotted: bool) -> set[str]:
    """Return every option there is, as `component.option` where that is how one was written."""
    return set(Settings.model_fields) | {
        f"{offer.name}.{option}" if dotted else option
        for offer in registry.offers()
        for option in offer.component.option_names()
    }


def _own_options(component: str, registry: Registry) -> str:
    """Say which options a component has, where its name was taken for one."""
    for offer in registry.named(component):
        fields = list(offer.component.option_names())
        if fields:
            return (
                f"{component} is a {role_name(offer.roles[0])} with the options {listing(fields)}"
            )
    return ""
