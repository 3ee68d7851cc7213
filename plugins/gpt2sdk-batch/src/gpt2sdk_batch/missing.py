"""Packages that only some formats need: what to install where one is missing."""

from importlib import import_module
from types import ModuleType

from gpt2sdk import OptionError

_EXTRAS = {"pyarrow": "parquet", "pandas": "pandas", "datasets": "datasets", "ray": "ray"}


def needed(name: str, what: str) -> ModuleType:
    """Import a package.

    Args:
        name: The package, or a module of it.
        what: What needs it.

    Raises:
        OptionError: It is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        extra = _EXTRAS[package]
        message = f"{what} needs {package} ({error}): pip install 'gpt2sdk-batch[{extra}]'"
        raise OptionError(message, name=package) from None
