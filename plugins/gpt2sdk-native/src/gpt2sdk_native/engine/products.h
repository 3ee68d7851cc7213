/* Products of rows with packed matrices.
 *
 * An activation is broadcast against sixteen outputs, and every output has one accumulator that
 * takes up the inputs in their order. So a product has the same bits whatever rows, blocks and
 * instruction sets it is computed with: tiles only decide how often weights are read.
 */
#include "pointwise.h"

#if defined(ISA_avx512)
#define PREFETCH(p) _mm_prefetch((const char *)(p), _MM_HINT_T0)
/* Blocks that a tile of 1 to 8 rows takes at a time. */
#define FLOAT_BLOCKS(R) ((R) <= 6 ? 4 : 3)
#define INT8_BLOCKS(R) ((R) <= 6 ? 4 : 3)
#define TWO_DIGIT_BLOCKS(R) ((R) <= 2 ? 4 : (R) <= 4 ? 3 : (R) <= 6 ? 2 : 1)
#define INT4_BLOCKS(R) ((R) <= 2 ? 4 : (R) <= 3 ? 3 : 2)
#define FLOAT_ROWS 8
#define BFLOAT16_ROWS 8
#define INT8_ROWS 8
#define TWO_DIGIT_ROWS 6
#define INT4_ROWS 6
#elif defined(ISA_avx2)
#define PREFETCH(p) _mm_prefetch((const char *)(p), _MM_HINT_T0)
#define FLOAT_BLOCKS(R) ((R) == 1 ? 4 : (R) == 2 ? 2 : 1)
#define INT8_BLOCKS(R) ((R) == 1 ? 4 : (R) == 2 ? 2 : 1)
#define TWO_DIGIT_BLOCKS(R) ((R) == 1 ? 2 : 1)
#define INT4_BLOCKS(R) ((R) == 1 ? 2 : 1)
#define FLOAT_ROWS 6
#define BFLOAT16_ROWS 6
#define INT8_ROWS 5
#define TWO_DIGIT_ROWS 3
#define INT4_ROWS 3
#elif defined(ISA_neon)
#define PREFETCH(p) __builtin_prefetch(p)
#define FLOAT_BLOCKS(R) ((R) == 1 ? 4 : (R) == 2 ? 2 : 1)
#define INT8_BLOCKS(R) ((R) == 1 ? 4 : (R) == 2 ? 2 : 1)
#define TWO_DIGIT_BLOCKS(R) ((R) == 1 ? 2 : 1)
#define INT4_BLOCKS(R) ((R) == 1 ? 2 : 1)
#define FLOAT_ROWS 5
#define BFLOAT16_ROWS 5
#define INT8_ROWS 5
#define TWO_DIGIT_ROWS 3
#define INT4_ROWS 4
#else
#define PREFETCH(p) ((void)(p))
#define FLOAT_BLOCKS(R) 1
#define INT8_BLOCKS(R) 1
#define TWO_DIGIT_BLOCKS(R) 1
#define INT4_BLOCKS(R) 1
#define FLOAT_ROWS 4
#define BFLOAT16_ROWS 4
#define INT8_ROWS 4
#define TWO_DIGIT_ROWS 4
#define INT4_ROWS 4
#endif

#if defined(ISA_avx512) || defined(ISA_avx2) || defined(ISA_neon)
#define UNROLL _Pragma("GCC unroll 8")
#define TILE INLINE
#else
#define UNROLL
#define TILE static __attribute__((noinline))
#endif
#define ROWS(r) UNROLL for (int r = 0; r < R; r++)
#define BLOCKS(j) UNROLL for (int j = 0; j < N; j++)

INLINE void finish(v16 y, const struct matrix *m, const struct sink *s, int row, int block) {
    if (m->bias) y = v_add(y, v_load(m->bias + block * LANES));
    float *place = s->values + row * s->stride + block * LANES;
    const int left = m->out - block * LANES;
    if (left < LANES) {
        if (s->add) y = v_add(v_load_first(place, left), y);
        v_store_first(place, y, left);
    } else {
        if (s->add) y = v_add(v_load(place), y);
        v_store(place, y);
    }
}

TILE void float32_tile(const int R, const int N, const struct matrix *m,
                         const struct operand *x, int row, int block, const struct sink *s) {
    const long step = (long)m->in * LANES, stride = x->stride;
    const float *w = (const float *)m->weights + block * step, *v = x->values + row * stride;
    v16 acc[4][8];
    BLOCKS(j) ROWS(r) acc[j][r] = v_set(0.0f);
    for (int k = 0; k < m->in; k++) {
        v16 weights[4];
        BLOCKS(j) {
            weights[j] = v_load(w + j * step + k * LANES);
            PREFETCH(w + j * step + k * LANES + 512);
        }
        ROWS(r) {
            const v16 one = v_set(v[r * stride + k]);
            BLOCKS(j) acc[j][r] = v_fma(one, weights[j], acc[j][r]);
        }
    }
    BLOCKS(j) ROWS(r) finish(acc[j][r], m, s, row + r, block + j);
}

