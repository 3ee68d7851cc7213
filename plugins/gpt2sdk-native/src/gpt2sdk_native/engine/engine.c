/* A whole call of a model: embedding, blocks, norm and head, by threads that meet between steps. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "native.h"

enum { MOST_ROWS = 256 }; /* computed at a time: more only need more memory */

struct layer {
    struct matrix *qkv, *out, *up, *down;
    float *norms[4]; /* weight and bias before attention, then before the feed-forward layer */
    struct heads heads;
    int activation;
};

struct engine {
    int embed, vocab, layers, positions;
    float epsilon;
    struct layer *layer;
    struct matrix *table, *head; /* the head may be the table */
    float *places;               /* [positions][embed] */
    float *norms[2];
    const struct kernels *kernels;
};

/* Keys and values of slots: of each layer [slots][keys, then values of all heads][places][size]. */
struct cache {
    int depth, slots, places;
    float *const *buffers;
    const int32_t *lengths;
};

/* A part of a call: consecutive new tokens of one slot. */
struct stretch {
    int slot, past, rows, kept, first, first_kept;
};

struct call {
    const struct engine *engine;
    const struct cache *cache;
    struct stretch *stretches;
    int count, rows, kept, wanted;
    const int32_t *tokens, *layers;
    float *logits, *streams;
    long stream_stride;
    atomic_int *counters;
    float *x, *mixed, *wide, *scratch;
    struct operand operand;
    long stride, wide_stride, scratch_stride;
};

#if defined(__x86_64__)
static const struct kernels *fastest(void) {
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vnni"))
        return &kernels_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &kernels_avx2;
    return &kernels_scalar;
}
#else
static const struct kernels *fastest(void) { return &kernels_scalar; }
#endif

/* Kernels by name, null if there are none or this processor lacks them; the fastest for "". */
const struct kernels *gpt2sdk_kernels(const char *name) {
    const struct kernels *best = fastest();
    if (!*name || !strcmp(name, best->name)) return best;
    if (!strcmp(name, "scalar")) return &kernels_scalar;
#if defined(__x86_64__)
    if (!strcmp(name, "avx2") && best == &kernels_avx512) return &kernels_avx2;
#endif
    return NULL;
}

const char *gpt2sdk_kernels_name(const struct kernels *kernels) { return kernels->name; }

void gpt2sdk_activate(const struct kernels *kernels, float *x, int count, int activation) {
    kernels->activate(x, count, activation);
}

static float *copy(const float *from, size_t count) {
    float *to = take_memory((count + LANES) * sizeof(float));
    if (to) memcpy(to, from, count * sizeof(float));
    return to;
}

/* The engine takes over no matrix: they are kept by whoever made them, until it is freed. */
struct engine *gpt2sdk_engine_new(const struct kernels *kernels, int layers, int embed, int vocab,
                                  int positions, float epsilon, struct matrix *table,
                                  struct matrix *head, const float *places, const float *weight,
                                  const float *bias) {
    struct engine *e = calloc(1, sizeof *e);
    if (!e) return NULL;
    *e = (struct engine){.embed = embed, .vocab = vocab, .layers = layers, .positions = positions,
                         .epsilon = epsilon, .table = table, .head = head, .kernels = kernels};
    e->layer = calloc((size_t)layers, sizeof *e->layer);
    e->places = copy(places, (size_t)positions * (size_t)embed);
    e->norms[0] = copy(weight, (size_t)embed);
    e->norms[1] = copy(bias, (size_t)embed);
    return e;
}

void gpt2sdk_engine_layer(struct engine *e, int index, int heads, int size, float scaling,
                          int activation, struct matrix *const *matrices,
                          const float *const *norms) {
    struct layer *layer = e->layer + index;
    layer->qkv = matrices[0];
    layer->out = matrices[1];
    layer->up = matrices[2];
    layer->down = matrices[3];
    layer->activation = activation;
    layer->heads = (struct heads){heads, size, rounded_up(size, LANES), scaling};
    for (int i = 0; i < 4; i++) layer->norms[i] = copy(norms[i], (size_t)e->embed);
}

