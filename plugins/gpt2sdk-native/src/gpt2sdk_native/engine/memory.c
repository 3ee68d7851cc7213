/* Memory that vectors are read from; free() gives it back. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "native.h"

enum { LARGE = 2 << 20, BEYOND = 64 }; /* tiles load whole vectors, and a little ahead */

void *take_memory(size_t bytes) {
    void *memory = NULL;
    if (bytes > PTRDIFF_MAX - LARGE) return NULL;
    if (posix_memalign(&memory, bytes >= LARGE ? LARGE : 64, bytes + BEYOND)) return NULL;
#ifdef MADV_HUGEPAGE
    if (bytes >= LARGE) madvise(memory, bytes, MADV_HUGEPAGE);
#endif
    return memory;
}

void *take_zeros(size_t bytes) {
    void *memory = take_memory(bytes);
    return memory ? memset(memory, 0, bytes + BEYOND) : NULL;
}
