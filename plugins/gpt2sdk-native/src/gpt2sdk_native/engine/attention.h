/* Causal attention of one head over a slot's keys and values, [places][size] each.
 *
 * A score is summed in sixteen lanes over a head's size, then across them; mixed values are summed
 * over positions, each in its order in one accumulator. The softmax's sum has sixteen lanes.
 */
#include "products.h"

/* Scores of R queries with K keys. */
TILE void scores(const int R, const int K, const float *q, long stride, int size, const float *keys,
                 float *s, long row) {
    v16 acc[4][4];
    ROWS(r) UNROLL for (int k = 0; k < K; k++) acc[r][k] = v_set(0.0f);
    for (int d = 0; d < size; d += LANES) {
        const int left = size - d;
        v16 key[4];
        UNROLL for (int k = 0; k < K; k++) key[k] = v_load_first(keys + (long)k * size + d, left);
        ROWS(r) {
            const v16 query = v_load_first(q + r * stride + d, left);
            UNROLL for (int k = 0; k < K; k++) acc[r][k] = v_fma(query, key[k], acc[r][k]);
        }
    }
    ROWS(r) {
        if (K == 4) v_store_sums(s + r * row, acc[r][0], acc[r][1], acc[r][2], acc[r][3]);
        else UNROLL for (int k = 0; k < K; k++) s[r * row + k] = v_sum(acc[r][k]);
    }
}

static void all_scores(int queries, const float *q, long stride, int size, const float *keys,
                       int count, float *s, long row) {
    int k = 0;
    if (queries == 4)
        for (; k + 4 <= count; k += 4)
            scores(4, 4, q, stride, size, keys + (long)k * size, s + k, row);
    for (int r = 0; r < queries; r++) {
        int i = k;
        for (; i + 4 <= count; i += 4)
            scores(1, 4, q + r * stride, stride, size, keys + (long)i * size, s + r * row + i, row);
        for (; i < count; i++)
            scores(1, 1, q + r * stride, stride, size, keys + (long)i * size, s + r * row + i, row);
    }
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

/* Add the values of positions `start` to `stop`, times their weights, to R rows of V vectors, of
 * which the last may have fewer numbers than lanes: `left` in all. */
TILE void mix(const int R, const int V, const float *s, long row, const float *values, int size,
              int left, int start, int stop, float *y, long stride) {
    v16 acc[4][4];
    ROWS(r) UNROLL for (int v = 0; v < V; v++) acc[r][v] = v_load(y + r * stride + v * LANES);
    for (int i = start; i < stop; i++) {
        const float *value = values + (long)i * size;
        v16 part[4];
        UNROLL for (int v = 0; v < V; v++)
            part[v] = v_load_first(value + v * LANES, left - v * LANES);
        ROWS(r) {
            const v16 one = v_set(s[r * row + i]);
            UNROLL for (int v = 0; v < V; v++) acc[r][v] = v_fma(one, part[v], acc[r][v]);
        }
    }
    ROWS(r) UNROLL for (int v = 0; v < V; v++) v_store(y + r * stride + v * LANES, acc[r][v]);
}

static void mix_rows(int rows, const float *s, long row, const float *values, int size, int width,
                     int start, int stop, float *y, long stride) {
    int v = 0;
    if (start >= stop) return;
    for (; v + 4 <= width / LANES; v += 4) {
        const float *from = values + v * LANES;
        const int left = size - v * LANES;
        float *to = y + v * LANES;
        if (rows == 4) mix(4, 4, s, row, from, size, left, start, stop, to, stride);
        else for (int r = 0; r < rows; r++)
            mix(1, 4, s + r * row, row, from, size, left, start, stop, to + r * stride, stride);
    }
    for (; v < width / LANES; v++)
        for (int r = 0; r < rows; r++)
            mix(1, 1, s + r * row, row, values + v * LANES, size, size - v * LANES, start, stop,
                y + r * stride + v * LANES, stride);
}

static void attend(float *qkv, long stride, int rows, int past, int first_query, int head,
                   const struct heads *heads, float *keys, float *values, float *mixed,
                   long mixed_stride, float *scratch) {
    const int size = heads->size, width = heads->width;
    const long row = rounded_up(past + rows, LANES), embed = (long)heads->count * size;
    float *query = qkv + head * size;
    for (int i = 0; i < rows; i++) {
        const float *key = query + i * stride + embed;
        memcpy(keys + (long)(past + i) * size, key, (size_t)size * sizeof(float));
        memcpy(values + (long)(past + i) * size, key + embed, (size_t)size * sizeof(float));
        for (int d = 0; d < size; d++) query[i * stride + d] *= heads->scaling;
    }
    float *y = scratch + 4 * row, sums[4];
    for (int first = first_query; first < rows; first += 4) {
        const int count = rows - first < 4 ? rows - first : 4;
        const int shared = past + first + 1;
        all_scores(count, query + first * stride, stride, size, keys, shared + count - 1, scratch,
                   row);
        for (int r = 0; r < count; r++) sums[r] = weigh(scratch + r * row, shared + r);
        memset(y, 0, (size_t)count * (size_t)width * sizeof(float));
        mix_rows(count, scratch, row, values, size, width, 0, shared, y, width);
        for (int r = 1; r < count; r++)
            mix_rows(1, scratch + r * row, row, values, size, width, shared, shared + r,
                     y + r * width, width);
        for (int r = 0; r < count; r++)
            for (int d = 0; d < size; d++)
                mixed[(first - first_query + r) * mixed_stride + head * size + d] =
                    y[r * width + d] * sums[r];
    }
}
