"""Compiles the engine: `python -m gpt2sdk_native.build [FLAGS]`. It needs no torch."""

import hashlib
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

SOURCES = Path(__file__).parent / "engine"
LIBRARY = "libgpt2sdk.so"
GLIBC = "2.17"
"""The oldest C library that what is built for another machine, or for a wheel, runs with."""

# Sums have one order, and a product is added without rounding exactly where it is written so.
_FLAGS = ("-std=c11", "-fPIC", "-ffp-contract=off", "-fno-math-errno", "-Wall", "-Wextra")
_AVX512 = ("f", "bw", "vl", "dq", "vnni")
_SCALAR = {"scalar": ("-O2",)}
_DOT, _ZIGS_DOT = "-march=armv8.2-a+dotprod", "-mcpu=generic+dotprod"
_KERNELS = {
    "x86_64": {
        "avx2": ("-O3", "-DISA_avx2", "-mavx2", "-mfma"),
        "avx512": ("-O3", "-DISA_avx512", "-mfma", *(f"-mavx512{part}" for part in _AVX512)),
        **_SCALAR,
    },
    "aarch64": {"neon": ("-O3", "-DISA_neon", _DOT), **_SCALAR},
}


def machine() -> str:
    """Return this machine's processors, as compilers name them."""
    return {"AMD64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())


def compilers() -> list[list[str]]:
    """Return commands that may compile for this machine, the ones to try first in front."""
    found = [[path] for name in ("gcc", "clang", "cc") if (path := shutil.which(name))]
    return [*found, zig()] if find_spec("ziglang") else found


def zig(target: str = "") -> list[str]:
    """Return the command of the `ziglang` wheel's C compiler.

    Args:
        target: Processors other than this machine's, with the oldest C library that will do.
    """
    chosen = ["-target", f"{target}-linux-gnu.{GLIBC}"] if target else []
    return [sys.executable, "-m", "ziglang", "cc", *chosen]


def sources() -> str:
    """Return a digest of the engine's sources, which a library says it was built of."""
    digest = hashlib.sha256()
    for path in sorted(SOURCES.glob("*.[ch]")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def build(folder: Path, flags: Sequence[str] = (), target: str = "") -> str:
    """Compile the engine into a folder.

    Args:
        folder: Where `libgpt2sdk.so` goes.
        flags: More flags, such as a sanitizer's.
        target: `x86_64` or `aarch64`, for a wheel: built by `ziglang`, to run with old C libraries.

    Returns:
        What keeps it from being built; empty if it was built.
    """
    if sys.platform != "linux":
        return f"the compiled engine is for Linux, not {sys.platform}"
    commands = [zig(target)] if target else compilers()
    problem = "there is neither a C compiler nor the ziglang wheel"
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch, LIBRARY)
        for command in commands:
            problem = link(command, made, ["-shared", *flags], target or machine())
            if not problem:
                folder.mkdir(parents=True, exist_ok=True)
                # Renamed into its place: a process that has the old one open keeps it.
                shutil.copy(made, folder / f".{LIBRARY}")
                Path(folder, f".{LIBRARY}").replace(folder / LIBRARY)
                break
    return problem


def link(
    command: Sequence[str],
    made: Path,
    flags: Sequence[str],
    processor: str,
    programs: Sequence[Path] = (),
) -> str:
    """Compile all sources and link them.

    Args:
        command: The compiler's.
        made: The library, or the program, that is made.
        flags: For every source, and for linking: `-shared` for a library.
        processor: For which processors, as `machine` names them.
        programs: Sources that are linked, too.

    Returns:
        What went wrong, or nothing.
    """
    kernels = _KERNELS.get(processor, _SCALAR)
    plain = [path for path in sorted(SOURCES.glob("*.c")) if path.stem != "kernels"]
    units: list[tuple[Path, Sequence[str]]] = [
        *((path, ("-O2", f'-DGPT2SDK_SOURCES="{sources()}"')) for path in plain),
        *((SOURCES / "kernels.c", own) for own in kernels.values()),
        *((path, ("-O1", f"-I{SOURCES}")) for path in programs),
    ]
    with tempfile.TemporaryDirectory() as scratch:
        objects = [str(Path(scratch, f"{place}.o")) for place in range(len(units))]
        for (source, own), target in zip(units, objects, strict=True):
            each = [flag for flag in flags if flag not in {"-shared", "-static"}]
            # Zig has no -march: it names processors, with what they have besides.
            for_zig = "ziglang" in command
            each += [_ZIGS_DOT if flag == _DOT and for_zig else flag for flag in own]
            problem = _run([*command, *_FLAGS, *each, "-c", str(source), "-o", target])
            if problem:
                return problem
        return _run([*command, *flags, *objects, "-o", str(made), "-lm", "-pthread"])


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stderr.strip() or "the compiler failed" if done.returncode else ""


if __name__ == "__main__":
    if problem := build(SOURCES, sys.argv[1:]):
        print(f"gpt2sdk-native: torch computes, more slowly: {problem}", file=sys.stderr)  # noqa: T201
