"""What a request can set: no field that opens files, loads models or runs code, of any component.

A new component whose field could is found here by its type, or by what it does with plain data.
"""

import builtins
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from typing import IO, Annotated, Any, TypeVar, get_args, get_origin

import pytest
from pydantic import BaseModel, BeforeValidator, Field

from gpt2sdk import (
    CALLER_ONLY_RULE,
    Component,
    Detector,
    Drafter,
    GPT2SDKError,
    LogitsProcessor,
    OptionError,
    Sampler,
    Strategy,
    hookimpl,
)
from gpt2sdk.components.preset_rules import PresetRule
from gpt2sdk.options import CHAIN_ROLES, NAMED_ROLES, compose, named_detector, read_preset
from gpt2sdk.options.field import alternatives
from gpt2sdk.plugins.registry import Registry, default_registry

REACHED = (*CHAIN_ROLES, *NAMED_ROLES, Detector)
"""The roles whose components a request names or whose options it sets."""
PLAIN = (bool, int, float, str, type(None))
SETTINGS = {Strategy: "strategy", Sampler: "sampler", Drafter: "drafter"}
DATA = (
    "/etc/hostname",
    ["/etc/hostname"],
    "os.system",
    "os:system",
    {"name": "os.system"},
    {"path": "/etc/hostname"},
    "lambda text: 1.0",
    "print",
)
"""What a stranger would try: JSON that names a file or a callable."""


def members(annotation: object) -> Iterator[object]:
    """Yield every type that stands in an annotation, unions and containers opened."""
    inner = get_args(annotation)
    if get_origin(annotation) is Annotated:
        yield from members(inner[0])
    elif isinstance(annotation, TypeVar):
        yield Any
    elif inner and not is_callable(annotation) and get_origin(annotation) is not type:
        for each in inner:
            if isinstance(each, PLAIN) or each is Ellipsis:
                continue  # what stands in a Literal
            yield from members(each)
    else:
        yield annotation


def is_callable(annotation: object) -> bool:
    """Whether an annotation is one of functions."""
    return Callable in (annotation, get_origin(annotation))


def powers(annotation: object) -> set[str]:
    """Say what a value of this type could be, beyond plain data: a file, code or an object."""
    found = set()
    for each in members(annotation):
        kind = get_origin(each) or each
        if kind in (object, Any):
            found.add("anything")
        elif inspect.isclass(kind) and issubclass(kind, PurePath | IO):
            found.add("file")
        elif each not in PLAIN:
            found.add("object")
    return found


def is_data(value: object) -> bool:
    """Whether a value is what JSON has, in tuples."""
    return all(map(is_data, value)) if isinstance(value, tuple) else isinstance(value, PLAIN)


def accepted(component: type[Component], option: str, registry: Registry) -> list[object]:
    """Return the values that an option gets of a request that names files or callables."""
    role = next((role for role in SETTINGS if issubclass(component, role)), None)
    taken = []
    for value in DATA:
        config: dict[str, object] = {f"{component.name}.{option}": value}
        if role is not None:
            config[SETTINGS[role]] = component.name
        try:
            if issubclass(component, (*CHAIN_ROLES, *NAMED_ROLES)):
                made = compose({}, registry=registry, config=read_preset(config))
                lead = made.lead
                built = [each.component for each in made.entries]
                built += [lead.strategy, lead.sampler, lead.drafter]
            else:
                built = [named_detector(component.name, {option: value}, registry)]
        except GPT2SDKError:
            continue
        taken += [getattr(each, option) for each in built if type(each) is component]
    return taken


def faults(registry: Registry, *only: type[Component]) -> list[str]:
    """Return the options through which a request may reach more than data."""
    found = []
    for offer in registry.offers(*REACHED):
        for option, field in offer.component.model_fields.items():
            rules = [each for each in field.metadata if isinstance(each, PresetRule)]
            if any(rule.caller_only for rule in rules) or (only and offer.component not in only):
                continue
            has, name = powers(field.annotation), f"{offer.name}.{option}"
            if "file" in has:
                found.append(f"{name} takes paths: mark it CALLER_ONLY_RULE")
                continue
            taken = accepted(offer.component, option, registry) if has else []
            wrong = [each for each in taken if "anything" in has or not is_data(each)]
            if wrong:
                found.append(f"{name} takes {wrong[0]!r}: mark it CALLER_ONLY_RULE")
    return found


