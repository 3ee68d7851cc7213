"""What a plugin may offer: component classes of the core's roles, under names of their own."""

import re
from collections import Counter
from collections.abc import Iterable

from gpt2sdk.components.component import Component, snake_case
from gpt2sdk.errors import PluginContractError, listing

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_ROLES_HOME = "gpt2sdk.components."


def roles_of(component: type[Component]) -> tuple[type[Component], ...]:
    """Return the roles a component has: those of its ancestors that the core derives directly.

    >>> from gpt2sdk.defaults import Greedy
    >>> roles_of(Greedy)
    (<class 'gpt2sdk.components.sampler.Sampler'>,)
    """
    return tuple(
        ancestor
        for ancestor in component.__mro__[1:]
        if Component in ancestor.__bases__ and ancestor.__module__.startswith(_ROLES_HOME)
    )


def role_name(role: type[Component]) -> str:
    """Return what a role is called in messages and tables.

    >>> from gpt2sdk.components.processor import LogitsProcessor
    >>> role_name(LogitsProcessor)
    'logits processor'
    """
    return snake_case(role.__name__).replace("_", " ")


def component_classes(returned: object) -> tuple[type[Component], ...]:
    """Check what `gpt2sdk_components` returned, and put strategies in their functions' place.

    Raises:
        PluginContractError: Something in it is no component, or has no name of its own.
    """
    if isinstance(returned, str | type) or not isinstance(returned, Iterable):
        message = f"gpt2sdk_components returned {returned!r}, not a tuple of component classes"
        raise PluginContractError(message)
    classes = tuple(_component_class(item) for item in returned)
    names = Counter((role, each.name) for each in classes for role in roles_of(each))
    twice = [f"the {role_name(role)} {name}" for (role, name), n in names.items() if n > 1]
    if twice:
        raise PluginContractError(f"gpt2sdk_components returned two of {listing(twice)}")
    return classes


def _component_class(item: object) -> type[Component]:
    """Check one item."""
    found = getattr(item, "component", item)
    if not isinstance(found, type) or not issubclass(found, Component):
        kind = f"an instance of {type(found).__name__}" if isinstance(found, Component) else "none"
        raise PluginContractError(
            f"gpt2sdk_components returned {item!r}: expected component classes and strategy "
            f"functions, this is {kind}"
        )
    if not roles_of(found):
        raise PluginContractError(
            f"{found.__name__} has no role: derive it from LogitsProcessor, "
            "Sampler, StoppingCriterion or another role of gpt2sdk"
        )
    if not _NAME.fullmatch(found.name):
        raise PluginContractError(
            f"{found.name!r}, the name of {found.__name__}, is not in snake_case"
        )
    return found
