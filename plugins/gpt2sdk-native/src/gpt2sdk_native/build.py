"""Compiles the engine: `python -m gpt2sdk_native.build [FLAGS]`. It needs no torch."""

import platform
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

SOURCES = Path(__file__).parent / "engine"
LIBRARY = "libgpt2sdk.so"

# Sums have one order, and a product is added without rounding exactly where it is written so.
_FLAGS = ("-std=c11", "-fPIC", "-ffp-contract=off", "-fno-math-errno", "-Wall", "-Wextra")
_AVX512 = ("f", "bw", "vl", "dq", "vnni")
_KERNELS = {
    "avx2": ("-O3", "-DISA_avx2", "-mavx2", "-mfma"),
    "avx512": ("-O3", "-DISA_avx512", "-mfma", *(f"-mavx512{part}" for part in _AVX512)),
    "scalar": ("-O2",),
}


def compiler() -> list[str] | None:
    """Return the command of the system's C compiler, else of the `ziglang` wheel's."""
    for name in ("gcc", "clang", "cc"):
        if path := shutil.which(name):
            return [path]
    return [sys.executable, "-m", "ziglang", "cc"] if find_spec("ziglang") else None


def build(folder: Path, flags: tuple[str, ...] = ()) -> str:
    """Compile the engine into a folder.

    Args:
        folder: Where `libgpt2sdk.so` goes.
        flags: More flags, such as a sanitizer's.

    Returns:
        What keeps it from being built; empty if it was built.
    """
    if sys.platform != "linux":
        return f"the compiled engine is for Linux, not {sys.platform}"
    command = compiler()
    if command is None:
        return "there is neither a C compiler nor the ziglang wheel"
    on_x86 = platform.machine() in {"x86_64", "AMD64"}
    units: list[tuple[Path, tuple[str, ...]]] = [
        (path, ("-O2",)) for path in SOURCES.glob("*.c") if path.stem != "kernels"
    ]
    units += [
        (SOURCES / "kernels.c", own) for name, own in _KERNELS.items() if on_x86 or name == "scalar"
    ]
    with tempfile.TemporaryDirectory() as scratch:
        objects = [str(Path(scratch, f"{place}.o")) for place in range(len(units))]
        for (source, own), target in zip(units, objects, strict=True):
            problem = _run([*command, *_FLAGS, *own, *flags, "-c", str(source), "-o", target])
            if problem:
                return problem
        made = str(Path(scratch, LIBRARY))
        problem = _run([*command, "-shared", *flags, *objects, "-o", made, "-lm", "-pthread"])
        if not problem:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.move(made, folder / LIBRARY)
        return problem


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stderr.strip() or "the compiler failed" if done.returncode else ""


if __name__ == "__main__":
    if problem := build(SOURCES, tuple(sys.argv[1:])):
        print(f"gpt2sdk-native: torch computes, more slowly: {problem}", file=sys.stderr)  # noqa: T201
