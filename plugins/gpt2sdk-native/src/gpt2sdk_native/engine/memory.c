/* Memory that vectors are read from. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "native.h"

enum { LARGE = 2 << 20 };

void *take_memory(size_t bytes) {
    void *memory = NULL;
    if (posix_memalign(&memory, bytes >= LARGE ? LARGE : 64, bytes + 64)) return NULL;
#ifdef MADV_HUGEPAGE
    if (bytes >= LARGE) madvise(memory, bytes, MADV_HUGEPAGE);
#endif
    memset(memory, 0, bytes + 64);
    return memory;
}

void drop_memory(void *memory, size_t bytes) {
    (void)bytes;
    free(memory);
}
