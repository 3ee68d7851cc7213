/* Fails one taking of memory after the other: each is said, and nothing is left or touched. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>

#include "model.h"

extern void *__libc_calloc(size_t, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static long failing = -1, taken, held;

static int fails(void) { return taken++ == failing; }

/* The engine takes memory by these two alone; the library finds them here. */
void *calloc(size_t count, size_t size) {
    void *memory = fails() ? NULL : __libc_calloc(count, size);
    held += memory != NULL;
    return memory;
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
    *memory = fails() ? NULL : __libc_memalign(alignment, size);
    held += *memory != NULL;
    return *memory ? 0 : ENOMEM;
}

void *malloc(size_t size) {
    held++;
    return __libc_memalign(16, size);
}

void free(void *memory) {
    held -= memory != NULL;
    __libc_free(memory);
}

static int use(const struct shape *s) {
    static float buffers[2][2 * 40 * 20], logits[40 * 37], x[20], y[60];
    float *const all[2] = {buffers[0], buffers[1]};
    int32_t tokens[40] = {0}, length = 0, count = 40;
    struct model model;
    if (make(&model, s, gpt2sdk_kernels(""))) return -1;
    int failed = gpt2sdk_score(model.engine, 2, 1, 40, all, &length, tokens, &count, &count,
                               &length, 0, logits, NULL, 1) ||
                 gpt2sdk_final_norm(model.engine, x, 1, y) ||
                 gpt2sdk_product(gpt2sdk_kernels(""), model.matrices[0][0], x, 1, y, 1);
    drop(&model);
    return failed ? -1 : 0;
}

int main(void) {
    for (int kind = 0; kind < 4; kind++) {
        const struct shape s = {kind, 2, 20, 4, 35, 37, 2, 40, 1};
        failing = -1;
        taken = 0;
        const long before = held;
        if (use(&s)) return 1;
        const long all = taken;
        for (failing = 0; failing < all; failing++) {
            taken = 0;
            if (!use(&s)) return fprintf(stderr, "failure %ld was not said\n", failing), 1;
            if (held != before) return fprintf(stderr, "failure %ld left memory\n", failing), 1;
        }
        failing = -1;
        printf("kind %d: %s\n", kind, all > 20 ? "every failure was said" : "nothing was taken");
    }
    return 0;
}
