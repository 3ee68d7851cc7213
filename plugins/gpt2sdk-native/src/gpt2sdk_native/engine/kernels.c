/* The kernels of one instruction set: compiled once for each, with ISA_avx2 or the like defined. */
#include "attention.h"

/* y = the row's vector + add, up to whole lanes. */
static void look_up(const struct matrix *m, int row, const float *add, float *y) {
    const uint8_t *block = m->weights + (size_t)(row / LANES) * m->block_bytes;
    const int lane = row % LANES;
    for (int i = 0; i < m->in; i++) {
        float value;
        if (m->kind == FLOAT32) {
            value = ((const float *)block)[i * LANES + lane];
        } else if (m->kind == BFLOAT16) {
            const uint16_t *pair = (const uint16_t *)block + (i & ~1) * LANES + 2 * lane;
            const uint32_t bits = (uint32_t)pair[i & 1] << 16;
            memcpy(&value, &bits, 4);
        } else {
            const int8_t number = ((const int8_t *)block)[(i & ~3) * LANES + 4 * lane + (i & 3)];
            value = fmaf((float)number, m->scale[row], m->mean ? m->mean[i] : 0.0f);
        }
        y[i] = value + add[i];
    }
    for (int i = m->in; i % LANES; i++) y[i] = 0.0f;
}

#if defined(ISA_avx512)
#define TABLE kernels_avx512
#define NAME "avx512"
#elif defined(ISA_avx2)
#define TABLE kernels_avx2
#define NAME "avx2"
#elif defined(ISA_neon)
#define TABLE kernels_neon
#define NAME "neon"
#else
#define TABLE kernels_scalar
#define NAME "scalar"
#endif

const struct kernels TABLE = {NAME, products, prepare, norm, look_up, attend, activate};
