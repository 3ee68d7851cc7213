"""What a call would run, and why: the answer of `gpt2sdk explain`."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from gpt2sdk.components.callables import name_of
from gpt2sdk.components.component import Component
from gpt2sdk.components.processor import LogitsProcessor, Stage
from gpt2sdk.generator.chain import Place
from gpt2sdk.generator.effective import column_of, options_of
from gpt2sdk.generator.given import spelled
from gpt2sdk.generator.options import Composition, compose
from gpt2sdk.generator.plan import Plan
from gpt2sdk.plugins.contract import role_name, roles_of
from gpt2sdk.plugins.registry import Registry


@dataclass(frozen=True, slots=True)
class Part:
    """One component of a call.

    Attributes:
        role: What it does; several roles are joined by commas.
        name: What it is called in the call, and what keys its random numbers.
        stage: A processor's place in the chain, `TRUNCATE`, or `list` for the user's own order.
        options: Its options, JSON-ready; what differs from prompt to prompt as in `effective`.
        why: The options that turned it on, its place in a list, or `default`.
        distribution: Where it comes from; empty for the caller's own.
        version: That distribution's version.
    """

    role: str
    name: str
    stage: str
    options: Mapping[str, object]
    why: str
    distribution: str
    version: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a call would run.

    Attributes:
        plan: What the options come to.
        parts: Strategy, drafter, processors in their order, sampler, then criteria in theirs.
    """

    plan: Plan
    parts: tuple[Part, ...]


def explain(
    options: Mapping[str, object],
    *,
    registry: Registry,
    prompts: int = 1,
    eos_token_ids: Iterable[int] = (),
) -> Explanation:
    """Return what a call with these options would run; the arguments are those of `resolve`.

    Raises:
        OptionError: An option is unknown, wrong, or contradicts another one.
        PluginConflictError: A name means components of several plugins.
    """
    composition = compose(options, registry=registry, prompts=prompts, eos_token_ids=eos_token_ids)
    given = {spelled(name) for name in options}
    return Explanation(composition.plan, tuple(_parts(composition, given, registry)))


def _parts(composition: Composition, given: set[str], registry: Registry) -> Iterator[Part]:
    """Yield the parts in the order in which they act."""
    lead, places = composition.plan.lead, composition.places
    chain = [place for place in places if isinstance(place.component, LogitsProcessor)]
    yield _lead("strategy", lead.strategy, given, registry)
    if lead.drafter is not None:
        yield _lead("drafter", lead.drafter, given, registry)
    for place in chain:
        yield _chained(place, registry)
    if lead.strategy.draws:
        yield _lead("sampler", lead.sampler, given, registry)
    for place in places[len(chain) :]:
        yield _chained(place, registry)


def _lead(setting: str, component: Component, given: set[str], registry: Registry) -> Part:
    origin = registry.origin(type(component))
    return Part(
        role=setting,
        name=name_of(component),
        stage="",
        options=options_of(component),
        why=setting if setting in given else "default",
        distribution=origin.distribution if origin else "",
        version=origin.version if origin else "",
    )


def _chained(place: Place, registry: Registry) -> Part:
    component = place.component
    origin = registry.origin(type(component))
    stage = ""
    if isinstance(component, LogitsProcessor):
        stage = Stage(component.stage).name if place.listed is None else "list"
    return Part(
        role=", ".join(role_name(role) for role in roles_of(type(component))),
        name=place.purpose,
        stage=stage,
        options={name: column_of(place, name) for name in type(component).model_fields},
        why=place.why,
        distribution=origin.distribution if origin else "",
        version=origin.version if origin else "",
    )
