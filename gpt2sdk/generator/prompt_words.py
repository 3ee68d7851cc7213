"""A call without a prompt: it may have one under another library's name."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, Protocol, TypeVar, cast

from gpt2sdk.errors import OptionError
from gpt2sdk.options import CALLS_ELSEWHERE, check_names
from gpt2sdk.plugins.registry import Registry


class HasRegistry(Protocol):
    """What calls are made of, as far as the names of their options go."""

    registry: Registry


P = ParamSpec("P")
R = TypeVar("R")


def asking_for_a_prompt(method: Callable[P, R]) -> Callable[P, R]:
    """Let a method answer a call that has no prompt in words of this library.

    Its signature stays what it is, so that type checkers and documentation tell what there is.

    Raises:
        OptionError: There is none; nothing has run then.
    """
    own = inspect.signature(method).parameters

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if len(args) == 1 and "prompt" not in kwargs:
            options = {name: value for name, value in kwargs.items() if name not in own}
            check_names(options, cast("HasRegistry", args[0]).registry)
            hint = CALLS_ELSEWHERE["prompts"].hint
            raise OptionError(f"{method.__name__} has no prompt: {hint}", name="prompt")
        return method(*args, **kwargs)

    return call
