"""What a call would run, and why: the answer of `gpt2sdk explain`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gpt2sdk.components.callables import name_of
from gpt2sdk.components.component import Component, neutral
from gpt2sdk.components.processor import LogitsProcessor, Stage
from gpt2sdk.options.composition import Composition
from gpt2sdk.options.in_force import column_of, json_ready, leading
from gpt2sdk.options.order import Entry
from gpt2sdk.plugins.contract import role_name, roles_of
from gpt2sdk.plugins.registry import Registry


@dataclass(frozen=True, slots=True)
class ExplainedComponent:
    """One component of a call.

    Attributes:
        role: What it does; several roles are joined by commas.
        name: What it is called in the call, and what keys its random numbers.
        stage: Where a processor stands, such as `TRUNCATE`, or `list` for the user's own order.
        options: Its options, JSON-ready; what differs from prompt to prompt as in
            `Composition.in_force`.
        defaults: Those of its options that are at their default.
        why: The options that turned it on, its place in a list, or `default`.
        distribution: Where it comes from; empty for the caller's own.
        version: That distribution's version.
    """

    role: str
    name: str
    stage: str
    options: Mapping[str, object]
    defaults: tuple[str, ...]
    why: str
    distribution: str
    version: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a call would run.

    Attributes:
        composition: What the options come to.
        components: Strategy, drafter, processors in their order, sampler, then criteria in theirs.
    """

    composition: Composition
    components: tuple[ExplainedComponent, ...]


def explain(composition: Composition, registry: Registry) -> Explanation:
    """Say what a composition runs, in which order and why."""
    return Explanation(composition, tuple(_components(composition, registry)))


def _components(composition: Composition, registry: Registry) -> Iterator[ExplainedComponent]:
    """Yield the components in the order in which they act."""
    named, entries = leading(composition.leads), composition.entries
    chain = composition.processors
    why = {
        setting: setting if setting in composition.given else "default"
        for setting in ("strategy", "drafter", "sampler")
    }
    yield _leading("strategy", named["strategy"], why, registry)
    if "drafter" in named:
        yield _leading("drafter", named["drafter"], why, registry)
    for processor in chain:
        yield _chained(processor, registry)
    if "sampler" in named:
        yield _leading("sampler", named["sampler"], why, registry)
    for entry in entries[len(chain) :]:
        yield _chained(entry, registry)


def _leading(
    setting: str, column: Sequence[Component], why: Mapping[str, str], registry: Registry
) -> ExplainedComponent:
    component = column[0]
    origin = registry.origin(type(component))
    options = {name: column_of(column, name) for name in type(component).model_fields}
    return ExplainedComponent(
        role=setting,
        name=name_of(component),
        stage="",
        options=options,
        defaults=_defaults(component, options),
        why=why[setting],
        distribution=origin.distribution if origin else "",
        version=origin.version if origin else "",
    )


def _chained(entry: Entry[Component], registry: Registry) -> ExplainedComponent:
    component = entry.component
    origin = registry.origin(type(component))
    stage = ""
    if isinstance(component, LogitsProcessor):
        stage = Stage(component.stage).name if entry.listed is None else "list"
    options = {name: column_of(entry.components, name) for name in type(component).model_fields}
    return ExplainedComponent(
        role=", ".join(role_name(role) for role in roles_of(type(component))),
        name=entry.purpose,
        stage=stage,
        options=options,
        defaults=_defaults(component, options),
        why=entry.why,
        distribution=origin.distribution if origin else "",
        version=origin.version if origin else "",
    )


def _defaults(component: Component, options: Mapping[str, object]) -> tuple[str, ...]:
    fields = type(component).model_fields
    return tuple(
        name
        for name, value in options.items()
        if not fields[name].is_required() and value == json_ready(neutral(fields[name]))
    )