TILE void bfloat16_tile(const int R, const int N, const struct matrix *m,
                          const struct operand *x, int row, int block, const struct sink *s) {
    const long step = (long)m->inputs * LANES, stride = x->stride;
    const uint16_t *w = (const uint16_t *)m->weights + block * step;
    const float *v = x->values + row * stride;
    v16 acc[4][8];
    BLOCKS(j) ROWS(r) acc[j][r] = v_set(0.0f);
    for (int k = 0; k < m->inputs; k += 2) {
        v16 even[4], odd[4];
        BLOCKS(j) {
            v_bf16_pairs(w + j * step + k * LANES, &even[j], &odd[j]);
            PREFETCH(w + j * step + k * LANES + 1024);
        }
        ROWS(r) {
            const v16 one = v_set(v[r * stride + k]), two = v_set(v[r * stride + k + 1]);
            BLOCKS(j) acc[j][r] = v_fma(two, odd[j], v_fma(one, even[j], acc[j][r]));
        }
    }
    BLOCKS(j) ROWS(r) finish(acc[j][r], m, s, row + r, block + j);
}

TILE void int8_tile(const int R, const int N, const int D, const struct matrix *m,
                      const struct operand *x, int row, int block, const struct sink *s) {
    const long step = (long)m->inputs * LANES, stride = x->digit_stride;
    const int8_t *w = (const int8_t *)m->weights + block * step;
    const uint8_t *low = x->digits[0] + row * stride, *high = x->digits[1] + row * stride;
    i16 acc[4][8], far[4][8];
    BLOCKS(j) ROWS(r) {
        acc[j][r] = DIGIT_SHIFT ? i_load(m->sums + (block + j) * LANES) : i_set(0);
        far[j][r] = acc[j][r];
    }
    for (int k = 0; k < m->inputs; k += 4) {
        b64 weights[4];
        BLOCKS(j) {
            weights[j] = b_load(w + j * step + k * LANES);
            PREFETCH(w + j * step + k * LANES + 2048);
        }
        ROWS(r) BLOCKS(j) {
            acc[j][r] = b_dot(acc[j][r], weights[j], low + r * stride + k);
            if (D == 2) far[j][r] = b_dot(far[j][r], weights[j], high + r * stride + k);
        }
    }
    BLOCKS(j) ROWS(r) {
        v16 y = v_of_ints(acc[j][r]);
        if (D == 2) y = v_fma(v_of_ints(far[j][r]), v_set(254.0f), y);
        const v16 offset = v_set(m->mean ? x->offset[row + r] : 0.0f);
        y = v_fma(v_mul(y, v_load(m->scale + (block + j) * LANES)), v_set(x->scale[row + r]),
                  offset);
        finish(y, m, s, row + r, block + j);
    }
}

TILE void int4_tile(const int R, const int N, const struct matrix *m, const struct operand *x,
                      int row, int block, const struct sink *s) {
    const int groups = m->inputs / m->group;
    const long step = (long)m->inputs / 2 * LANES, scales_step = (long)groups * 2 * LANES;
    const uint8_t *w = m->weights + block * step, *v = x->digits[0] + row * x->digit_stride;
    const uint16_t *scales = m->scales + block * scales_step;
    const float *scale = x->scale + (long)row * x->groups, *sums = x->sums + (long)row * x->groups;
    v16 y[4][8];
    BLOCKS(j) ROWS(r) y[j][r] = v_set(0.0f);
    for (int g = 0; g < groups; g++) {
        i16 acc[4][8];
        BLOCKS(j) ROWS(r) acc[j][r] = i_set(0);
        for (int k = g * m->group; k < (g + 1) * m->group; k += 8) {
            b64 low[4], high[4];
            BLOCKS(j) {
                b_nibbles(w + j * step + k / 2 * LANES, &low[j], &high[j]);
                PREFETCH(w + j * step + k / 2 * LANES + 2048);
            }
            ROWS(r) BLOCKS(j) {
                acc[j][r] = b_dot_small(acc[j][r], low[j], v + r * x->digit_stride + k);
                acc[j][r] = b_dot_small(acc[j][r], high[j], v + r * x->digit_stride + k + 4);
            }
        }
        BLOCKS(j) {
            const v16 one = v_bf16(scales + j * scales_step + g * 2 * LANES);
            const v16 zero = v_bf16(scales + j * scales_step + g * 2 * LANES + LANES);
            const v16 lowest = v_fma(v_set(-8.0f), one, zero);
            ROWS(r) {
                const v16 sum = v_mul(one, v_of_ints(acc[j][r]));
                y[j][r] = v_fma(sum, v_set(scale[(long)r * x->groups + g]), y[j][r]);
                y[j][r] = v_fma(lowest, v_set(sums[(long)r * x->groups + g]), y[j][r]);
            }
        }
    }
    BLOCKS(j) ROWS(r) finish(y[j][r], m, s, row + r, block + j);
}

