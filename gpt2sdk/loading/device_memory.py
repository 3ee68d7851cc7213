"""How much memory each device may give to a model."""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import torch

from gpt2sdk.errors import OptionError
from gpt2sdk.loading.load_settings import MaxMemory
from gpt2sdk.loading.precision import is_here, parse_device
from gpt2sdk.mention import argument

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?) *([KMGT]?)(i?)B", re.IGNORECASE | re.ASCII)
_ALMOST = re.compile(r"(\d+(?:\.\d+)?) *([KMGT]?)(i?)(b|bytes?)?", re.IGNORECASE | re.ASCII)
_EXPECTED = 'a size with its unit, such as "2GB" (10^9 bytes each) or "2GiB" (2^30)'
# A smaller number without a unit is hardly one of bytes.
_FEW = 10**5
_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


def parse_size(size: int | str) -> int:
    """Read a number of bytes.

    >>> parse_size("2GB"), parse_size("1.5 GiB"), parse_size("4096B"), parse_size(4096)
    (2000000000, 1610612736, 4096, 4096)

    Raises:
        OptionError: If it has no unit, is a share, counts bits, or is not positive.
    """
    return _parse(size, size)


def size_text(nbytes: int) -> str:
    """Say a number of bytes in decimal units.

    >>> size_text(1_234_567_890), size_text(45_600_000), size_text(700)
    ('1.23 GB', '45.6 MB', '0.7 kB')
    """
    if nbytes >= 10**9:
        return f"{nbytes / 10**9:.2f} GB"
    return f"{nbytes / 10**6:.1f} MB" if nbytes >= 10**6 else f"{nbytes / 10**3:.1f} kB"


def device_name(device: torch.device) -> str:
    """Return the name under which a device is budgeted: `cpu`, `cuda:0`.

    >>> device_name(torch.device("cuda")), device_name(torch.device("cpu", 0))
    ('cuda:0', 'cpu')
    """
    return "cpu" if device.type == "cpu" else f"{device.type}:{device.index or 0}"


def memory_budget(
    max_memory: MaxMemory | int | str | None, device: torch.device, *, placed: bool
) -> dict[str, int]:
    """Return the bytes that each device may hold, in order of preference.

    Args:
        max_memory: What was asked for.
        device: Where the model runs.
        placed: Whether it may use other devices, too: the CPU, and what `max_memory` names; all
            GPUs, where it names nothing and the device is no particular one of them.

    Raises:
        OptionError: If a device or size makes no sense.
    """
    main = device_name(device)
    named = isinstance(max_memory, Mapping)
    if isinstance(max_memory, Mapping):
        asked = _parse_all(max_memory)
    else:
        asked = {} if max_memory is None else {main: parse_size(max_memory)}
    if not placed:
        return {main: asked[main] if main in asked else free_memory(device)}
    if max_memory is None and device == torch.device("cuda"):
        first = [f"cuda:{place}" for place in range(torch.cuda.device_count() or 1)]
    else:
        first = [] if named and main not in asked else [main]
    names = [name for name in dict.fromkeys([*first, *asked]) if name != "cpu"]
    budget = {name: asked.get(name) or free_memory(torch.device(name)) for name in names}
    budget["cpu"] = asked["cpu"] if "cpu" in asked else free_memory(torch.device("cpu"))
    return budget


def check_devices(
    max_memory: MaxMemory | int | str | None, device: torch.device, *, placed: bool
) -> None:
    """Make sure that a mapping names devices that are used, and the one that the model runs on.

    Memory of the CPU may always be named: weights come through it.

    Args:
        max_memory: What was asked for.
        device: Where the model runs; a GPU without a number may be any of them.
        placed: Whether it may use other GPUs, too.

    Raises:
        OptionError: If the mapping names others, or not that one.
    """
    if not isinstance(max_memory, Mapping):
        return
    main, names = device_name(device), list(_parse_all(max_memory))
    gpus = [name for name in names if name != "cpu"]
    if placed and device.type != "cpu":
        others, named = [], main in names or (device == torch.device(device.type) and bool(gpus))
    else:
        others, named = [name for name in gpus if name != main], main in names
    if others:
        on_gpu = device.type != "cpu"
        hint = argument("placement", "auto") if on_gpu else argument("device", others[0])
        raise _bad(dict(max_memory), f"{main} only, where the model runs; {hint} would use others")
    if not named:
        raise _bad(dict(max_memory), f"a size for {main} among them, where the model runs")


def planned_device(
    device: torch.device | str, max_memory: MaxMemory | int | str | None
) -> torch.device:
    """Return where a model would run, perhaps on another machine.

    Args:
        device: What was asked for; "auto" is a GPU if there is one, or `max_memory` names one.
        max_memory: What each device may hold.

    Raises:
        OptionError: If a device or size makes no sense.
    """
    names = _parse_all(max_memory) if isinstance(max_memory, Mapping) else ()
    if device == "auto" and any(name.startswith("cuda") for name in names):
        return torch.device("cuda")
    return parse_device(device, elsewhere=True)


