/* The product of one matrix by itself. */
#include <stdlib.h>
#include <string.h>

#include "native.h"

struct product {
    const struct kernels *kernels;
    const struct matrix *matrix;
    struct operand operand;
    struct sink sink;
    int rows;
    atomic_int counters[2];
};

static void compute_product(void *argument, struct team *team, int member) {
    struct product *p = argument;
    const struct matrix *m = p->matrix;
    atomic_int *counter = p->counters;
    (void)member;
    if (m->kind == INT8 || m->kind == INT4) {
        PIECES(first, end, p->rows, 1)
            for (int row = first; row < end; row++) p->kernels->prepare(m, &p->operand, row);
        meet(team);
    }
    counter++;
    PIECES(first, end, m->blocks, piece_of(m->blocks, members(team), 4))
        p->kernels->products(m, &p->operand, p->rows, first, end, &p->sink);
    meet(team);
}

int gpt2sdk_product(const struct kernels *kernels, const struct matrix *m, const float *x, int rows,
                    float *y, int threads) {
    const int groups = m->kind == INT4 ? m->inputs / m->group : 1;
    const size_t stride = (size_t)rounded_up(m->in, LANES) + LANES;
    const size_t digits = (size_t)rounded_up(m->inputs, 64) + 64, n = (size_t)rows;
    const size_t floats = n * (stride + 2 * (size_t)groups + 1) + 4 * LANES;
    float *memory = take_memory(floats * sizeof(float) + 2 * n * digits + 64);
    if (!memory) return -1;
    struct product p = {.kernels = kernels, .matrix = m, .rows = rows,
                        .sink = {y, m->out, LINEAR, 0}};
    p.operand = (struct operand){
        .values = memory, .stride = (long)stride, .digit_stride = (long)digits,
        .scale = memory + n * stride, .sums = memory + n * (stride + (size_t)groups),
        .offset = memory + n * (stride + 2 * (size_t)groups), .groups = groups};
    for (int i = 0; i < 2; i++)
        p.operand.digits[i] = (uint8_t *)(memory + floats) + (size_t)i * n * digits;
    for (size_t row = 0; row < n; row++) {
        float *to = memory + row * stride;
        memcpy(to, x + row * (size_t)m->in, (size_t)m->in * sizeof(float));
        for (size_t i = (size_t)m->in; i < stride; i++) to[i] = 0.0f;
    }
    run_together(threads, compute_product, &p);
    free(memory);
    return 0;
}
