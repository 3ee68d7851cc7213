"""Components built from their options: one for all prompts, or one for each."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from gpt2sdk.components.component import Component, identity, neutral
from gpt2sdk.errors import OptionError, PluginContractError
from gpt2sdk.options.field import allows_none, is_plain_number
from gpt2sdk.options.given import Each, Given
from gpt2sdk.plugins.inspection import said

C = TypeVar("C", bound=Component)
X = TypeVar("X", bound=Component | None)


def build(component: type[C], given: Mapping[str, Given]) -> C:
    """Build settings that are the same for all prompts.

    Raises:
        OptionError: An option is wrong, or differs from prompt to prompt.
    """
    for option, one in given.items():
        if _column(component, option, one.value) is not None:
            raise OptionError(
                f"{one.written} is one value for all prompts: what can differ are options of "
                "components, max_new_tokens, num_return_sequences and seed",
                name=one.written,
                value=one.value,
            )
    return construct(component, given)


def build_each(component: type[C], given: Mapping[str, Given], prompts: int) -> tuple[C, ...]:
    """Build a component that a call names: one for all prompts, or one for each.

    Prompts with equal options share one object.

    Raises:
        OptionError: An option is wrong, or there are not as many values as prompts.
    """
    columns = _columns(component, given, prompts)
    if not columns:
        return (construct(component, given),)
    return _alike(_each_prompt(lambda own: construct(component, own), given, columns, prompts))


def spread(
    component: type[Component], option: str, given: Given | None, prompts: int
) -> tuple[int | None, ...]:
    """Return the checked value of a whole number for all prompts, or that for each.

    Raises:
        OptionError: A value is wrong, or there are not as many as prompts.
    """
    one = given or Given(option, None)
    column = _column(component, option, one.value)
    values = (one.value,) if column is None else column.checked(one.written, prompts).values
    return tuple(
        getattr(construct(component, {option: Given(one.written, value)}), option)
        for value in values
    )


def build_for_prompts(
    component: type[C], given: Mapping[str, Given], prompts: int
) -> tuple[C | None, ...]:
    """Build a component for all prompts, or one for each; `None` where it is off.

    Prompts with equal options share one object.

    Raises:
        OptionError: An option is wrong, there are not as many values as prompts, or the option
            that turns the component on is missing.
    """
    switch = component.switch()
    if switch is None or switch not in given:
        first = next(iter(given.values()))
        raise OptionError(
            f"{first.written} does nothing without {switch}: expected {switch}, too",
            name=first.written,
            value=first.value,
            expected=switch or "",
        )
    columns = _columns(component, given, prompts)
    if not columns:
        return (_build_one(component, switch, given),)
    built = _each_prompt(lambda own: _build_one(component, switch, own), given, columns, prompts)
    return unified(built)


def unified(components: list[C | None]) -> tuple[C | None, ...]:
    """Put one object in the place of equal ones, and one for all prompts where all are equal.

    >>> unified([None, None, None])
    (None,)
    """
    return _alike(components)


def _alike(components: Sequence[X]) -> tuple[X, ...]:
    first: dict[object, X] = {}
    merged = tuple(first.setdefault(identity(each), each) for each in components)
    return merged if len(first) > 1 else merged[:1]


def _each_prompt(
    make: Callable[[Mapping[str, Given]], X],
    given: Mapping[str, Given],
    columns: Mapping[str, Sequence[object]],
    prompts: int,
) -> list[X]:
    """Make what each prompt has of the options that it has.

    Raises:
        OptionError: An option is wrong; the message says of which prompt.
    """
    made = []
    for prompt in range(prompts):
        own = {option: given[option].of(column[prompt]) for option, column in columns.items()}
        try:
            made.append(make({**given, **own}))
        except OptionError as error:
            raise OptionError(
                f"prompt {prompt}: {error}",
                name=error.name,
                value=error.value,
                expected=error.expected,
            ) from error
    return made


def _columns(
    component: type[Component], given: Mapping[str, Given], prompts: int
) -> dict[str, tuple[object, ...]]:
    """Return the options that have a value for each prompt.

    Raises:
        OptionError: There are not as many values as prompts.
    """
    columns = {}
    for option, one in given.items():
        column = _column(component, option, one.value)
        if column is not None:
            columns[option] = column.checked(one.written, prompts).values
    return columns


def _column(component: type[Component], option: str, value: object) -> Each | None:
    """Return the values for each prompt: marked as such, or a list where a number belongs."""
    if isinstance(value, list | tuple):
        number = is_plain_number(component.model_fields[option].annotation)
        return Each(tuple(value)) if number else None
    return value if isinstance(value, Each) else None


def _build_one(component: type[C], switch: str, given: Mapping[str, Given]) -> C | None:
    """Build the component one prompt has; `None` if it is off."""
    value = given[switch].value
    field = component.model_fields[switch]
    if value is None and not allows_none(field.annotation):
        return None
    default = neutral(field)
    if len(given) == 1 and type(value) is type(default) and component.is_neutral(value):
        return None
    made = construct(component, given)
    return made if made.is_on() else None


def construct(component: type[C], given: Mapping[str, Given]) -> C:
    """Construct a component; `None` for an option that has no such value means its default."""
    values = {
        option: one.value
        for option, one in given.items()
        if one.value is not None or allows_none(component.model_fields[option].annotation)
    }
    try:
        return component(**values)
    except OptionError as error:
        written = given[error.name].written if error.name in given else error.name
        raise OptionError(
            str(error).replace(error.name, written, 1),
            name=written,
            value=error.value,
            expected=error.expected,
        ) from error
    except Exception as error:
        raise PluginContractError(
            f"{component.name} refused its options with {said(error)}",
            plugin=component.name,
        ) from error