def check_presence(max_memory: MaxMemory | int | str | None) -> None:
    """Make sure that a mapping names devices that are here.

    Raises:
        OptionError: If it names others.
    """
    if not isinstance(max_memory, Mapping):
        return
    absent = [name for name in _parse_all(max_memory) if not is_here(torch.device(name))]
    if absent:
        expected = f"devices of this machine, where {' and '.join(absent)} cannot be used"
        raise _bad(dict(max_memory), f"{expected} (gpt2sdk info plans for others, too)")


def free_memory(device: torch.device) -> int:
    """Return the bytes that are free on a device; what is not known is without limit.

    Raises:
        OptionError: If the device is not here.
    """
    if not is_here(device):
        name = device_name(device)
        message = f"{argument('max_memory')}: expected a size for {name}, which is not here"
        raise OptionError(message, name="max_memory", expected=f"a size for {name}")
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    found = [free for free in (_free_in_system(), _free_in_group()) if free is not None]
    return min(found, default=sys.maxsize)


def _parse(size: int | str, given: object) -> int:
    """Read a size that was given by itself, or in a mapping."""
    if isinstance(size, int) and not isinstance(size, bool):
        nbytes = size
    elif isinstance(size, str):
        nbytes = _parse_text(size.strip(), given)
    else:
        raise _bad(given, f"bytes as a number, or {_EXPECTED}")
    if nbytes < 1:
        raise _bad(given, "1 byte or more")
    return nbytes


def _parse_text(size: str, given: object) -> int:
    if size.endswith("%"):
        raise _bad(given, f"{_EXPECTED}; shares of a device are not offered")
    match = _SIZE.fullmatch(size)
    if match is None or size.endswith("b"):
        raise _bad(given, f"{_EXPECTED}{_meant(size)}")
    number, prefix, binary = match.groups()
    unit = (_BINARY_UNITS if binary else _UNITS)[prefix.upper()]
    return int(float(number) * unit)


def _meant(size: str) -> str:
    """Guess what a size was meant to be.

    >>> _meant("2gb"), _meant("8"), _meant("4000000"), _meant("much")
    ('. Did you mean 2GB?', '. Did you mean 8GB?', '. Did you mean 4000000B?', '')
    """
    match = _ALMOST.fullmatch(size)
    if match is None:
        return ""
    number, prefix, binary, said = match.groups()
    unit = prefix.upper() or ("G" if not said and float(number) < _FEW else "")
    return f". Did you mean {number}{unit}{binary.lower()}B?"


def _parse_all(max_memory: MaxMemory) -> dict[str, int]:
    """Read a mapping.

    >>> _parse_all({0: "2GB", "cpu": 5})
    {'cuda:0': 2000000000, 'cpu': 5}
    """
    asked: dict[str, int] = {}
    for key, size in max_memory.items():
        name = _parse_device(key)
        if name in asked:
            raise _bad(dict(max_memory), f"one size for {name}, which is named twice")
        asked[name] = _parse(size, {key: size})
    return asked


def _parse_device(key: object) -> str:
    """Read a device of a mapping; a number is a GPU's.

    >>> _parse_device(1), _parse_device("cuda"), _parse_device("cpu")
    ('cuda:1', 'cuda:0', 'cpu')
    """
    name = f"cuda:{key}" if isinstance(key, int) and not isinstance(key, bool) else key
    try:
        device = torch.device(name) if isinstance(name, str) else None
    except RuntimeError:
        device = None
    if device is None or device.type == "meta":
        raise OptionError(
            f"{argument('max_memory')}: {key!r} is no device: expected cpu, cuda:0 or the number "
            "of a GPU",
            name="max_memory",
            value=key,
            expected="cpu, cuda:0 or the number of a GPU",
        )
    return device_name(device)


def _free_in_system() -> int | None:
    """Return what can be had without swapping."""
    if _MEMINFO.is_file():
        match = re.search(r"^MemAvailable:\s+(\d+) kB", _MEMINFO.read_text(), re.MULTILINE)
        if match:
            return int(match[1]) * 1024
    names = getattr(os, "sysconf_names", {})
    if "SC_AVPHYS_PAGES" in names:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _free_in_group() -> int | None:
    """Return what a container's limit leaves; its file cache counts as free."""
    try:
        limit = int((_CGROUP / "memory.max").read_text())
        used = int((_CGROUP / "memory.current").read_text())
        stat = dict(map(str.split, (_CGROUP / "memory.stat").read_text().splitlines()))
        return max(limit - used + int(stat["inactive_file"]), 0)
    except (OSError, ValueError, KeyError):
        return None


def _bad(size: object, expected: str) -> OptionError:
    return OptionError(
        f"{argument('max_memory', size)}: expected {expected}",
        name="max_memory",
        value=size,
        expected=expected,
    )
