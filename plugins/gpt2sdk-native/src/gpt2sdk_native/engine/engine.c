/* A whole call of a model: embedding, blocks, norm and head, by threads that meet between steps. */
#include <stdlib.h>
#include <string.h>

#include "native.h"

enum {
    MOST_ROWS = 256, /* computed at a time: more only need more memory */
    MOST_SPARE = 64 << 20,
};

struct layer {
    const struct matrix *qkv, *out, *up, *down;
    float *norms[4]; /* weight and bias before attention, then before the feed-forward layer */
    struct heads heads;
    int activation;
};

struct engine {
    int embed, vocab, layers;
    float epsilon;
    struct layer *layer;
    const struct matrix *table, *head; /* the head may be the table */
    float *places; /* [positions][embed] */
    float *norms[2];
    const struct kernels *kernels;
    _Atomic(struct block *) spare; /* the last call's memory, for the next one */
};

/* Memory of a call, with its size before it. */
struct block {
    size_t bytes;
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
    struct engine *engine;
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

/* A counter for each step: nine to a layer, the embedding, the last norm and the head. */
static size_t steps(const struct call *c) { return 9 * (size_t)c->cache->depth + 3; }

static float *copy(const float *from, size_t count) {
    float *to = take_zeros((count + LANES) * sizeof(float));
    return to ? memcpy(to, from, count * sizeof(float)) : NULL;
}

struct engine *gpt2sdk_engine_new(const struct kernels *kernels, int layers, int embed, int vocab,
                                  int positions, float epsilon, const struct matrix *table,
                                  const struct matrix *head, const float *places,
                                  const float *weight, const float *bias) {
    struct engine *e = calloc(1, sizeof *e);
    if (!e) return NULL;
    e->layers = layers;
    e->embed = embed;
    e->vocab = vocab;
    e->epsilon = epsilon;
    e->table = table;
    e->head = head;
    e->kernels = kernels;
    e->layer = calloc((size_t)layers, sizeof *e->layer);
    e->places = copy(places, (size_t)positions * (size_t)embed);
    e->norms[0] = copy(weight, (size_t)embed);
    e->norms[1] = copy(bias, (size_t)embed);
    if (e->layer && e->places && e->norms[0] && e->norms[1]) return e;
    gpt2sdk_engine_free(e);
    return NULL;
}

int gpt2sdk_engine_layer(struct engine *e, int index, int heads, int size, float scaling,
                         int activation, const struct matrix *const *matrices,
                         const float *const *norms) {
    struct layer *layer = e->layer + index;
    layer->qkv = matrices[0];
    layer->out = matrices[1];
    layer->up = matrices[2];
    layer->down = matrices[3];
    layer->activation = activation;
    layer->heads = (struct heads){heads, size, rounded_up(size, LANES), scaling};
    for (int i = 0; i < 4; i++)
        if (!(layer->norms[i] = copy(norms[i], (size_t)e->embed))) return -1;
    return 0;
}

void gpt2sdk_engine_free(struct engine *e) {
    if (!e) return;
    for (int l = 0; e->layer && l < e->layers; l++)
        for (int i = 0; i < 4; i++) free(e->layer[l].norms[i]);
    for (int i = 0; i < 2; i++) free(e->norms[i]);
    free(e->places);
    free(e->layer);
    free(atomic_load(&e->spare));
    free(e);
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
    const int paired = m->kind == BFLOAT16 && m->in % 2;
    x->groups = m->kind == INT4 ? m->inputs / m->group : 1;
    x->values = norms ? c->mixed : from;
    x->stride = norms ? c->stride : stride;
    if (!norms && !paired && m->kind != INT8 && m->kind != INT4) return;
    PIECES(first, end, rows, 1)
        for (int row = first; row < end; row++) {
            float *values = x->values + row * x->stride;
            if (norms)
                e->kernels->norm(c->x + row * c->stride, norms[0], norms[1], e->epsilon, e->embed,
                                 values);
            /* What another row left here may be NaN, and not only nothing. */
            if (paired) values[m->in] = 0.0f;
            e->kernels->prepare(m, x, row);
        }
    meet(team);
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
            keys + (size_t)heads->count * per_head, c->mixed + from * c->stride, c->stride,
            c->scratch + member * c->scratch_stride);
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

/* Take a block: the one that the last call left, if it is large enough. */
static struct block *take_block(struct engine *e, size_t bytes) {
    struct block *block = atomic_exchange(&e->spare, NULL);
    if (block && block->bytes >= bytes) return block;
    free(block);
    if ((block = take_memory(bytes))) block->bytes = bytes;
    return block;
}

/* Leave a block for the next call, unless it is much or another call left one. */
static void leave_block(struct engine *e, struct block *block) {
    struct block *none = NULL;
    if (block->bytes > MOST_SPARE || !atomic_compare_exchange_strong(&e->spare, &none, block))
        free(block);
}

/* Take memory for a call of at most so many rows at a time, and lay it out. */
static struct block *lay_out(struct call *c, int rows, int longest, int threads) {
    struct engine *e = c->engine;
    int widest = 0, groups = 1, inputs = e->head->inputs, width = 0;
    for (int l = 0; l < e->layers; l++) {
        const struct layer *layer = e->layer + l;
        const struct matrix *each[] = {layer->qkv, layer->out, layer->up, layer->down};
        widest = most(widest, most(layer->qkv->out, layer->up->out));
        width = most(width, layer->heads.width);
        for (int i = 0; i < 4; i++) {
            inputs = most(inputs, each[i]->inputs);
            if (each[i]->kind == INT4) groups = most(groups, each[i]->inputs / each[i]->group);
        }
    }
    /* A stride of a power of two would put all rows of a tile into the same places of a cache. */
    c->stride = rounded_up(e->embed, LANES) + LANES;
    c->wide_stride = rounded_up(widest, LANES) + LANES;
    c->scratch_stride = 4L * rounded_up(longest, LANES) + 4L * width + LANES;
    c->operand.digit_stride = rounded_up(inputs, 64) + 64;
    const size_t n = (size_t)rows, digits = n * (size_t)c->operand.digit_stride;
    const struct {
        void *to;
        size_t bytes;
    } parts[] = {
        {&c->x, n * (size_t)c->stride * sizeof(float)},
        {&c->mixed, n * (size_t)c->stride * sizeof(float)},
        {&c->wide, n * (size_t)c->wide_stride * sizeof(float)},
        {&c->scratch, (size_t)threads * (size_t)c->scratch_stride * sizeof(float)},
        {&c->operand.scale, n * (size_t)groups * sizeof(float)},
        {&c->operand.sums, n * (size_t)groups * sizeof(float)},
        {&c->operand.offset, n * sizeof(float)},
        {&c->operand.digits[0], digits},
        {&c->operand.digits[1], digits},
        {&c->stretches, n * sizeof *c->stretches},
        {&c->counters, steps(c) * sizeof *c->counters},
    };
    enum { PARTS = sizeof parts / sizeof *parts, LINE = 64 };
    size_t bytes = LINE;
    for (int i = 0; i < PARTS; i++) bytes += (parts[i].bytes + LINE) / LINE * LINE;
    struct block *block = take_block(e, bytes);
    if (!block) return NULL;
    uint8_t *next = (uint8_t *)block + LINE;
    for (int i = 0; i < PARTS; i++) {
        memcpy(parts[i].to, &next, sizeof next);
        next += (parts[i].bytes + LINE) / LINE * LINE;
    }
    return block;
}

/* Where a call stands in its tokens: before the one numbered `used` of a slot. */
struct position {
    int slot, used;
};

/* Put the next tokens of a call, at most so many, into stretches. */
static void fill(struct call *c, struct position *p, const int32_t *counts, const int32_t *keep,
                 int rows) {
    c->count = c->rows = c->kept = 0;
    while (c->rows < rows && p->slot < c->cache->slots) {
        const int slot = p->slot, left = counts[slot] - p->used, room = rows - c->rows;
        const int take = left < room ? left : room;
        if (take) {
            /* The last keep[slot] of a slot's tokens: how many of them are in this stretch? */
            const int beyond = p->used + take - (counts[slot] - keep[slot]);
            const int here = beyond < 0 ? 0 : beyond < take ? beyond : take;
            c->stretches[c->count++] = (struct stretch){
                slot, c->cache->lengths[slot] + p->used, take, here, c->rows, c->kept};
            c->rows += take;
            c->kept += here;
            p->used += take;
        }
        if (p->used == counts[slot]) *p = (struct position){slot + 1, 0};
    }
}

int gpt2sdk_score(struct engine *e, int depth, int slots, int places, float *const *buffers,
                  const int32_t *lengths, const int32_t *tokens, const int32_t *counts,
                  const int32_t *keep, const int32_t *layers, int wanted, float *logits,
                  float *streams, int threads) {
    const struct cache cache = {depth, slots, places, buffers, lengths};
    int total = 0, kept = 0, longest = 0;
    for (int slot = 0; slot < slots; slot++) {
        total += counts[slot];
        kept += keep[slot];
        longest = most(longest, lengths[slot] + counts[slot]);
    }
    if (!total) return 0;
    struct call c = {.engine = e, .cache = &cache, .wanted = wanted, .layers = layers,
                     .stream_stride = (long)kept * e->embed, .tokens = tokens, .logits = logits,
                     .streams = streams};
    const int rows = total < MOST_ROWS ? total : MOST_ROWS;
    struct block *block = lay_out(&c, rows, longest, most(threads, 1));
    if (!block) return -1;
    struct position position = {0, 0};
    for (int done = 0; done < total; done += c.rows) {
        fill(&c, &position, counts, keep, rows);
        memset(c.counters, 0, steps(&c) * sizeof *c.counters);
        run_together(threads, compute, &c);
        c.tokens += c.rows;
        c.logits += (long)c.kept * e->vocab;
        c.streams += (long)c.kept * e->embed;
    }
    leave_block(e, block);
    return 0;
}

int gpt2sdk_final_norm(const struct engine *e, const float *x, int rows, float *y) {
    const size_t padded = (size_t)rounded_up(e->embed, LANES), bytes = (size_t)e->embed * 4;
    float *line = take_zeros(2 * padded * sizeof(float));
    if (!line) return -1;
    for (int row = 0; row < rows; row++) {
        memcpy(line, x + (long)row * e->embed, bytes);
        e->kernels->norm(line, e->norms[0], e->norms[1], e->epsilon, e->embed, line + padded);
        memcpy(y + (long)row * e->embed, line + padded, bytes);
    }
    free(line);
    return 0;
}
