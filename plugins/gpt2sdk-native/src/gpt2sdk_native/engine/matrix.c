/* Matrices: plain rows into packed blocks, and back. */
#include <stdlib.h>
#include <string.h>

#include "native.h"

void gpt2sdk_matrix_free(struct matrix *m) {
    if (!m) return;
    free(m->weights);
    free(m->scale);
    free(m->sums);
    free(m->scales);
    free(m->bias);
    free(m->mean);
    free(m);
}

struct matrix *gpt2sdk_matrix_new(int kind, int out, int in, int group, int digits) {
    struct matrix *m = calloc(1, sizeof *m);
    if (!m) return NULL;
    m->kind = kind;
    m->out = out;
    m->in = in;
    m->group = group;
    m->digits = digits;
    m->blocks = (out + LANES - 1) / LANES;
    const size_t padded = (size_t)m->blocks * LANES;
    const int step[] = {1, 2, 4, group};
    m->inputs = rounded_up(in, step[kind]);
    const size_t numbers = (size_t)m->inputs * LANES;
    m->block_bytes = kind == INT4 ? numbers / 2 : numbers * (kind == FLOAT32 ? 4 : kind == BFLOAT16 ? 2 : 1);
    m->bytes = m->block_bytes * (size_t)m->blocks;
    m->weights = take_zeros(m->bytes);
    int bad = !m->weights;
    if (kind == INT8) {
        m->scale = calloc(padded, sizeof(float));
        m->sums = calloc(padded, sizeof(int32_t));
        bad |= !m->scale || !m->sums;
    }
    if (kind == INT4) {
        m->scales = calloc(padded * (size_t)(m->inputs / group) * 2, sizeof(uint16_t));
        bad |= !m->scales;
    }
    if (bad) {
        gpt2sdk_matrix_free(m);
        return NULL;
    }
    return m;
}

static uint8_t *nibble(uint8_t *block, int lane, int i, int *shift) {
    *shift = (i & 4) ? 4 : 0;
    return block + (size_t)(i / 8) * 64 + 4 * (size_t)lane + (size_t)(i & 3);
}

/* Move a row of whole bytes, whose input i lies at number `place` of its block. */
#define MOVE(type, place)                                                                          \
    do {                                                                                           \
        type *packed = (type *)block, *plain = (type *)rows + (size_t)n * (size_t)m->in;           \
        if (out) for (int i = 0; i < m->in; i++) plain[i] = packed[place];                         \
        else for (int i = 0; i < m->in; i++) packed[place] = plain[i];                             \
    } while (0)

static void move_nibbles(const struct matrix *m, uint8_t *block, int lane, uint8_t *plain, int out) {
    for (int i = 0; i < m->inputs; i++) {
        int to, from = (i & 1) * 4;
        uint8_t *packed = nibble(block, lane, i, &to), *pair = plain + i / 2;
        if (out) *pair = (uint8_t)((*pair & ~(15 << from)) | ((*packed >> to & 15) << from));
        else *packed = (uint8_t)((*packed & ~(15 << to)) | ((*pair >> from & 15) << to));
    }
}

/* Copy `count` plain rows from `start` on into the matrix, or with `out` from it to `rows`.
 * Rows are of the kind's numbers; int4's of two numbers in a byte, the first one lower. */
static void move(const struct matrix *m, int start, int count, void *rows, int out) {
    for (int n = 0; n < count; n++) {
        const int row = start + n, lane = row % LANES;
        uint8_t *block = m->weights + (size_t)(row / LANES) * m->block_bytes;
        switch (m->kind) {
        case FLOAT32: MOVE(uint32_t, i * LANES + lane); break;
        case BFLOAT16: MOVE(uint16_t, (i & ~1) * LANES + 2 * lane + (i & 1)); break;
        case INT8: MOVE(int8_t, (i & ~3) * LANES + 4 * lane + (i & 3)); break;
        default:
            move_nibbles(m, block, lane, (uint8_t *)rows + (size_t)n * (size_t)(m->inputs / 2), out);
        }
        if (m->kind != INT8 || out) continue;
        int32_t sum = 0;
        for (int i = 0; i < m->in; i++) sum += ((int8_t *)rows)[(size_t)n * (size_t)m->in + (size_t)i];
        m->sums[row] = -128 * sum;
    }
}

void gpt2sdk_matrix_write(struct matrix *m, int start, int count, const void *rows) {
    move(m, start, count, (void *)rows, 0);
}

void gpt2sdk_matrix_read(const struct matrix *m, int start, int count, void *rows) {
    move(m, start, count, rows, 1);
}

static int copied(float **to, const float *from, int count, int padded) {
    free(*to);
    *to = NULL;
    if (!from) return 0;
    if (!(*to = calloc((size_t)padded, sizeof(float)))) return -1;
    memcpy(*to, from, (size_t)count * sizeof(float));
    return 0;
}

int gpt2sdk_matrix_scale(struct matrix *m, const float *scale, const float *mean) {
    memcpy(m->scale, scale, (size_t)m->out * sizeof(float));
    return copied(&m->mean, mean, m->in, rounded_up(m->in, LANES));
}

static uint16_t *scale_place(const struct matrix *m, int row, size_t group) {
    const size_t groups = (size_t)(m->inputs / m->group), block = (size_t)(row / LANES);
    return m->scales + (block * groups + group) * 2 * LANES + row % LANES;
}

void gpt2sdk_matrix_groups(struct matrix *m, const uint16_t *scale, const uint16_t *zero) {
    const size_t groups = (size_t)(m->inputs / m->group);
    for (int row = 0; row < m->out; row++)
        for (size_t g = 0; g < groups; g++) {
            scale_place(m, row, g)[0] = scale[(size_t)row * groups + g];
            scale_place(m, row, g)[LANES] = zero[(size_t)row * groups + g];
        }
}

void gpt2sdk_matrix_read_groups(const struct matrix *m, uint16_t *scale, uint16_t *zero) {
    const size_t groups = (size_t)(m->inputs / m->group);
    for (int row = 0; row < m->out; row++)
        for (size_t g = 0; g < groups; g++) {
            scale[(size_t)row * groups + g] = scale_place(m, row, g)[0];
            zero[(size_t)row * groups + g] = scale_place(m, row, g)[LANES];
        }
}

int gpt2sdk_matrix_bias(struct matrix *m, const float *bias) {
    return copied(&m->bias, bias, m->out, m->blocks * LANES);
}

size_t gpt2sdk_matrix_bytes(const struct matrix *m) {
    const size_t padded = (size_t)m->blocks * LANES;
    size_t bytes = m->bytes + (m->bias ? padded * 4 : 0);
    if (m->kind == INT8) bytes += padded * 8;
    if (m->kind == INT4) bytes += padded * (size_t)(m->inputs / m->group) * 4;
    return bytes;
}