@pytest.fixture(scope="module")
def installed():
    return default_registry()


def test_no_installed_component_gives_a_request_more_than_data(installed):
    assert [] == faults(installed)


def test_every_role_that_a_request_reaches_is_asked(installed):
    roles = {role for role in REACHED if installed.offers(role)}

    assert set(REACHED) == roles
    # What a preset may not set at all is marked, and nothing else is passed over.
    marked = {
        option
        for offer in installed.offers(*REACHED)
        for option, field in offer.component.model_fields.items()
        if any(isinstance(each, PresetRule) and each.caller_only for each in field.metadata)
    }
    assert {"corpus", "assistant_model", "amateur_model", "ensemble"} == marked


def test_counts_have_limits_in_requests(installed):
    """A strategy's whole numbers are counts, but for these, which the window or the words bound."""
    bounded = {
        "block_size",
        "confidence_tokens",
        "group_size",
        "max_accepts",
        "max_rejects",
        "rollout_tokens",
        "top_k",
        "unit",
    }
    counts = {
        (offer.name, option)
        for offer in installed.offers(Strategy)
        for option, field in offer.component.model_fields.items()
        if int in alternatives(field.annotation) and option not in bounded
    }

    assert ("beam", "num_beams") in counts
    for strategy, option in counts:
        config = {"strategy": strategy, option: 257}
        with pytest.raises(OptionError, match=f"^{option} is 257, a preset may have 256 at most"):
            compose({}, registry=installed, config=read_preset(config))
    config = {"stop_regex": "a", "stop_regex_max_length": 257}
    with pytest.raises(OptionError, match=r"^stop_regex_max_length is 257, a preset may have 256"):
        compose({}, registry=installed, config=read_preset(config))


def test_forms_and_expressions_have_limits_in_requests(installed):
    """Options that compile what they are given, and how long that may be."""
    long = {"json_schema": '"' + "a" * 20_000, "choice": ["a" * 20_001]}
    for option in ("json_schema", "regex", "grammar", "choice", "stop_regex"):
        value = long.get(option, "a" * 20_001)
        with pytest.raises(OptionError, match=f"^{option} has .* characters"):
            compose({}, registry=installed, config=read_preset({option: value}))


class Reads(LogitsProcessor):
    reads: Path | None = None


def looked_up(name):
    """Return the builtin of a name, as a careless author might."""
    return vars(builtins).get(name, name)


class Runs(LogitsProcessor):
    runs: Annotated[Callable[[str], float] | None, BeforeValidator(looked_up)] = None


class Loads(Sampler):
    loads: object = None


class Shapes(LogitsProcessor):
    shapes: type[BaseModel] | None = None


class Checks(Detector):
    checks: Any = None


class Marked(LogitsProcessor):
    marked: Annotated[Path | None, CALLER_ONLY_RULE, Field()] = None


@pytest.mark.parametrize(
    ("component", "said"),
    [
        (Reads, "reads.reads takes paths: mark it CALLER_ONLY_RULE"),
        (Runs, "runs.runs takes <built-in function print>: mark it CALLER_ONLY_RULE"),
        (Loads, "loads.loads takes '/etc/hostname': mark it CALLER_ONLY_RULE"),
        (Checks, "checks.checks takes '/etc/hostname': mark it CALLER_ONLY_RULE"),
        (Shapes, ""),
        (Marked, ""),
    ],
)
def test_a_component_that_gives_more_is_found(component, said):
    class Plugin:
        @hookimpl
        def gpt2sdk_components(self):
            return (component,)

    assert [said] * bool(said) == faults(Registry([Plugin()]), component)
