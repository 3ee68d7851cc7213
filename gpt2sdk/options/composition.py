"""A composition: what a call's options come to, checked before any work starts."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar, cast

from gpt2sdk.components.component import Component, identity
from gpt2sdk.components.drafter import Drafter
from gpt2sdk.components.processor import LogitsProcessor
from gpt2sdk.components.records import Delta, Prompt
from gpt2sdk.components.stopping import StoppingCriterion, TextCriterion
from gpt2sdk.errors import OptionError
from gpt2sdk.options.building import build, build_for_prompts, spread, unified
from gpt2sdk.options.field import understood
from gpt2sdk.options.given import Given, read
from gpt2sdk.options.in_force import in_force, leading
from gpt2sdk.options.named import named_drafter, named_sampler, named_strategy
from gpt2sdk.options.order import LISTS, Entry, check_draws, check_no_twins, listed, ordered
from gpt2sdk.options.owners import Assignment, assign
from gpt2sdk.options.preset import Preset, check_prompts, check_rules, kept
from gpt2sdk.options.settings import Settings
from gpt2sdk.plugins.registry import Registry
from gpt2sdk.rng import derive, fresh_seed
from gpt2sdk.session.request import Lead, Link, Meter, Request

C = TypeVar("C", bound=Component)
X = TypeVar("X")

_COPIED: Final = ("batch_size", "overflow", "logprobs")


@dataclass(frozen=True, slots=True)
class Composition:
    """What a call is to do.

    Attributes:
        leads: What makes its rows grow, one for all prompts or one for each; strategies, samplers
            and drafters have one class each.
        entries: Processors in the order they run, then criteria in the order their reasons count.
        eos_token_ids: The tokens that end a row; `None` for the model's, which may not be known
            yet.
        max_new_tokens: How many tokens rows may grow by, one for all prompts or one for each;
            `None` for 128 or what fits, whichever is less.
        seeds: Row seeds, one for each prompt.
        batch_size: Rows (prompts, for strategies whose rows depend on one another) at a time.
        logprobs: How many of the likeliest tokens to record beside each one with its
            log-probability; `None` to record none.
        in_force: Every option in force by name, as JSON-ready values.
        given: The options that the call gave, by their names in one spelling.
    """

    leads: tuple[Lead, ...]
    entries: tuple[Entry[Component], ...] = ()
    eos_token_ids: frozenset[int] | None = None
    max_new_tokens: tuple[int | None, ...] = (None,)
    seeds: tuple[int, ...] = (0,)
    batch_size: int = 32
    logprobs: int | None = None
    in_force: Mapping[str, object] = field(default_factory=dict)
    given: frozenset[str] = field(default=frozenset(), compare=False)

    @property
    def lead(self) -> Lead:
        """One of the leads; all of them name components of the same classes."""
        return self.leads[0]

    def lead_of(self, prompt: int) -> Lead:
        """What makes a prompt's rows grow."""
        return self.leads[prompt if len(self.leads) > 1 else 0]

    @property
    def processors(self) -> tuple[Entry[LogitsProcessor], ...]:
        """The chain, in the order it runs."""
        return self._of_role(LogitsProcessor)

    @property
    def criteria(self) -> tuple[Entry[StoppingCriterion], ...]:
        """Token criteria, in the order their reasons count."""
        return self._of_role(StoppingCriterion)

    @property
    def text_criteria(self) -> tuple[Entry[TextCriterion], ...]:
        """Text criteria, likewise."""
        return self._of_role(TextCriterion)

    @property
    def versions(self) -> dict[str, str]:
        """Of gpt2sdk, and of the distributions that brought what is in force."""
        found = self.in_force.get("versions")
        return dict(found) if isinstance(found, Mapping) else {}

    def _of_role(self, role: type[C]) -> tuple[Entry[C], ...]:
        return tuple(
            cast("Entry[C]", entry) for entry in self.entries if isinstance(entry.component, role)
        )

    def ending_at(self, eos_token_ids: Iterable[int]) -> "Composition":
        """Return this for a model with these end tokens; they count unless the call has its own."""
        if self.eos_token_ids is not None:
            return self
        ends = frozenset(eos_token_ids)
        in_force = {**self.in_force, "eos_token_id": sorted(ends)}
        return replace(self, eos_token_ids=ends, in_force=in_force)

    def requests(
        self, prompts: Sequence[Prompt], *, streaming: bool, cancelled: Callable[[], bool]
    ) -> list[Request]:
        """Make a request of each prompt; they share an outbox and a meter."""
        outbox: deque[Delta] = deque()
        meter = Meter()
        processors, criteria = self.processors, self.criteria
        text_criteria = self.text_criteria
        return [
            Request(
                prompt,
                self.lead_of(prompt.index),
                processors=_links(processors, prompt.index),
                criteria=_links(criteria, prompt.index),
                text_criteria=_links(text_criteria, prompt.index),
                logprobs=self.logprobs,
                streaming=streaming,
                cancelled=cancelled,
                outbox=outbox,
                meter=meter,
            )
            for prompt in prompts
        ]


