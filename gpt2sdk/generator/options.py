"""From the options of a call to a plan: everything is checked here, before any work starts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from gpt2sdk.components.component import Component, identity
from gpt2sdk.components.drafter import Drafter
from gpt2sdk.components.processor import LogitsProcessor
from gpt2sdk.components.sampler import Sampler
from gpt2sdk.components.stopping import StoppingCriterion, TextCriterion
from gpt2sdk.components.strategy import Strategy
from gpt2sdk.errors import OptionError
from gpt2sdk.generator.assignment import Assignment, assign
from gpt2sdk.generator.chain import LISTS, Place, check_draws, check_no_twins, listed, ordered
from gpt2sdk.generator.choice import choose_drafter, choose_sampler, choose_strategy
from gpt2sdk.generator.effective import effective
from gpt2sdk.generator.given import Given, read
from gpt2sdk.generator.plan import Plan, Variants
from gpt2sdk.generator.settings import Settings
from gpt2sdk.generator.variants import is_on, make, make_variants, spread
from gpt2sdk.plugins.registry import Registry
from gpt2sdk.rng import derive, fresh_seed
from gpt2sdk.session.request import Lead

C = TypeVar("C", bound=Component)

_COPIED: Final = ("num_return_sequences", "batch_size", "overflow", "logprobs")


@dataclass(frozen=True, slots=True)
class Composition:
    """A plan, and how it came about.

    Attributes:
        plan: What the call is to do.
        places: Its processors and criteria in their order, each with the reason it is there.
    """

    plan: Plan
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class _Leads:
    """The components that a call names."""

    strategy: Strategy
    sampler: Sampler
    drafter: Drafter | None

    def by_setting(self) -> dict[str, Component]:
        """Those that act, by the setting that names them."""
        sampler = self.sampler if self.strategy.draws else None
        named = {"strategy": self.strategy, "sampler": sampler, "drafter": self.drafter}
        return {setting: lead for setting, lead in named.items() if lead is not None}


def resolve(
    options: Mapping[str, object],
    *,
    registry: Registry,
    prompts: int = 1,
    eos_token_ids: Iterable[int] = (),
) -> Plan:
    """Return what the options of a call come to.

    Args:
        options: By name, in either spelling; `component.option` where a short name is not clear.
        registry: All components.
        prompts: How many prompts the call has.
        eos_token_ids: The model's own end tokens.

    Raises:
        OptionError: An option is unknown, wrong, or contradicts another one.
        PluginConflictError: A name means components of several plugins.
    """
    return compose(options, registry=registry, prompts=prompts, eos_token_ids=eos_token_ids).plan


def compose(
    options: Mapping[str, object],
    *,
    registry: Registry,
    prompts: int = 1,
    eos_token_ids: Iterable[int] = (),
) -> Composition:
    """Return what `resolve` returns, and how it came about."""
    given = read(options)
    own = {name: given.pop(name) for name in list(given) if name in Settings.model_fields}
    lists = {name: listed(name, own.pop(name).value) for name in LISTS if name in own}
    limits = spread(Settings, "max_new_tokens", own.pop("max_new_tokens", None), prompts)
    seeds = spread(Settings, "seed", own.pop("seed", None), prompts)
    settings = make(Settings, own)
    leads, rest = _lead(settings, given, registry)
    places = ordered([*_led(leads), *_turned_on(rest, prompts), *_merged(lists)])
    check_no_twins(places)
    check_draws(leads.strategy, places)
    _check_overflow(leads.strategy, settings)
    row_seeds = tuple(fresh_seed() if seed is None else seed for seed in seeds)
    end_tokens = _end_tokens(settings.eos_token_id, eos_token_ids)
    recorded = {
        "max_new_tokens": _one_or_all(limits),
        "seed": _one_or_all(row_seeds),
        "eos_token_id": sorted(end_tokens),
        **{name: getattr(settings, name) for name in _COPIED},
    }
    plan = Plan(
        Lead(
            leads.strategy,
            leads.sampler,
            leads.drafter,
            settings.num_return_sequences,
            settings.overflow,
        ),
        processors=_links(places, LogitsProcessor),
        criteria=_links(places, StoppingCriterion),
        text_criteria=_links(places, TextCriterion),
        eos_token_ids=end_tokens,
        max_new_tokens=limits,
        seeds=_for_prompts(row_seeds, prompts),
        batch_size=settings.batch_size,
        logprobs=settings.logprobs,
        effective=effective(recorded, leads.by_setting(), places, registry),
    )
    return Composition(plan, tuple(places))


def _lead(
    settings: Settings, given: Mapping[str, Given], registry: Registry
) -> tuple[_Leads, Assignment]:
    """Make what the call names from its options, and sort the others by component."""
    strategy = choose_strategy(settings.strategy, registry)
    sampler = choose_sampler(settings.sampler, registry, strategy.component)
    drafter = choose_drafter(settings.drafter, registry)
    choices = [strategy, sampler] if drafter is None else [strategy, sampler, drafter]
    rest = assign(given, choices, registry)
    leads = _Leads(
        strategy.build(rest.pop(strategy.component)),
        sampler.build(rest.pop(sampler.component)),
        None if drafter is None else drafter.build(rest.pop(drafter.component)),
    )
    return leads, rest


def _led(leads: _Leads) -> list[Place]:
    """Return the places of leads that have a role in the chain as well."""
    return [
        Place((lead,), setting)
        for setting, lead in leads.by_setting().items()
        if isinstance(lead, LogitsProcessor | StoppingCriterion | TextCriterion) and is_on(lead)
    ]


def _turned_on(rest: Assignment, prompts: int) -> list[Place]:
    """Return the places of components whose options turn them on."""
    places = []
    for component, given in rest.options.items():
        variants = make_variants(component, given, prompts)
        if variants != (None,):
            written = [one.written for one in given.values()]
            places.append(Place(variants, ", ".join(written)))
    return places


def _merged(lists: Mapping[str, list[Place]]) -> list[Place]:
    """Return what the lists hold, numbered through.

    A component that masks and stops may stand in both lists, and has one place.
    """
    merged: list[Place] = []
    processors = {identity(place.component) for place in lists.get("processors", ())}
    for name, places in lists.items():
        for place in places:
            if name == "processors" or identity(place.component) not in processors:
                merged.append(replace(place, listed=len(merged)))
    return merged


def _check_overflow(strategy: Strategy, settings: Settings) -> None:
    """Refuse a sliding window for strategies that may take tokens back."""
    if settings.overflow == "slide" and strategy.hold() != 0:
        raise OptionError(
            f'overflow="slide" needs a strategy that takes no tokens back, {strategy.name} may',
            name="overflow",
            value="slide",
            expected="error",
        )


def _end_tokens(asked: object, model: Iterable[int]) -> frozenset[int]:
    """Return the tokens that end a row."""
    if asked == "model":
        return frozenset(model)
    if asked is None:
        return frozenset()
    return frozenset(asked if isinstance(asked, tuple) else (asked,))


def _for_prompts(seeds: tuple[int, ...], prompts: int) -> tuple[int, ...]:
    """Return one seed for each prompt, derived from the only one where there is only one."""
    if len(seeds) == prompts:
        return seeds
    return tuple(derive(seeds[0], prompt) for prompt in range(prompts))


def _one_or_all(column: Sequence[int | None]) -> object:
    """Return the value for all prompts, or those for each."""
    return column[0] if len(column) == 1 else list(column)


def _links(places: Iterable[Place], role: type[C]) -> tuple[Variants[C], ...]:
    """Return what stands in the places of components that have a role."""
    return tuple(place.of_role(role) for place in places if isinstance(place.component, role))