void gpt2sdk_engine_free(struct engine *e) {
    for (int l = 0; l < e->layers; l++)
        for (int i = 0; i < 4; i++) drop_memory(e->layer[l].norms[i], 0);
    for (int i = 0; i < 2; i++) drop_memory(e->norms[i], 0);
    drop_memory(e->places, 0);
    free(e->layer);
    free(e);
}

/* One after the other, whoever is free takes the next piece of a step. */
#define PIECES(first, end, count, piece)                                                           \
    for (int first, end;                                                                           \
         (first = atomic_fetch_add_explicit(counter, 1, memory_order_relaxed) * (piece)) <         \
             (count) &&                                                                            \
         (end = first + (piece) < (count) ? first + (piece) : (count), 1);)

static int piece_of(int count, int members, int step) {
    return rounded_up((count + 4 * members - 1) / (4 * members), step);
}

static void multiply(struct call *c, const struct operand *x, struct team *team, atomic_int *counter,
                     const struct matrix *m, int rows, float *to, long stride, int activation,
                     int add) {
    const struct sink sink = {to, stride, activation, add};
    PIECES(first, end, m->blocks, piece_of(m->blocks, members(team), 4))
        c->engine->kernels->products(m, x, rows, first, end, &sink);
    meet(team);
}

/* Norm rows of x (none without weights) and put them into the form that a matrix wants. */
static void ready(struct call *c, struct operand *x, struct team *team, atomic_int *counter,
                  const struct matrix *m, float *const *norms, int rows, float *from,
                  long stride) {
    const struct engine *e = c->engine;
    const int quantized = m->kind == INT8 || m->kind == INT4;
    x->groups = m->kind == INT4 ? m->inputs / m->group : 1;
    x->values = norms ? c->mixed : from;
    x->stride = norms ? c->stride : stride;
    if (norms || quantized) {
        PIECES(first, end, rows, 1)
            for (int row = first; row < end; row++) {
                if (norms)
                    e->kernels->norm(c->x + row * c->stride, norms[0], norms[1], e->epsilon,
                                     e->embed, c->mixed + row * c->stride);
                if (quantized) e->kernels->prepare(m, x, row);
            }
        meet(team);
    }
}

static void attend(struct call *c, struct team *team, int member, atomic_int *counter, int index) {
    const struct layer *layer = c->engine->layer + index;
    const struct heads *heads = &layer->heads;
    const int last = index == c->cache->depth - 1;
    const size_t per_head = (size_t)c->cache->places * (size_t)heads->size;
    PIECES(first, end, c->count * heads->count, 1) {
        (void)end;
        const struct stretch *s = c->stretches + first / heads->count;
        const int head = first % heads->count;
        const int from = last ? s->first_kept : s->first;
        const size_t slot = 2 * (size_t)s->slot * (size_t)heads->count;
        float *keys = c->cache->buffers[index] + (slot + (size_t)head) * per_head;
        c->engine->kernels->attend(
            c->wide + s->first * c->wide_stride, c->wide_stride, s->rows, s->past,
            last ? s->rows - s->kept : 0, head, heads, keys,
            keys + (size_t)heads->count * per_head, c->mixed + from * c->stride, c->stride, c->scratch + member * c->scratch_stride);
    }
    meet(team);
}

static void keep_stream(struct call *c, int layer, int compact) {
    for (int i = 0; i < c->wanted; i++) {
        if (c->layers[i] != layer) continue;
        float *to = c->streams + i * c->stream_stride;
        for (int n = 0; n < c->count; n++) {
            const struct stretch *s = c->stretches + n;
            const int from = compact ? s->first_kept : s->first + s->rows - s->kept;
            for (int r = 0; r < s->kept; r++)
                memcpy(to + (long)(s->first_kept + r) * c->engine->embed,
                       c->x + (from + r) * c->stride, (size_t)c->engine->embed * sizeof(float));
        }
    }
}

/* From the last attention on, no position needs another one. */
static void compact(struct call *c) {
    for (int n = 0; n < c->count; n++) {
        const struct stretch *s = c->stretches + n;
        memmove(c->x + s->first_kept * c->stride, c->x + (s->first + s->rows - s->kept) * c->stride,
                (size_t)(s->kept * c->stride) * sizeof(float));
    }
}

