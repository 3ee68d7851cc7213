/* Causal attention of one head over a slot's pages.
 *
 * A page holds, for each head, the keys of 16 positions as [size][16] and their values as
 * [16][width]. Scores are sums over a head's size and mixed values sums over positions, each in
 * its order in one accumulator; the softmax's sum has 16 lanes, position by position.
 */
#include "products.h"

/* Scores of R queries with the positions of P pages. */
TILE void scores(const int R, const int P, const float *q, long stride, int size,
                   float *const *pages, size_t offset, float *s, long row) {
    v16 acc[4][4];
    UNROLL for (int p = 0; p < P; p++) ROWS(r) acc[p][r] = v_set(0.0f);
    for (int d = 0; d < size; d++) {
        v16 keys[4];
        UNROLL for (int p = 0; p < P; p++) keys[p] = v_load(pages[p] + offset + d * LANES);
        ROWS(r) {
            const v16 one = v_set(q[r * stride + d]);
            UNROLL for (int p = 0; p < P; p++) acc[p][r] = v_fma(one, keys[p], acc[p][r]);
        }
    }
    UNROLL for (int p = 0; p < P; p++) ROWS(r) v_store(s + r * row + p * LANES, acc[p][r]);
}

static void all_scores(int queries, const float *q, long stride, int size, float *const *pages,
                       int count, size_t offset, float *s, long row) {
    int p = 0;
    if (queries == 4)
        for (; p + 2 <= count; p += 2)
            scores(4, 2, q, stride, size, pages + p, offset, s + p * LANES, row);
    else
        for (; p + 4 <= count; p += 4)
            for (int r = 0; r < queries; r++)
                scores(1, 4, q + r * stride, stride, size, pages + p, offset,
                       s + r * row + p * LANES, row);
    for (; p < count; p++)
        for (int r = 0; r < queries; r++)
            scores(1, 1, q + r * stride, stride, size, pages + p, offset, s + r * row + p * LANES,
                   row);
}

/* Turn the first `count` scores into e^(score - largest), zeros behind; return 1 / their sum. */
static float weigh(float *s, int count) {
    const v16 out = v_set(-INFINITY), zero = v_set(0.0f);
    v16 most = out, sum = zero;
    for (int i = 0; i < count; i += LANES)
        most = v_max(most, v_first(v_load(s + i), count - i, out));
    const v16 largest = v_set(v_largest(most));
    for (int i = 0; i < count; i += LANES) {
        const v16 e = v_first(v_exp(v_sub(v_load(s + i), largest)), count - i, zero);
        v_store(s + i, e);
        sum = v_add(sum, e);
    }
    return 1.0f / v_sum(sum);
}

/* Add the values of positions `start` to `stop`, times their weights, to R rows of V vectors. */
TILE void mix(const int R, const int V, const float *s, long row, float *const *pages,
                size_t offset, int width, int start, int stop, float *y, long stride) {
    v16 acc[4][4];
    ROWS(r) UNROLL for (int v = 0; v < V; v++) acc[r][v] = v_load(y + r * stride + v * LANES);
    for (int i = start; i < stop; i++) {
        const float *value = pages[i / PLACES] + offset + (long)(i % PLACES) * width;
        v16 values[4];
        UNROLL for (int v = 0; v < V; v++) values[v] = v_load(value + v * LANES);
        ROWS(r) {
            const v16 one = v_set(s[r * row + i]);
            UNROLL for (int v = 0; v < V; v++) acc[r][v] = v_fma(one, values[v], acc[r][v]);
        }
    }
    ROWS(r) UNROLL for (int v = 0; v < V; v++) v_store(y + r * stride + v * LANES, acc[r][v]);
}

static void mix_rows(int rows, const float *s, long row, float *const *pages, size_t offset,
                     int width, int start, int stop, float *y, long stride) {
    int v = 0;
    if (start >= stop) return;
    for (; v + 4 <= width / LANES; v += 4) {
        const size_t place = offset + (size_t)v * LANES;
        float *to = y + v * LANES;
        if (rows == 4) mix(4, 4, s, row, pages, place, width, start, stop, to, stride);
        else for (int r = 0; r < rows; r++)
            mix(1, 4, s + r * row, row, pages, place, width, start, stop, to + r * stride, stride);
    }
    for (; v < width / LANES; v++)
        for (int r = 0; r < rows; r++)
            mix(1, 1, s + r * row, row, pages, offset + (size_t)v * LANES, width, start, stop,
                y + r * stride + v * LANES, stride);
}

static void attend(float *qkv, long stride, int rows, int past, int first_query, int head,
                   const struct heads *heads, float *const *pages, size_t offset, float *mixed,
                   long mixed_stride, float *scratch) {
    const int size = heads->size, width = heads->width, total = past + rows;
    const size_t values = offset + (size_t)size * PLACES;
    const long row = rounded_up(total, PLACES);
    const long embed = (long)heads->count * size;
    float *query = qkv + head * size;
    for (int i = 0; i < rows; i++) {
        const int at = (past + i) % PLACES;
        float *page = pages[(past + i) / PLACES];
        const float *key = query + i * stride + embed, *value = key + embed;
        for (int d = 0; d < size; d++) page[offset + (size_t)d * PLACES + (size_t)at] = key[d];
        memcpy(page + values + (size_t)at * (size_t)width, value, (size_t)size * sizeof(float));
        for (int d = 0; d < size; d++) query[i * stride + d] *= heads->scaling;
    }
    float *y = scratch + 4 * row, sums[4];
    for (int first = first_query; first < rows; first += 4) {
        const int count = rows - first < 4 ? rows - first : 4;
        const int shared = past + first + 1, longest = shared + count - 1;
        all_scores(count, query + first * stride, stride, size, pages,
                   (longest + PLACES - 1) / PLACES, offset, scratch, row);
        for (int r = 0; r < count; r++) sums[r] = weigh(scratch + r * row, shared + r);
        memset(y, 0, (size_t)count * (size_t)width * sizeof(float));
        mix_rows(count, scratch, row, pages, values, width, 0, shared, y, width);
        for (int r = 1; r < count; r++)
            mix_rows(1, scratch + r * row, row, pages, values, width, shared, shared + r,
                     y + r * width, width);
        for (int r = 0; r < count; r++)
            for (int d = 0; d < size; d++)
                mixed[(first - first_query + r) * mixed_stride + head * size + d] =
                    y[r * width + d] * sums[r];
    }
}
