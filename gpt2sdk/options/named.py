"""The strategy, sampler and drafter of a call: what was named, or handed in."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from gpt2sdk.components.component import Component
from gpt2sdk.components.detector import Detector
from gpt2sdk.components.drafter import Drafter
from gpt2sdk.components.sampler import Sampler
from gpt2sdk.components.session import Session, Step
from gpt2sdk.components.strategy import Strategy, StrategyFunction, strategy
from gpt2sdk.defaults import Greedy, Multinomial
from gpt2sdk.errors import OptionError
from gpt2sdk.options.building import build_each
from gpt2sdk.options.call_words import of_loading
from gpt2sdk.options.field import understood
from gpt2sdk.options.given import Given, read
from gpt2sdk.plugins.registry import Registry
from gpt2sdk.spelling import likely

C_co = TypeVar("C_co", bound=Component, covariant=True)


@dataclass(frozen=True, slots=True)
class Named(Generic[C_co]):
    """A component that a call names, or the default of its role.

    Attributes:
        role: The setting that names it: `strategy`, `sampler` or `drafter`.
        component: Its class.
        instance: The component itself where it was handed in ready-made.
    """

    role: str
    component: type[C_co]
    instance: C_co | None = None

    def build(self, given: Mapping[str, Given], prompts: int) -> tuple[C_co, ...]:
        """Build the component from its options: one for all prompts, or one for each.

        Raises:
            OptionError: An option is wrong, or was given for a component handed in ready-made.
        """
        if self.instance is None:
            return build_each(self.component, given, prompts)
        for one in given.values():
            raise OptionError(
                f"{one.written} is an option of the {self.role} {self.component.name}, which was "
                "handed in ready-made: set it there",
                name=one.written,
                value=one.value,
            )
        return (self.instance,)


def named_strategy(value: object, registry: Registry) -> Named[Strategy]:
    """Return the strategy that a call names.

    Args:
        value: A name, a `Strategy`, a `@strategy` function, or a bare generator function of the
            session. A bare one's rows may depend on one another, and nothing is certain before
            they end.
        registry: Where names are looked up.

    Raises:
        OptionError: It is none of these.
    """
    if isinstance(value, StrategyFunction):
        return Named("strategy", value.component)
    if inspect.isfunction(value) or inspect.ismethod(value):
        return Named("strategy", _bare_strategy(value))
    return _named("strategy", Strategy, value, registry)


def named_sampler(value: object, registry: Registry, drawn_by: type[Strategy]) -> Named[Sampler]:
    """Return the sampler that a call names; the default is multinomial, or greedy.

    Raises:
        OptionError: It is no sampler, or the strategy picks tokens without one.
    """
    if value is None:
        return Named("sampler", Multinomial if drawn_by.draws else Greedy)
    if not takes_sampler(drawn_by):
        why = "draws in a way of its own" if drawn_by.draws else "does not draw"
        raise OptionError(
            f"sampler has no effect with the strategy {drawn_by.name}, which {why}: leave it out",
            name="sampler",
            value=value,
        )
    return _named("sampler", Sampler, value, registry)


def takes_sampler(strategy: type[Strategy]) -> bool:
    """Whether a strategy has a sampler pick its tokens."""
    return strategy.draws and strategy.chooses


def named_drafter(value: object, registry: Registry) -> Named[Drafter] | None:
    """Return the drafter that a call names; `None` for no speculation.

    Raises:
        OptionError: It is no drafter.
    """
    return None if value is None else _named("drafter", Drafter, value, registry)


def named_detector(value: object, options: Mapping[str, object], registry: Registry) -> Detector:
    """Return the detector that is named, built from its options, or the one handed in.

    Args:
        value: A name or a `Detector`.
        options: The detector's, under their own names or as `detector.option`.
        registry: Where names are looked up.

    Raises:
        OptionError: It is no detector, it has no such option, or a value is wrong.
    """
    named = _named("detector", Detector, value, registry)
    known = named.component.option_names()
    given: dict[str, Given] = {}
    for name, one in read(options).items():
        option = name.removeprefix(f"{named.component.name}.")
        if option not in known:
            near = likely(option, known)
            hint = f"did you mean {' or '.join(near)}?" if near else of_loading(option)
            hint = hint or f"expected {' or '.join(known) or 'none'}"
            raise OptionError(
                f"{one.written} is not an option of the detector {named.component.name}: {hint}",
                name=one.written,
                value=one.value,
                expected=hint,
            )
        given[option] = understood(one, named.component.model_fields[option])
    (detector,) = named.build(given, prompts=1)
    return detector


def _named(setting: str, role: type[C_co], value: object, registry: Registry) -> Named[C_co]:
    """Look a name up, or take a component as it is."""
    if isinstance(value, str):
        return Named(setting, registry.find(role, value))
    if isinstance(value, role):
        return Named(setting, type(value), value)
    if inspect.isclass(value):
        got = f"the class {value.__name__}: give an instance, {value.__name__}(...), or its name"
    else:
        got = repr(value)
    expected = f"a name or a {role.__name__}"
    raise OptionError(
        f"{setting} expects {expected}, got {got}", name=setting, value=value, expected=expected
    )


def _bare_strategy(function: Callable[[Session], Iterator[Step]]) -> type[Strategy]:
    """Make a strategy of a function that declares nothing."""
    try:
        inspect.signature(function).bind_partial(None)
        return strategy(hold=None)(function).component
    except (TypeError, NameError) as error:
        raise OptionError(
            f"strategy expects a function of the session, its options keyword-only with "
            f"annotations and defaults, got {function!r}: {error}",
            name="strategy",
            value=function,
        ) from error
