/* A small model of any kind and shape, the same on every machine: numbers come from whole ones. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gpt2sdk.h"

struct shape {
    int kind, digits, embed, heads, inner, vocab, layers, positions, activation;
};

struct model {
    struct matrix *table, *matrices[8][4];
    struct engine *engine;
};

static uint32_t state;

/* From -1 to 1, in steps of 2^-15. */
static float number(void) {
    state = state * 1664525u + 1013904223u;
    return (float)((int)(state >> 16) - 32768) / 32768.0f;
}

static float *numbers(size_t count, float scale, float shift) {
    float *made = malloc(count * sizeof(float));
    for (size_t i = 0; i < count; i++) made[i] = number() * scale + shift;
    return made;
}

static struct matrix *made(int kind, int out, int in, int digits, int bias) {
    enum { GROUP = 32 };
    const int inputs = kind == 3 ? (in + GROUP - 1) / GROUP * GROUP : in;
    const size_t count = (size_t)out * (size_t)inputs, groups = count / GROUP + 1;
    struct matrix *m = gpt2sdk_matrix_new(kind, out, in, kind == 3 ? GROUP : 0, digits);
    float *values = numbers(count, 0.25f, 0.0f), *scale = numbers(count, 0.0005f, 0.001f);
    float *mean = numbers((size_t)in, 0.1f, 0.0f), *add = numbers((size_t)out, 0.1f, 0.0f);
    uint16_t *halves = malloc((count + 2 * groups) * sizeof(uint16_t));
    int8_t *bytes = malloc(count);
    int failed = !m;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, values + i, 4);
        halves[i] = (uint16_t)(bits >> 16);
        bytes[i] = (int8_t)(int)(values[i] * 508.0f);
    }
    if (m) {
        gpt2sdk_matrix_write(m, 0, out, kind == 0 ? (void *)values : kind == 1 ? (void *)halves : bytes);
        if (kind == 2) failed |= gpt2sdk_matrix_scale(m, scale, bias ? NULL : mean);
        if (kind == 3) {
            for (size_t i = 0; i < groups; i++) {
                halves[i] = (uint16_t)(0x3d00 + (i * 37) % 64); /* 0.03 to 0.05 */
                halves[groups + i] = (uint16_t)(i % 2 ? 0x3c10 : 0xbc20);
            }
            gpt2sdk_matrix_groups(m, halves, halves + groups);
        }
        if (bias) failed |= gpt2sdk_matrix_bias(m, add);
    }
    free(values);
    free(scale);
    free(mean);
    free(add);
    free(halves);
    free(bytes);
    if (!failed) return m;
    gpt2sdk_matrix_free(m);
    return NULL;
}

static void drop(struct model *model) {
    gpt2sdk_engine_free(model->engine);
    gpt2sdk_matrix_free(model->table);
    for (int l = 0; l < 8; l++)
        for (int i = 0; i < 4; i++) gpt2sdk_matrix_free(model->matrices[l][i]);
}

/* Make a model; returns -1, with nothing left of it, if there is no memory. */
static int make(struct model *model, const struct shape *s, const struct kernels *kernels) {
    const int e = s->embed, sizes[4][2] = {{3 * e, e}, {e, e}, {s->inner, e}, {e, s->inner}};
    float *norms = numbers((size_t)(4 * s->layers + 2) * (size_t)e, 0.2f, 0.5f);
    float *places = numbers((size_t)s->positions * (size_t)e, 0.1f, 0.0f);
    int failed = 0;
    memset(model, 0, sizeof *model);
    model->table = made(s->kind == 3 ? 2 : s->kind, s->vocab, e, 2, 0);
    for (int l = 0; l < s->layers; l++)
        for (int i = 0; i < 4; i++) {
            model->matrices[l][i] = made(s->kind, sizes[i][0], sizes[i][1], s->digits, 1);
            failed |= !model->matrices[l][i];
        }
    if (!failed && model->table)
        model->engine =
            gpt2sdk_engine_new(kernels, s->layers, e, s->vocab, s->positions, 1e-5f, model->table,
                               model->table, places, norms, norms + e);
    for (int l = 0; model->engine && l < s->layers; l++) {
        const float *four[4];
        for (int i = 0; i < 4; i++) four[i] = norms + (size_t)(2 + 4 * l + i) * (size_t)e;
        failed |= gpt2sdk_engine_layer(model->engine, l, s->heads, e / s->heads, 0.5f,
                                       s->activation, (const struct matrix *const *)model->matrices[l],
                                       four);
    }
    free(norms);
    free(places);
    if (!failed && model->engine) return 0;
    drop(model);
    return -1;
}
