/* The C interface of the engine.
 *
 * Functions that take memory return null or -1 if there is none. Objects may be used by several
 * threads at once, but not changed or freed meanwhile. Arguments are not checked.
 */
#ifndef GPT2SDK_H
#define GPT2SDK_H

#include <stddef.h>
#include <stdint.h>

struct kernels;
struct matrix;
struct engine;

/* Of which sources it was built. */
const char *gpt2sdk_sources(void);

/* Kernels by name (avx512, avx2, neon, scalar), null if there are none or this processor lacks
 * them; the fastest for "". */
const struct kernels *gpt2sdk_kernels(const char *name);
const char *gpt2sdk_kernels_name(const struct kernels *);
void gpt2sdk_activate(const struct kernels *, float *x, int count, int activation);

/* Functions of an OpenMP library: GOMP_parallel, omp_get_thread_num, omp_get_num_threads. */
struct openmp {
    void (*parallel)(void (*work)(void *), void *argument, unsigned threads, unsigned flags);
    int (*number)(void), (*count)(void);
};
/* Let its threads compute from now on; null for threads that are made here. */
void gpt2sdk_use_openmp(const struct openmp *);

/* A matrix [out, in] of a kind: 0 float32, 1 bfloat16, 2 int8 with activations of so many digits,
 * 3 int4 in groups of a multiple of 8. */
struct matrix *gpt2sdk_matrix_new(int kind, int out, int in, int group, int digits);
void gpt2sdk_matrix_free(struct matrix *);
/* Plain rows of the kind's numbers; int4's are of two numbers in a byte, the first one lower. */
void gpt2sdk_matrix_write(struct matrix *, int start, int count, const void *rows);
void gpt2sdk_matrix_read(const struct matrix *, int start, int count, void *rows);
/* int8: a scale for each output; a table's mean, or null. */
int gpt2sdk_matrix_scale(struct matrix *, const float *scale, const float *mean);
/* int4: scales and zeros, [out][groups] in bfloat16. */
void gpt2sdk_matrix_groups(struct matrix *, const uint16_t *scale, const uint16_t *zero);
/* The same, back. */
void gpt2sdk_matrix_read_groups(const struct matrix *, uint16_t *scale, uint16_t *zero);
int gpt2sdk_matrix_bias(struct matrix *, const float *bias);
size_t gpt2sdk_matrix_bytes(const struct matrix *);
/* y = x W' + b for plain rows: the product of one matrix by itself. */
int gpt2sdk_product(const struct kernels *, const struct matrix *, const float *x, int rows,
                    float *y, int threads);

/* The engine takes over no matrix: they are kept by whoever made them, until it is freed. */
struct engine *gpt2sdk_engine_new(const struct kernels *, int layers, int embed, int vocab,
                                  int positions, float epsilon, const struct matrix *table,
                                  const struct matrix *head, const float *places,
                                  const float *weight, const float *bias);
/* matrices: of queries, keys and values; back; wide; back. norms: weight and bias, twice. */
int gpt2sdk_engine_layer(struct engine *, int index, int heads, int size, float scaling,
                         int activation, const struct matrix *const *matrices,
                         const float *const *norms);
void gpt2sdk_engine_free(struct engine *);

/* Feed counts[i] tokens to slot i, behind lengths[i], and score its last keep[i] positions.
 *
 * buffers: of the `depth` layers that run, each [slots][keys, then values of all heads][places]
 * [size], with room for what is fed. tokens: slot after slot. logits: [sum of keep][vocab].
 * streams: [wanted][sum of keep][embed], the residual streams before the given layers. */
int gpt2sdk_score(struct engine *, int depth, int slots, int places, float *const *buffers,
                  const int32_t *lengths, const int32_t *tokens, const int32_t *counts,
                  const int32_t *keep, const int32_t *layers, int wanted, float *logits,
                  float *streams, int threads);
/* Norm rows as the last norm does. */
int gpt2sdk_final_norm(const struct engine *, const float *x, int rows, float *y);

#endif
