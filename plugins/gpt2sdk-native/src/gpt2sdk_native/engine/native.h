/* What the parts of the engine share. */
#ifndef NATIVE_H
#define NATIVE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "gpt2sdk.h"

#define LANES 16

enum kind { FLOAT32, BFLOAT16, INT8, INT4, KINDS };
enum activation {
    LINEAR, GELU_TANH, GELU_ERF, GELU_10, QUICK_GELU, SILU, SIGMOID, TANH, RELU, RELU_SQUARED,
    RELU6, LEAKY_RELU, HARDSWISH
};

/* A matrix [out, in], sixteen outputs side by side:
 *   float32   [out/16][in][16]
 *   bfloat16  [out/16][in/2][16][2]
 *   int8      [out/16][in/4][16][4], and a scale for each output
 *   int4      [out/16][in/8][16][4], the lower halves of bytes being inputs 0 to 3 of each eight;
 *             and scales and zeros [out/16][groups][2][16] in bfloat16
 */
struct matrix {
    int kind, out, in, blocks;
    int inputs; /* rounded up to whole steps, or groups, of the kind */
    int group;  /* of int4 */
    int digits; /* of int8's activations: 1 or 2 */
    size_t block_bytes, bytes;
    uint8_t *weights;
    float *scale;      /* int8: [blocks][16] */
    int32_t *sums;     /* int8: -128 times the sum of each output's weights */
    uint16_t *scales;  /* int4 */
    float *bias;       /* [blocks][16]; null for none */
    float *mean;       /* int8 tables: what was taken out of every row, [in]; null for none */
};

/* Rows that are multiplied, in the form a kind of matrix wants. */
struct operand {
    float *values;
    long stride;
    uint8_t *digits[2]; /* low, high */
    long digit_stride;
    float *scale;  /* int8: [rows]; int4: [rows][groups] */
    float *sums;   /* int4: each group's sum, [rows][groups] */
    float *offset; /* of each row, for a table's mean; null for none */
    int groups;
};

/* Where products go: y = f(x W' + b), or y += that. */
struct sink {
    float *values;
    long stride;
    int activation, add;
};

struct heads {
    int count, size, width; /* width: size, rounded up to whole lanes */
    float scaling;
};

struct kernels {
    const char *name;
    void (*products)(const struct matrix *, const struct operand *, int rows, int first, int last,
                     const struct sink *);
    /* Put a row into the form that a matrix wants. */
    void (*prepare)(const struct matrix *, struct operand *, int row);
    void (*norm)(const float *x, const float *weight, const float *bias, float epsilon, int size,
                 float *y);
    /* Add a row of a table to y. */
    void (*look_up)(const struct matrix *, int row, const float *add, float *y);
    /* Let `rows` new rows of one head attend to `past` places and to one another. */
    void (*attend)(float *qkv, long stride, int rows, int past, int first_query, int head,
                   const struct heads *, float *keys, float *values, float *mixed,
                   long mixed_stride, float *scratch);
    void (*activate)(float *x, int count, int activation);
};

extern const struct kernels kernels_scalar;
#if defined(__x86_64__)
extern const struct kernels kernels_avx2, kernels_avx512;
#elif defined(__aarch64__)
extern const struct kernels kernels_neon;
#endif

static inline int rounded_up(int n, int step) { return (n + step - 1) / step * step; }

/* memory.c: aligned memory, of large pages where it is much; null if there is none */
void *take_memory(size_t bytes);
void *take_zeros(size_t bytes);

/* pool.c */
struct team;
typedef void (*job)(void *argument, struct team *, int member);
void run_together(int threads, job, void *argument);
void meet(struct team *);        /* a barrier */
int members(const struct team *);

/* One after the other, whoever is free takes the next piece of a step. */
#define PIECES(first, end, count, piece)                                                           \
    for (int first, end;                                                                           \
         (first = atomic_fetch_add_explicit(counter, 1, memory_order_relaxed) * (piece)) <         \
             (count) &&                                                                            \
         (end = first + (piece) < (count) ? first + (piece) : (count), 1);)

static inline int piece_of(int count, int members, int step) {
    return rounded_up((count + 4 * members - 1) / (4 * members), step);
}

#endif
