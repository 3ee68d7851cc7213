/* Which kernels there are, and which of them this processor can run. */
#include <string.h>

#include "native.h"
#if defined(__aarch64__)
#include <sys/auxv.h>
#ifndef HWCAP_ASIMDDP
#define HWCAP_ASIMDDP (1 << 20)
#endif
#endif

enum { MOST_KERNELS = 3 };

/* The fastest ones first; returns how many. */
static int usable(const struct kernels *found[MOST_KERNELS]) {
    int count = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
            __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
            __builtin_cpu_supports("avx512vnni"))
            found[count++] = &kernels_avx512;
        found[count++] = &kernels_avx2;
    }
#elif defined(__aarch64__)
    if (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) found[count++] = &kernels_neon;
#endif
    found[count++] = &kernels_scalar;
    return count;
}

const struct kernels *gpt2sdk_kernels(const char *name) {
    const struct kernels *found[MOST_KERNELS];
    const int count = usable(found);
    for (int i = 0; i < count; i++)
        if (!*name || !strcmp(name, found[i]->name)) return found[i];
    return NULL;
}

const char *gpt2sdk_kernels_name(const struct kernels *kernels) { return kernels->name; }

void gpt2sdk_activate(const struct kernels *kernels, float *x, int count, int activation) {
    kernels->activate(x, count, activation);
}

#ifndef GPT2SDK_SOURCES
#define GPT2SDK_SOURCES ""
#endif
const char *gpt2sdk_sources(void) { return GPT2SDK_SOURCES; }
