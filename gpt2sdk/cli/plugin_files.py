"""Plugins in one file, `--plugin rules.py`: nothing to package, nothing to install."""

import sys
from collections.abc import Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from gpt2sdk.errors import OptionError, PluginLoadError
from gpt2sdk.plugins.registry import Registry, default_registry


def read_plugins(files: Sequence[Path] | None) -> list[ModuleType]:
    """Import plugin files.

    Raises:
        OptionError: A file is not there.
        PluginLoadError: A file cannot be imported.
    """
    return [_import(file) for file in files or ()]


def registry_with(plugins: Sequence[ModuleType]) -> Registry:
    """Return a registry of all installed components and those of these plugins."""
    return Registry(plugins) if plugins else default_registry()


def _import(file: Path) -> ModuleType:
    # The file's own name, dot included, is no importable name: it hides no other module.
    spec = spec_from_file_location(file.name, file)
    if not file.is_file() or spec is None or spec.loader is None:
        raise OptionError(
            f"--plugin {file}: expected a Python file", name="plugin", value=str(file)
        )
    module = module_from_spec(spec)
    # Annotations that are strings are looked up there.
    sys.modules[file.name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise PluginLoadError(
            f"--plugin {file} cannot be imported: {type(error).__name__}: {error}", plugin=file.name
        ) from error
    return module