static void compute(void *argument, struct team *team, int member) {
    struct call *c = argument;
    const struct engine *e = c->engine;
    atomic_int *counter = c->counters;
    struct operand x = c->operand;
    int rows = c->rows;
    PIECES(first, end, c->count, 1)
        for (const struct stretch *s = c->stretches + first; s < c->stretches + end; s++)
            for (int r = 0; r < s->rows; r++)
                e->kernels->look_up(e->table, c->tokens[s->first + r],
                                    e->places + (size_t)(s->past + r) * (size_t)e->embed,
                                    c->x + (s->first + r) * c->stride);
    meet(team);
    for (int l = 0; l < c->cache->depth; l++) {
        const struct layer *layer = e->layer + l;
        if (!member) keep_stream(c, l, 0);
        ready(c, &x, team, ++counter, layer->qkv, layer->norms, rows, NULL, 0);
        multiply(c, &x, team, ++counter, layer->qkv, rows, c->wide, c->wide_stride, LINEAR, 0);
        attend(c, team, member, ++counter, l);
        if (l == c->cache->depth - 1) {
            rows = c->kept;
            if (!rows) return;
            if (!member) compact(c);
            meet(team);
        }
        ready(c, &x, team, ++counter, layer->out, NULL, rows, c->mixed, c->stride);
        multiply(c, &x, team, ++counter, layer->out, rows, c->x, c->stride, LINEAR, 1);
        ready(c, &x, team, ++counter, layer->up, layer->norms + 2, rows, NULL, 0);
        multiply(c, &x, team, ++counter, layer->up, rows, c->wide, c->wide_stride, layer->activation, 0);
        ready(c, &x, team, ++counter, layer->down, NULL, rows, c->wide, c->wide_stride);
        multiply(c, &x, team, ++counter, layer->down, rows, c->x, c->stride, LINEAR, 1);
    }
    if (!member) keep_stream(c, c->cache->depth, 1);
    ready(c, &x, team, ++counter, e->head, e->norms, rows, NULL, 0);
    multiply(c, &x, team, ++counter, e->head, rows, c->logits, e->vocab, LINEAR, 0);
}

static int most(int a, int b) { return a > b ? a : b; }

/* Take one piece of memory for a call of at most so many rows, and lay it out. */
static void *lay_out(struct call *c, int rows, int longest, int threads, int vocab_groups) {
    const struct engine *e = c->engine;
    int widest = 3 * e->embed, groups = vocab_groups, inputs = e->head->inputs, width = 0;
    for (int l = 0; l < e->layers; l++) {
        const struct layer *layer = e->layer + l;
        const struct matrix *each[] = {layer->qkv, layer->out, layer->up, layer->down};
        widest = most(widest, layer->up->out);
        width = layer->heads.width;
        for (int i = 0; i < 4; i++) {
            inputs = most(inputs, each[i]->inputs);
            if (each[i]->kind == INT4) groups = most(groups, each[i]->inputs / each[i]->group);
        }
    }
    /* A stride of a power of two would put all rows of a tile into the same places of a cache. */
    c->stride = rounded_up(e->embed, LANES) + LANES;
    c->wide_stride = rounded_up(widest, LANES) + LANES;
    c->scratch_stride = 4L * rounded_up(longest, LANES) + 4L * width + LANES;
    const size_t n = (size_t)rows, digits = (size_t)rounded_up(inputs, 64) + 64;
    const size_t floats[] = {n * (size_t)c->stride, n * (size_t)c->stride,
                             n * (size_t)c->wide_stride,
                             (size_t)threads * (size_t)c->scratch_stride, n * (size_t)groups,
                             n * (size_t)groups, n};
    float **to[] = {&c->x, &c->mixed, &c->wide, &c->scratch, &c->operand.scale, &c->operand.sums,
                    &c->operand.offset};
    const size_t steps = 7 * (size_t)c->cache->depth + 8;
    size_t bytes = 2 * n * digits + steps * sizeof(atomic_int) + 64;
    for (int i = 0; i < 7; i++) bytes += (floats[i] + LANES) / LANES * LANES * sizeof(float);
    uint8_t *memory = take_memory(bytes), *next = memory;
    if (!memory) return NULL;
    for (int i = 0; i < 7; i++) {
        *to[i] = (float *)(void *)next;
        next += (floats[i] + LANES) / LANES * LANES * sizeof(float);
    }
    for (int i = 0; i < 2; i++, next += n * digits) c->operand.digits[i] = next;
    c->operand.digit_stride = (long)digits;
    c->counters = (atomic_int *)(void *)next;
    return memory;
}