#define int8_one(R, N, ...) int8_tile(R, N, 1, __VA_ARGS__)
#define int8_two(R, N, ...) int8_tile(R, N, 2, __VA_ARGS__)
#define STRIP(tile, R, MANY)                                                                       \
    static void tile##_##R(const struct matrix *m, const struct operand *x, int row, int first,    \
                           int last, const struct sink *s) {                                       \
        int block = first;                                                                         \
        for (; block + MANY(R) <= last; block += MANY(R)) tile(R, MANY(R), m, x, row, block, s);   \
        for (; block < last; block++) tile(R, 1, m, x, row, block, s);                             \
    }
#define STRIPS_3(tile, MANY) STRIP(tile, 1, MANY) STRIP(tile, 2, MANY) STRIP(tile, 3, MANY)
#define STRIPS_4(tile, MANY) STRIPS_3(tile, MANY) STRIP(tile, 4, MANY)
#define STRIPS_5(tile, MANY) STRIPS_4(tile, MANY) STRIP(tile, 5, MANY)
#define STRIPS_6(tile, MANY) STRIPS_5(tile, MANY) STRIP(tile, 6, MANY)
#define STRIPS_8(tile, MANY) STRIPS_6(tile, MANY) STRIP(tile, 7, MANY) STRIP(tile, 8, MANY)
#define NAMES_3(tile) tile##_1, tile##_2, tile##_3
#define NAMES_4(tile) NAMES_3(tile), tile##_4
#define NAMES_5(tile) NAMES_4(tile), tile##_5
#define NAMES_6(tile) NAMES_5(tile), tile##_6
#define NAMES_8(tile) NAMES_6(tile), tile##_7, tile##_8
#define PASTE(a, b) a##b
#define UP_TO(what, most) PASTE(what, most)

UP_TO(STRIPS_, FLOAT_ROWS)(float32_tile, FLOAT_BLOCKS)
UP_TO(STRIPS_, BFLOAT16_ROWS)(bfloat16_tile, FLOAT_BLOCKS)
UP_TO(STRIPS_, INT8_ROWS)(int8_one, INT8_BLOCKS)
UP_TO(STRIPS_, TWO_DIGIT_ROWS)(int8_two, TWO_DIGIT_BLOCKS)
UP_TO(STRIPS_, INT4_ROWS)(int4_tile, INT4_BLOCKS)

typedef void (*strip)(const struct matrix *, const struct operand *, int, int, int,
                      const struct sink *);
static const strip strips[][8] = {{UP_TO(NAMES_, FLOAT_ROWS)(float32_tile)},
                                  {UP_TO(NAMES_, BFLOAT16_ROWS)(bfloat16_tile)},
                                  {UP_TO(NAMES_, INT8_ROWS)(int8_one)},
                                  {UP_TO(NAMES_, TWO_DIGIT_ROWS)(int8_two)},
                                  {UP_TO(NAMES_, INT4_ROWS)(int4_tile)}};
static const int most_rows[] = {FLOAT_ROWS, BFLOAT16_ROWS, INT8_ROWS, TWO_DIGIT_ROWS, INT4_ROWS};

/* Behind the last sum, so that tiles stay small. */
static void activate_sums(const struct matrix *m, const struct sink *s, int row, int end, int first,
                          int last) {
    const int start = first * LANES, stop = last * LANES < m->out ? last * LANES : m->out;
    for (; row < end; row++)
        activate(s->values + row * s->stride + start, stop - start, s->activation);
}

static void products(const struct matrix *m, const struct operand *x, int rows, int first,
                     int last, const struct sink *s) {
    const int which = m->kind <= BFLOAT16 ? m->kind : m->kind == INT4 ? 4 : 1 + m->digits;
    const int tiles = (rows + most_rows[which] - 1) / most_rows[which];
    /* So many blocks stay in a core's cache while all rows pass by. */
    int panel = (int)((400 << 10) / m->block_bytes) / 12 * 12;
    if (panel < 12) panel = m->block_bytes * 6 <= (700 << 10) ? 6 : 3;
    if (tiles == 1) panel = last - first;
    for (int block = first; block < last; block += panel) {
        const int end = block + panel < last ? block + panel : last;
        for (int t = 0, row = 0; t < tiles; t++) {
            const int stop = (int)((long)rows * (t + 1) / tiles);
            strips[which][stop - row - 1](m, x, row, block, end, s);
            if (s->activation != LINEAR) activate_sums(m, s, row, stop, block, end);
            row = stop;
        }
    }
}
