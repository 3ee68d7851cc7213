"""Calls with arguments that there are not, or without one that is needed: answered in our words."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import ParamSpec, Protocol, TypeVar, runtime_checkable

from gpt2sdk.elsewhere import Elsewhere
from gpt2sdk.errors import OptionError, listing
from gpt2sdk.generator.load_words import LOADS_ELSEWHERE
from gpt2sdk.options import CALLS_ELSEWHERE, Settings, of_loading
from gpt2sdk.plugins.registry import default_registry
from gpt2sdk.spelling import likely

P = ParamSpec("P")
R = TypeVar("R")


@runtime_checkable
class Answering(Protocol):
    """What `answering` makes."""

    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]:
        """Return a function of the same signature."""


def answering(words: Mapping[str, Elsewhere]) -> Answering:
    """Let a function answer an argument that it does not have, and the lack of one that it needs.

    Its signature stays what it is, so that type checkers and documentation tell what there is.
    One that takes any options answers for their names itself.

    Args:
        words: What others call its arguments, by name.

    Raises:
        OptionError: There is no such argument, or one is missing; nothing has run then.
    """

    def decorated(function: Callable[P, R]) -> Callable[P, R]:
        parameters = list(inspect.signature(function).parameters.values())
        open_ended = any(each.kind is each.VAR_KEYWORD for each in parameters)
        named = [each for each in parameters if each.kind is not each.VAR_KEYWORD]
        known = [each.name for each in named if each.name not in {"cls", "self"}]
        needed = [
            (place, each.name) for place, each in enumerate(named) if each.default is each.empty
        ]

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            for name, value in () if open_ended else kwargs.items():
                if name not in known:
                    raise _unknown(function.__name__, name, value, known, words)
            for place, name in needed:
                if place >= len(args) and name not in kwargs:
                    raise _missing(function.__name__, name, known, words)
            return function(*args, **kwargs)

        return call

    return decorated


def _unknown(
    function: str,
    name: str,
    value: object,
    known: Sequence[str],
    words: Mapping[str, Elsewhere],
) -> OptionError:
    """The error for an argument that there is not, with what may have been meant."""
    if name in words:
        hint = words[name].hint
    elif near := likely(name, known):
        hint = f"did you mean {' or '.join(near)}?"
    elif words is not LOADS_ELSEWHERE and (of_loading(name) or name in LOADS_ELSEWHERE):
        hint = of_loading(name) or "it is chosen where the model is loaded"
    elif _is_of_calls(name):
        hint = "the options of a call are given to generate and stream"
    elif near := likely(name, words, 1):
        hint = words[near[0]].hint
    else:
        hint = f"it has {listing(known)}"
    return OptionError(
        f"{function} has no argument {name}: {hint}", name=name, value=value, expected=hint
    )


def _missing(
    function: str, name: str, known: Sequence[str], words: Mapping[str, Elsewhere]
) -> OptionError:
    """The error for an argument that was not given."""
    hints = (row.hint for row in words.values() if name in row.here)
    hint = next(hints, f"it has {listing(known)}")
    return OptionError(f"{function} has no {name}: {hint}", name=name, expected=hint)


def _is_of_calls(name: str) -> bool:
    """Whether a name is an option of calls, here or elsewhere."""
    own = name in Settings.model_fields or default_registry().having(name)
    return bool(own) or name in CALLS_ELSEWHERE
