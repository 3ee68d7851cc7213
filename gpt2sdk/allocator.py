"""Memory that goes back to the system as soon as it is free, for as long as a model is loaded."""

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

# glibc's numbers for its settings (malloc.h).
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_WHILE_LOADING = 2**15
# The limits at which glibc's own adaptation ends on 64-bit systems.
_AFTERWARDS = 2**25


@contextmanager
def tight_memory() -> Iterator[None]:
    """Give every block of 32 KiB or more back to the system when it is freed.

    glibc does so with large blocks at first, but raises its limit, up to 32 MiB, whenever one is
    freed; from then on the pieces that a model is made of leave holes in the heap, of 50 MiB for a
    GPT-2 of 475. At the end what is free inside the heap goes back, too. Afterwards the limit is
    those 32 MiB, so that computing does not wait for the system. Other allocators are left alone.
    """
    library = ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
    if library is None:
        yield
        return
    library.mallopt(_MMAP_THRESHOLD, _WHILE_LOADING)
    try:
        yield
    finally:
        library.mallopt(_MMAP_THRESHOLD, _AFTERWARDS)
        library.mallopt(_TRIM_THRESHOLD, 2 * _AFTERWARDS)
        library.malloc_trim(0)
