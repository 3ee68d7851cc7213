"""The engines that `gpt2sdk bench` compares: all combinations of what its flags name."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from types import ModuleType

from gpt2sdk.cli.load_flags import LoadFlags
from gpt2sdk.cli.loaded_generator import load_generator
from gpt2sdk.errors import OptionError
from gpt2sdk.generator.generator import Generator
from gpt2sdk.loading import LoadSettings

_NONE = "none"


def read_counts(written: str) -> list[int]:
    """Read how many rows there are to be.

    >>> read_counts("1, 8")
    [1, 8]

    Raises:
        OptionError: These are no whole numbers from 1.
    """
    parts = [part.strip() for part in written.split(",")]
    if not all(part.isdecimal() and int(part) for part in parts):
        message = f"--rows {written}: expected whole numbers from 1, such as 1,8,32"
        raise OptionError(message, name="rows", value=written)
    return list(dict.fromkeys(map(int, parts)))


def engine_names(flags: LoadFlags) -> dict[str, LoadFlags]:
    """Return what is compared, by a name that says in what it differs from the others.

    >>> list(engine_names(LoadFlags(runner="torch,native", quantization="none,int8")))
    ['torch', 'torch int8', 'native', 'native int8']
    >>> list(engine_names(LoadFlags(dtype="bfloat16")))
    ['auto bfloat16']

    Args:
        flags: What the flags said, with commas between several names of one.

    Raises:
        OptionError: A name is missing, or there twice.
    """
    found: dict[str, LoadFlags] = {}
    runners, quantizers, dtypes = (
        _names(flag, written)
        for flag, written in {
            "runner": flags.runner,
            "quantization": flags.quantization or _NONE,
            "dtype": flags.dtype,
        }.items()
    )
    for runner, quantizer, dtype in product(runners, quantizers, dtypes):
        quantization = None if quantizer == _NONE else quantizer
        name = [runner, quantization or "", "" if dtype == "auto" else dtype]
        found[" ".join(filter(None, name))] = replace(
            flags, runner=runner, quantization=quantization, dtype=dtype
        )
    return found


def load_engines(
    model: str,
    flags: LoadFlags,
    settings: Mapping[str, LoadSettings],
    plugins: Sequence[ModuleType],
) -> dict[str, Generator]:
    """Load a model in each of these ways.

    Args:
        model: Its name.
        flags: What all have in common: adapter, revision and whether to go online.
        settings: How each is loaded.
        plugins: Plugins of files.
    """
    return {name: load_generator(model, flags, each, plugins) for name, each in settings.items()}


def _names(flag: str, written: str) -> list[str]:
    """Return the names that a flag has."""
    names = [part.strip() for part in written.split(",")]
    if not all(names) or len(set(names)) < len(names):
        message = f"--{flag} {written}: expected different names with commas between them"
        raise OptionError(message, name=flag, value=written)
    return names
