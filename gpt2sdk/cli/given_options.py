"""Options as they are written on the command line, and what their values mean."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from pydantic import ValidationError, create_model
from pydantic.fields import FieldInfo

from gpt2sdk.components.component import Component, freeze
from gpt2sdk.errors import OptionError
from gpt2sdk.generator.assignment import owners_of
from gpt2sdk.generator.choice import (
    Choice,
    choose_drafter,
    choose_sampler,
    choose_strategy,
)
from gpt2sdk.generator.each import Each, read_each
from gpt2sdk.generator.given import Given, spelled
from gpt2sdk.generator.settings import Settings
from gpt2sdk.plugins.registry import Registry

_LEADS: Final = ("strategy", "sampler", "drafter")
_PYTHON: Final[Mapping[str, object]] = {"True": True, "False": False, "None": None}


def read_options(
    written: Sequence[str] | None, flags: Mapping[str, object], registry: Registry
) -> dict[str, object]:
    """Return the options of a call by name.

    Args:
        written: Each `name=value`, as `-o` has it.
        flags: Options that have flags of their own; `None` for a flag that was not given.
        registry: What says which type an option has.

    Raises:
        OptionError: One is not written like that, is there twice or is unknown.
        PluginConflictError: A name means components of several plugins.
    """
    options = {name: value for name, value in flags.items() if value is not None}
    texts = take_apart(written or (), list(options))
    leads = {
        spelled(name): parse(text, Settings.model_fields[spelled(name)])
        for name, text in texts.items()
        if spelled(name) in _LEADS
    }
    choices = _choices({**options, **leads}, registry)
    for name, text in texts.items():
        options[name] = parse(text, _field(name, text, choices, registry))
    return options


def parse(text: str, field: FieldInfo) -> object:
    """Read a value as JSON where that fits the option's type, else as text.

    A list of one may be written without its brackets.

    >>> strings = FieldInfo(annotation=tuple[str, ...])
    >>> parse('["a", "b"]', strings), parse("5", strings)
    (['a', 'b'], ['5'])
    >>> parse("0.5", FieldInfo(annotation=float)), parse("null", FieldInfo(annotation=str | None))
    (0.5, None)
    """
    readings = list(_readings(text))
    fitting = (value for value in readings if _fits(value, field))
    return next(fitting, readings[0])


def take_apart(written: Sequence[str], taken: Sequence[str] = ()) -> dict[str, str]:
    """Take names and values apart.

    Args:
        written: Each `name=value`.
        taken: Names that were given otherwise.

    Raises:
        OptionError: One is not written like that, or is there twice.
    """
    texts: dict[str, str] = {}
    names = set(taken)
    for one in written:
        name, sign, text = one.partition("=")
        if not (name and sign):
            raise OptionError(f"-o {one}: expected name=value", name=name, value=one)
        if spelled(name) in names:
            raise OptionError(
                f'{name} is given twice: expected one value (a list is one: ["a", "b"])',
                name=name,
                value=text,
            )
        names.add(spelled(name))
        texts[name] = text
    return texts


def _choices(options: Mapping[str, object], registry: Registry) -> list[Choice[Component]]:
    """Return the components that the call names."""
    strategy = choose_strategy(options.get("strategy", "sample"), registry)
    sampler = choose_sampler(options.get("sampler"), registry, strategy.component)
    drafter = choose_drafter(options.get("drafter"), registry)
    return [strategy, sampler] if drafter is None else [strategy, sampler, drafter]


def _field(
    name: str, text: str, choices: Sequence[Choice[Component]], registry: Registry
) -> FieldInfo:
    """Find the field that an option sets."""
    option = spelled(name)
    if option in Settings.model_fields:
        return Settings.model_fields[option]
    owners = owners_of(option, Given(name, text), choices, registry)
    return owners[0].model_fields[option.rpartition(".")[2]]


def _readings(text: str) -> Iterator[object]:
    """Yield what a text may mean, the likeliest first."""
    value = _PYTHON.get(text, text)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        # JSON knows `0.5` only; people also write `.5`.
        with suppress(ValueError):
            value = float(text)
    yield value
    yield text
    yield [value]
    yield [text]


def _fits(value: object, field: FieldInfo) -> bool:
    """Whether an option may have this value, in this type."""
    if isinstance(read_each(value), Each):
        return True
    annotation: Any = field.annotation
    model = create_model("Option", __config__=Component.model_config, value=(annotation, field))
    try:
        model(value=freeze(value))
    except ValidationError:
        return False
    return True
