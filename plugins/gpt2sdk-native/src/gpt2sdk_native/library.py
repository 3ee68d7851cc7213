"""The compiled library, as ctypes sees it; calls leave other Python threads free."""

import os
from ctypes import (
    CDLL,
    POINTER,
    Structure,
    byref,
    c_char_p,
    c_float,
    c_int,
    c_size_t,
    c_void_p,
    cast,
)
from functools import cache

from gpt2sdk_native.build import LIBRARY, SOURCES, sources

ISA_VARIABLE = "GPT2SDK_NATIVE_ISA"
"""Names the kernels to use: `avx512`, `avx2`, `neon` or `scalar`; by default the fastest."""

_STALE = "its sources have changed: run `python -m gpt2sdk_native.build`"

_SIGNATURES: dict[str, tuple[object, list[object]]] = {
    "sources": (c_char_p, []),
    "kernels": (c_void_p, [c_char_p]),
    "kernels_name": (c_char_p, [c_void_p]),
    "activate": (None, [c_void_p, c_void_p, c_int, c_int]),
    "matrix_new": (c_void_p, [c_int] * 5),
    "matrix_free": (None, [c_void_p]),
    "matrix_write": (None, [c_void_p, c_int, c_int, c_void_p]),
    "matrix_read": (None, [c_void_p, c_int, c_int, c_void_p]),
    "matrix_scale": (c_int, [c_void_p] * 3),
    "matrix_groups": (None, [c_void_p] * 3),
    "matrix_read_groups": (None, [c_void_p] * 3),
    "matrix_bias": (c_int, [c_void_p] * 2),
    "matrix_bytes": (c_size_t, [c_void_p]),
    "engine_new": (c_void_p, [c_void_p, *[c_int] * 4, c_float, *[c_void_p] * 5]),
    "engine_layer": (
        c_int,
        [c_void_p, c_int, c_int, c_int, c_float, c_int, POINTER(c_void_p), POINTER(c_void_p)],
    ),
    "engine_free": (None, [c_void_p]),
    "score": (
        c_int,
        [c_void_p, *[c_int] * 3, *[c_void_p] * 6, c_int, c_void_p, c_void_p, c_int],
    ),
    "final_norm": (c_int, [c_void_p, c_void_p, c_int, c_void_p]),
    "use_openmp": (None, [c_void_p]),
    "product": (c_int, [*[c_void_p] * 3, c_int, c_void_p, c_int]),
}


@cache
def library() -> CDLL:
    """Load the library.

    Raises:
        OSError: If it was not built, is for another machine, or of other sources than lie beside
            it: a tree that has changed since.
    """
    found = CDLL(str(SOURCES / LIBRARY))
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(found, f"gpt2sdk_{name}", None)
        if function is None:
            raise OSError(_STALE)
        function.restype, function.argtypes = result, arguments
    if found.gpt2sdk_sources().decode() != sources():
        raise OSError(_STALE)
    openmp = torch_threads()
    found.gpt2sdk_use_openmp(None if openmp is None else byref(openmp))
    return found


class OpenMP(Structure):
    """What the engine takes of an OpenMP library, to compute in its threads."""

    _fields_ = (("parallel", c_void_p), ("number", c_void_p), ("count", c_void_p))


def torch_threads() -> OpenMP | None:
    """Return the functions of the OpenMP library that torch has loaded; `None` if it has none."""
    everybody = CDLL(None)
    names = ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads")
    if not all(hasattr(everybody, name) for name in names):
        return None
    return OpenMP(*(cast(getattr(everybody, name), c_void_p) for name in names))


def kernels(name: str | None = None) -> int:
    """Return the kernels of an instruction set.

    Args:
        name: `avx512`, `avx2`, `neon` or `scalar`; by default what the environment names, else the
            fastest.

    Raises:
        OSError: If this processor lacks them.
    """
    wanted = os.environ.get(ISA_VARIABLE, "") if name is None else name
    found: int | None = library().gpt2sdk_kernels(wanted.encode())
    if found is None:
        raise OSError(
            f"{wanted!r}: expected avx512, avx2, neon or scalar, and a processor that has it"
        )
    return found


def isa(name: str | None = None) -> str:
    """Return the name of the instruction set that `kernels` chooses.

    Raises:
        OSError: As `kernels` does.
    """
    chosen: str = library().gpt2sdk_kernels_name(kernels(name)).decode()
    return chosen
