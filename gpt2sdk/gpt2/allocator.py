"""Memory that goes back to the system as soon as it is free, for as long as a model is loaded."""

import ctypes
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# glibc's numbers for its settings (malloc.h).
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_WHILE_LOADING = 2**18
# The limits at which glibc's own adaptation ends on 64-bit systems.
_AFTERWARDS = 2**25


@contextmanager
def tight_memory() -> Iterator[None]:
    """Give every block of 256 KiB or more back to the system when it is freed.

    glibc does so with large blocks at first, but raises its limit, up to 32 MiB, whenever one is
    freed; from then on the pieces that a model is made of leave holes in the heap, of 50 MiB for a
    GPT-2 of 475. Afterwards the limit is those 32 MiB, so that computing does not wait for the
    system. Other allocators are left alone.
    """
    mallopt = _mallopt()
    mallopt(_MMAP_THRESHOLD, _WHILE_LOADING)
    try:
        yield
    finally:
        mallopt(_MMAP_THRESHOLD, _AFTERWARDS)
        mallopt(_TRIM_THRESHOLD, 2 * _AFTERWARDS)


def _mallopt() -> Callable[[int, int], object]:
    if platform.libc_ver()[0] != "glibc":
        return lambda _setting, _value: None
    mallopt: Callable[[int, int], object] = ctypes.CDLL(None).mallopt
    return mallopt
