"""The roles plugins fill, the records that flow, and, by name, every installed component."""

from importlib import import_module


def __getattr__(name: str) -> object:
    """Find an installed component by the name of its class: `gpt2sdk.components.MinP`.

    Modules of this package are lower-case, so that importing one never looks for plugins.
    """
    if not name[:1].isupper():
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    # The registry stands above this package and imports it: only a late import can reach it.
    registry = import_module("gpt2sdk.plugins.registry").default_registry()
    component = registry.class_named(name)
    if component is None:
        raise AttributeError(f"no installed plugin has a component {name}{registry.advice(name)}")
    return component


def __dir__() -> list[str]:
    """The modules of this package that are loaded, and the installed component classes."""
    registry = import_module("gpt2sdk.plugins.registry").default_registry()
    classes = {offer.component.__name__ for offer in registry.offers()}
    return sorted({*globals(), *(name for name in classes if name[:1].isupper())})