/* Feed counts[i] tokens to slot i, behind lengths[i], and score its last keep[i] positions.
 *
 * buffers: of the `depth` layers that run, each with room for what is fed. tokens: slot after slot.
 * logits: [sum of keep][vocab]. streams: [wanted][sum of keep][embed], the residual streams before
 * the given layers. Returns 0, or -1 if there is not enough memory. */
int gpt2sdk_score(const struct engine *e, int depth, int slots, int places, float *const *buffers,
                  const int32_t *lengths, const int32_t *tokens, const int32_t *counts,
                  const int32_t *keep, const int32_t *layers, int wanted, float *logits,
                  float *streams, int threads) {
    const struct cache held = {depth, slots, places, buffers, lengths}, *cache = &held;
    int total = 0, kept = 0, longest = 0;
    for (int slot = 0; slot < cache->slots; slot++) {
        total += counts[slot];
        kept += keep[slot];
        longest = most(longest, cache->lengths[slot] + counts[slot]);
    }
    if (!total) return 0;
    struct call c = {.engine = e, .cache = cache, .wanted = wanted, .layers = layers,
                     .stream_stride = (long)kept * e->embed};
    const int rows = total < MOST_ROWS ? total : MOST_ROWS;
    void *memory = lay_out(&c, rows, longest, threads, 1);
    c.stretches = malloc(sizeof *c.stretches * (size_t)rows);
    if (!memory || !c.stretches) {
        drop_memory(memory, 0);
        free(c.stretches);
        return -1;
    }
    int done = 0, scored = 0;
    for (int slot = 0, used = 0; done < total;) {
        c.count = c.rows = c.kept = 0;
        while (c.rows < rows && slot < cache->slots) {
            const int left = counts[slot] - used, room = rows - c.rows;
            const int take = left < room ? left : room;
            if (take) {
                /* The last keep[slot] of a slot's tokens: how many of them are in this stretch? */
                const int beyond = used + take - (counts[slot] - keep[slot]);
                const int here = beyond < 0 ? 0 : beyond < take ? beyond : take;
                c.stretches[c.count++] = (struct stretch){slot, cache->lengths[slot] + used, take,
                                                          here, c.rows, c.kept};
                c.rows += take;
                c.kept += here;
                used += take;
            }
            if (used == counts[slot]) {
                slot++;
                used = 0;
            }
        }
        memset(c.counters, 0, (7 * (size_t)cache->depth + 8) * sizeof(atomic_int));
        c.tokens = tokens + done;
        c.logits = logits + (long)scored * e->vocab;
        c.streams = streams + (long)scored * e->embed;
        run_together(threads, compute, &c);
        done += c.rows;
        scored += c.kept;
    }
    free(c.stretches);
    drop_memory(memory, 0);
    return 0;
}

/* Norm rows as the last norm does. */
int gpt2sdk_final_norm(const struct engine *e, const float *x, int rows, float *y) {
    const size_t padded = (size_t)rounded_up(e->embed, LANES), bytes = (size_t)e->embed * 4;
    float *line = take_memory(2 * padded * sizeof(float));
    if (!line) return -1;
    memset(line, 0, padded * sizeof(float));
    for (int row = 0; row < rows; row++) {
        memcpy(line, x + (long)row * e->embed, bytes);
        e->kernels->norm(line, e->norms[0], e->norms[1], e->epsilon, e->embed, line + padded);
        memcpy(y + (long)row * e->embed, line + padded, bytes);
    }
    drop_memory(line, 0);
    return 0;
}

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

/* y = x W' + b for plain rows: the product of one matrix by itself. */
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
    drop_memory(memory, 0);
    return 0;
}
