"""What a plugin object looks like: the hooks it implements, and what is wrong with them."""

import inspect
from collections.abc import Mapping
from difflib import get_close_matches
from types import ModuleType
from typing import cast

import pluggy
from typing_extensions import override

from gpt2sdk import hookspecs
from gpt2sdk.errors import GPT2SDKError, listing

PREFIX = "gpt2sdk_"
_MARK = "gpt2sdk_impl"
"""The attribute in which `hookimpl` keeps its options."""

HOOKS = tuple(name for name in vars(hookspecs) if name.startswith(PREFIX))
"""Every hook there is."""


class HookManager(pluggy.PluginManager):
    """A manager that looks at nothing of a plugin but its hooks.

    Before 1.7 pluggy reads every attribute, which imports all of a module that imports lazily.
    """

    def __init__(self) -> None:
        super().__init__("gpt2sdk")
        self.add_hookspecs(hookspecs)

    @override
    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        return super().parse_hookimpl_opts(plugin, name) if name.startswith(PREFIX) else None

    def admit(self, plugin: object, key: str) -> tuple[str, ...]:
        """Register a plugin whole or not at all, and return the hooks it implements.

        Raises:
            pluggy.PluginValidationError: Something is wrong with its hooks.
            ValueError: The same object is registered already.
        """
        marked = hooks_of(plugin)
        try:
            self.register(plugin, key)
        except Exception:
            # Before pluggy 1.7 a failed registration left a half of the plugin behind.
            self.dismiss(key)
            raise
        return marked

    def dismiss(self, key: str) -> None:
        """Forget a plugin, if it is registered."""
        if self.has_plugin(key):
            self.unregister(name=key)


def hooks_of(plugin: object) -> tuple[str, ...]:
    """Return the names of the hooks that a plugin implements.

    Raises:
        pluggy.PluginValidationError: It implements none, or one that does not exist, or one that
            is not marked or is marked as a wrapper.
    """
    options = {name: _options(value) for name, value in _functions(plugin).items()}
    unmarked = [name for name in options if name.startswith(PREFIX) and options[name] is None]
    marked = {name: found for name, found in options.items() if found is not None}
    unknown = [name for name in marked if name not in HOOKS and not marked[name]["optionalhook"]]
    wrappers = [name for name in marked if marked[name]["wrapper"] or marked[name]["hookwrapper"]]
    fault = ""
    if unmarked:
        fault = f"{listing(unmarked)} is not marked with gpt2sdk.hookimpl"
    elif unknown:
        near = get_close_matches(unknown[0], HOOKS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {listing(HOOKS)}"
        fault = f"{unknown[0]} is not a hook: {hint}"
    elif wrappers:
        fault = f"{wrappers[0]} is a wrapper, and hooks are called one by one: leave that out"
    elif inspect.isclass(plugin):
        fault = f"{plugin.__name__} is a class: hand in an instance"
    elif not marked:
        fault = f"it has no function marked with gpt2sdk.hookimpl; there are {listing(HOOKS)}"
    if fault:
        raise pluggy.PluginValidationError(plugin, fault)
    return tuple(sorted(marked))


def name_of(plugin: object) -> str:
    """Return what a plugin that is handed in is called.

    >>> name_of(inspect)
    'inspect'
    """
    return plugin.__name__ if isinstance(plugin, ModuleType) else type(plugin).__name__


def file_of(plugin: object) -> str:
    """Return the source file of a plugin; empty where there is none."""
    try:
        return inspect.getfile(plugin if isinstance(plugin, ModuleType) else type(plugin))
    except (OSError, TypeError):
        return ""


def said(error: BaseException) -> str:
    r"""Say in one line what was raised.

    >>> said(ValueError("too\nlong"))
    'ValueError: too long'
    """
    text = " ".join(str(error).split())
    if isinstance(error, GPT2SDKError | pluggy.PluginValidationError):
        return text
    return f"{type(error).__name__}: {text}".removesuffix(": ")


def _functions(plugin: object) -> dict[str, object]:
    """Return a plugin's functions by name; nothing else of it is touched."""
    if isinstance(plugin, ModuleType):
        members = vars(plugin)
    else:
        members = {name: inspect.getattr_static(plugin, name) for name in dir(plugin)}
    return {
        name: member
        for name, member in members.items()
        if inspect.isroutine(member) and not name.startswith("__")
    }


def _options(function: object) -> Mapping[str, bool] | None:
    """Return what a function was marked with; `None` where it was not."""
    return cast("Mapping[str, bool] | None", getattr(function, _MARK, None))
