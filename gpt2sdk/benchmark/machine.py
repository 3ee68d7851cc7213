"""What a measurement was taken on: processor, instruction sets, cores, threads and versions."""

import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

# What kernels of matrix products are chosen by, as Linux calls it.
_SETS = (
    *("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16"),
    *("amx_tile", "amx_int8", "amx_bf16"),
    *("asimd", "asimddp", "i8mm", "bf16", "sve"),
)
_CPUINFO = Path("/proc/cpuinfo")


def describe_machine(packages: Iterable[str] = ("gpt2sdk", "torch")) -> dict[str, object]:
    """Return what is known of this machine and process, ready for JSON.

    Args:
        packages: Distributions whose versions matter; those that are not installed are left out.
    """
    facts = _cpu_facts(_CPUINFO.read_text() if _CPUINFO.exists() else "")
    flags = facts.get("flags", facts.get("Features", "")).split()
    return {
        "processor": facts.get("model name") or platform.processor() or platform.machine(),
        "instruction_sets": [each for each in _SETS if each in flags],
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "versions": {name: found for name in packages if (found := _version(name))},
    }


def _cpu_facts(cpuinfo: str) -> dict[str, str]:
    r"""Return what `/proc/cpuinfo` says of its first processor.

    >>> _cpu_facts("model name\t: AMD EPYC\nflags\t\t: avx2 fma\n\nmodel name\t: other\n")
    {'model name': 'AMD EPYC', 'flags': 'avx2 fma'}
    """
    first = cpuinfo.strip().partition("\n\n")[0]
    parts = [line.partition(":") for line in first.splitlines()]
    return {name.strip(): value.strip() for name, sign, value in parts if sign}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