def compose(
    options: Mapping[str, object],
    *,
    registry: Registry,
    prompts: int = 1,
    config: Preset | None = None,
) -> Composition:
    """Return what the options of a call come to.

    Args:
        options: By name, in either spelling; `component.option` where a short name is not clear.
            Values may be `Unread` texts.
        registry: All components.
        prompts: How many prompts the call has.
        config: A preset, whose options count where the call gives nothing.

    Raises:
        OptionError: An option is unknown, wrong, or contradicts another one; or the preset breaks
            a rule.
        PluginConflictError: A name means components of several plugins.
    """
    preset = kept(config, options, registry) if config else {}
    if config:
        check_prompts(config, preset, prompts)
    given = read(options, preset)
    names = frozenset(given)
    own = {
        name: understood(given.pop(name), setting)
        for name, setting in Settings.model_fields.items()
        if name in given
    }
    for name, one in own.items():
        check_rules(Settings, name, one)
    lists = {name: listed(own.pop(name), name, registry) for name in LISTS if name in own}
    limits = spread(Settings, "max_new_tokens", own.pop("max_new_tokens", None), prompts)
    seeds = spread(Settings, "seed", own.pop("seed", None), prompts)
    counts = spread(
        Settings, "num_return_sequences", own.pop("num_return_sequences", None), prompts
    )
    settings = build(Settings, own)
    leads, rest = _leads(settings, given, registry, counts, prompts)
    entries = ordered([*_led(leads), *_turned_on(rest, prompts), *_numbered(lists)])
    check_no_twins(entries)
    check_draws(leads[0].strategy, entries)
    _check_overflow(leads)
    row_seeds = tuple(fresh_seed() if seed is None else seed for seed in seeds)
    end_tokens = _end_tokens(settings.eos_token_id)
    recorded = {
        "max_new_tokens": _one_or_all(limits),
        "num_return_sequences": _one_or_all(counts),
        "seed": _one_or_all(row_seeds),
        "eos_token_id": "model" if end_tokens is None else sorted(end_tokens),
        **{name: getattr(settings, name) for name in _COPIED},
    }
    return Composition(
        leads,
        tuple(entries),
        eos_token_ids=end_tokens,
        max_new_tokens=limits,
        seeds=_for_prompts(row_seeds, prompts),
        batch_size=settings.batch_size,
        logprobs=settings.logprobs,
        in_force=in_force(recorded, leads, entries, registry),
        given=names,
    )


def _leads(
    settings: Settings,
    given: Mapping[str, Given],
    registry: Registry,
    counts: Sequence[int | None],
    prompts: int,
) -> tuple[tuple[Lead, ...], Assignment]:
    """Build what the call names from its options, and sort the others by component."""
    strategy = named_strategy(settings.strategy, registry)
    sampler = named_sampler(settings.sampler, registry, strategy.component)
    drafter = named_drafter(settings.drafter, registry)
    named = [strategy, sampler] if drafter is None else [strategy, sampler, drafter]
    rest = assign(given, named, registry)
    strategies = strategy.build(rest.pop(strategy.component), prompts)
    samplers = sampler.build(rest.pop(sampler.component), prompts)
    drafters: Sequence[Drafter | None] = (None,)
    if drafter is not None:
        drafters = drafter.build(rest.pop(drafter.component), prompts)
    columns = strategies, samplers, drafters, counts
    several = max(map(len, columns)) > 1
    return tuple(
        Lead(
            _at(strategies, prompt),
            _at(samplers, prompt),
            _at(drafters, prompt),
            _at(counts, prompt) or 1,
            settings.overflow,
        )
        for prompt in range(prompts if several else 1)
    ), rest


def _at(column: Sequence[X], prompt: int) -> X:
    """Return what is the same for all prompts, or what one has."""
    return column[prompt if len(column) > 1 else 0]


def _led(leads: Sequence[Lead]) -> list[Entry[Component]]:
    """Return the entries of named components that have a role in the chain as well."""
    entries = []
    for setting, column in leading(leads).items():
        if isinstance(column[0], LogitsProcessor | StoppingCriterion | TextCriterion):
            components = unified([each if each.is_on() else None for each in column])
            if components != (None,):
                entries.append(Entry(components, why=setting))
    return entries


def _turned_on(rest: Assignment, prompts: int) -> list[Entry[Component]]:
    """Return the entries of components whose options turn them on."""
    entries = []
    for component, given in rest.options.items():
        components = build_for_prompts(component, given, prompts)
        if components != (None,):
            why = ", ".join(one.written for one in given.values())
            entries.append(Entry(components, why=why))
    return entries


def _numbered(lists: Mapping[str, list[Entry[Component]]]) -> list[Entry[Component]]:
    """Return what the lists hold, numbered through.

    A component that masks and stops may stand in both lists, and has one entry.
    """
    merged: list[Entry[Component]] = []
    processors = {identity(entry.component) for entry in lists.get("processors", ())}
    for name, entries in lists.items():
        for entry in entries:
            if name == "processors" or identity(entry.component) not in processors:
                merged.append(replace(entry, listed=len(merged)))
    return merged


def _check_overflow(leads: Sequence[Lead]) -> None:
    """Refuse a sliding window for strategies that may take tokens back."""
    lead = next((each for each in leads if each.strategy.hold() != 0), leads[0])
    if lead.overflow == "slide" and lead.strategy.hold() != 0:
        raise OptionError(
            'overflow="slide" needs a strategy that takes no tokens back, '
            f"{lead.strategy.name} may",
            name="overflow",
            value="slide",
            expected="error",
        )


def _end_tokens(asked: object) -> frozenset[int] | None:
    """Return the tokens that end a row; `None` for the model's."""
    if asked == "model":
        return None
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


def _links(entries: Sequence[Entry[C]], prompt: int) -> tuple[Link[C], ...]:
    """Return what acts on a prompt's rows."""
    links = (entry.link(prompt) for entry in entries)
    return tuple(link for link in links if link is not None)
