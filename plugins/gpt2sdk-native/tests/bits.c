/* Prints a hash of the logits, streams and keys and values of models of every kind and of odd
 * shapes: `bits KERNELS THREADS`. The lines are the same for all kernels, threads and machines. */
#include <stdio.h>

#include "model.h"

enum { SLOTS = 3, MOST = 320 };

static uint64_t hash;

static void add(const void *data, size_t bytes) {
    const uint8_t *byte = data;
    for (size_t i = 0; i < bytes; i++) hash = (hash ^ byte[i]) * 0x100000001b3u;
}

/* Feed rows of several lengths, in pieces that end where `pieces` has a bit, and hash what comes. */
static int run(const struct shape *s, const struct kernels *kernels, int threads, int piece) {
    const int32_t lengths[SLOTS] = {s->positions - 1, 0, 19};
    int32_t held[SLOTS] = {0}, tokens[SLOTS * MOST], counts[SLOTS], keep[SLOTS];
    const int32_t layers[2] = {0, s->layers};
    const size_t layer = 2 * SLOTS * (size_t)s->positions * (size_t)s->embed;
    float *buffers[8], *rows[SLOTS], *streams = malloc(2 * SLOTS * MOST * (size_t)s->embed * 4);
    float *logits = malloc(SLOTS * MOST * (size_t)s->vocab * 4);
    struct model model;
    state = 1;
    if (make(&model, s, kernels)) return -1;
    for (int l = 0; l < s->layers; l++) buffers[l] = calloc(layer, 4);
    for (int i = 0; i < SLOTS; i++) rows[i] = malloc(MOST * (size_t)(s->vocab + 2 * s->embed) * 4);
    for (int left = 1; left;) {
        int fed = 0;
        left = 0;
        for (int i = 0; i < SLOTS; i++) {
            counts[i] = lengths[i] - held[i] < piece ? lengths[i] - held[i] : piece;
            keep[i] = counts[i];
            for (int t = 0; t < counts[i]; t++)
                tokens[fed++] = (7 * (held[i] + t) + 3 * i + 1) % s->vocab;
        }
        if (gpt2sdk_score(model.engine, s->layers, SLOTS, s->positions, buffers, held, tokens,
                          counts, keep, layers, 2, logits, streams, threads))
            return -1;
        const int total = fed;
        for (int i = 0, from = 0; i < SLOTS; from += counts[i++])
            for (int t = 0; t < counts[i]; t++) {
                float *to = rows[i] + (size_t)(held[i] + t) * (size_t)(s->vocab + 2 * s->embed);
                memcpy(to, logits + (from + t) * s->vocab, (size_t)s->vocab * 4);
                for (int w = 0; w < 2; w++)
                    memcpy(to + s->vocab + w * s->embed,
                           streams + (w * total + from + t) * s->embed, (size_t)s->embed * 4);
            }
        for (int i = 0; i < SLOTS; i++) left |= (held[i] += counts[i]) < lengths[i];
    }
    for (int i = 0; i < SLOTS; i++) {
        add(rows[i], (size_t)lengths[i] * (size_t)(s->vocab + 2 * s->embed) * 4);
        free(rows[i]);
    }
    for (int l = 0; l < s->layers; l++) {
        add(buffers[l], layer * 4);
        free(buffers[l]);
    }
    drop(&model);
    free(logits);
    free(streams);
    return 0;
}

int main(int count, char **arguments) {
    static const char *const names[] = {"float32", "bfloat16", "int8", "int8 a8", "int4"};
    /* embed, heads, inner, vocab, layers, positions, activation */
    static const int shapes[][7] = {
        {20, 4, 35, 37, 2, 40, 1},    /* heads of 5, widths that are odd, or no multiple of 16 */
        {36, 2, 144, 53, 1, 24, 2},   /* one layer */
        {144, 1, 80, 17, 2, 21, 5},   /* a head wider than 128 */
        {64, 2, 256, 96, 2, 300, 1},  /* more rows than are computed at a time */
        {16, 1, 64, 16, 8, 300, 8},
    };
    const struct kernels *kernels = gpt2sdk_kernels(count > 1 ? arguments[1] : "");
    const int threads = count > 2 ? atoi(arguments[2]) : 1;
    float x[961], y[961];
    if (!kernels) {
        fprintf(stderr, "no such kernels on this processor\n");
        return 3;
    }
    fprintf(stderr, "%s\n", gpt2sdk_kernels_name(kernels));
    for (int i = 0; i < 961; i++) x[i] = (float)(i - 480) / 40.0f;
    for (int activation = 0; activation <= 12; activation++) {
        hash = 0xcbf29ce484222325u;
        memcpy(y, x, sizeof x);
        gpt2sdk_activate(kernels, y, 961, activation);
        add(y, sizeof y);
        printf("activation %d %016llx\n", activation, (unsigned long long)hash);
    }
    for (int kind = 0; kind < 5; kind++)
        for (int n = 0; n < 5; n++) {
            const int *a = shapes[n];
            const struct shape s = {kind < 3 ? kind : kind - 1, kind == 3 ? 1 : 2, a[0], a[1],
                                    a[2], a[3], a[4], a[5], a[6]};
            uint64_t whole = 0;
            for (int piece = MOST; piece; piece = piece == MOST ? 7 : 0) {
                hash = 0xcbf29ce484222325u;
                if (run(&s, kernels, threads, piece)) return 1;
                if (piece != MOST && hash != whole) {
                    fprintf(stderr, "%s %d: other bits in pieces\n", names[kind], n);
                    return 2;
                }
                whole = hash;
            }
            printf("%s %d %016llx\n", names[kind], n, (unsigned long long)whole);
        }
    return 0;
}
