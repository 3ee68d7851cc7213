/* Sixteen lanes at a time, in the registers of one instruction set.
 *
 * Every function does the same IEEE operation in each lane on every instruction set, so that what
 * is built of them has the same bits everywhere. Only `v_sum`
 * and `v_largest` go across lanes: halves meet halves, lane by lane, until one is left.
 *
 * `v16` are floats, `i16` 32-bit integers, `b64` sixteen groups of four bytes.
 */
#ifndef LANES_H
#define LANES_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

#if defined(ISA_avx512)
#include "lanes_avx512.h"
#elif defined(ISA_avx2)
#include "lanes_avx2.h"
#elif defined(ISA_neon)
#include "lanes_neon.h"
#else
#include "lanes_plain.h"
#endif

/* The first n numbers, and zeros. */
INLINE v16 v_load_first(const float *p, int n) {
    float whole[16] = {0};
    if (n >= 16) return v_load(p);
    memcpy(whole, p, (size_t)n * sizeof(float));
    return v_load(whole);
}
INLINE float v_largest(v16 a) {
    float s[16];
    v_store(s, a);
    for (int half = 8; half; half /= 2)
        for (int i = 0; i < half; i++) s[i] = s[i] > s[i + half] ? s[i] : s[i + half];
    return s[0];
}

#endif
