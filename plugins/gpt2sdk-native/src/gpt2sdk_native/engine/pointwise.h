/* What is computed number by number, or in a row: functions, norms, digits. */
#include "lanes.h"
#include "native.h"

/* e^x for x from -87.3 to 88 (beyond, as at these ends), by the polynomial of Cephes' expf. NaN
 * stays NaN: of two operands, minimum and maximum return the second one then. */
INLINE v16 v_exp(v16 x) {
    x = v_max(v_set(-87.33f), v_min(v_set(88.0f), x));
    const v16 n = v_round(v_mul(x, v_set(1.44269504088896341f)));
    v16 r = v_fma(n, v_set(-0.693359375f), x);
    r = v_fma(n, v_set(2.12194440e-4f), r);
    v16 p = v_set(1.9875691500e-4f);
    p = v_fma(p, r, v_set(1.3981999507e-3f));
    p = v_fma(p, r, v_set(8.3334519073e-3f));
    p = v_fma(p, r, v_set(4.1665795894e-2f));
    p = v_fma(p, r, v_set(1.6666665459e-1f));
    p = v_fma(p, r, v_set(5.0000001201e-1f));
    p = v_add(v_fma(p, v_mul(r, r), r), v_set(1.0f));
    return v_scale2(p, n);
}

/* 1 / (1 + e^-x) times y. */
INLINE v16 v_gate(v16 y, v16 x) {
    return v_div(y, v_add(v_set(1.0f), v_exp(v_sub(v_set(0.0f), x))));
}

/* Fitted by least squares at Chebyshev nodes; off by less than 1e-7. */
INLINE v16 v_erf(v16 x) {
    static const float inner[] = {0.12837916612625122f,   -0.3761262595653534f,
                                  0.11283597350120544f,   -0.02685432881116867f,
                                  0.005189312156289816f,  -0.0008018855005502701f,
                                  7.882497448008507e-05f};
    static const float outer[] = {1.1285234689712524f,    0.635784387588501f,
                                  0.10487611591815948f,   -0.022145669907331467f,
                                  0.0024863420985639095f, 0.00018447599723003805f,
                                  -0.00012115417484892532f, 1.857431561802514e-05f,
                                  -1.0511959089853917e-06f};
    const v16 s = v_mul(x, x), t = v_min(v_set(4.0f), v_abs(x));
    v16 p = v_set(inner[6]), q = v_set(outer[8]);
    for (int i = 5; i >= 0; i--) p = v_fma(p, s, v_set(inner[i]));
    for (int i = 7; i >= 0; i--) q = v_fma(q, t, v_set(outer[i]));
    const v16 far = v_sub(v_set(1.0f), v_exp(v_sub(v_set(0.0f), v_mul(q, t))));
    return v_less(v_abs(x), v_set(1.0f), v_fma(p, x, x), v_sign(far, x));
}

INLINE v16 v_activate(v16 x, int activation) {
    const v16 zero = v_set(0.0f), one = v_set(1.0f);
    v16 y;
    switch (activation) {
    case GELU_TANH: /* x (1 + tanh u) / 2 = x / (1 + e^-2u) */
        y = v_mul(v_set(1.5957691216057308f), v_fma(v_mul(v_set(0.044715f), v_mul(x, x)), x, x));
        return v_gate(x, y);
    case GELU_ERF:
    case GELU_10:
        y = v_mul(v_set(0.5f), x);
        y = v_fma(y, v_erf(v_mul(x, v_set(0.70710678118654752f))), y);
        return activation == GELU_ERF ? y : v_max(v_set(-10.0f), v_min(v_set(10.0f), y));
    case QUICK_GELU:
        return v_gate(x, v_mul(v_set(1.702f), x));
    case SILU:
        return v_gate(x, x);
    case SIGMOID:
        return v_gate(one, x);
    case TANH: /* 2 / (1 + e^-2x) - 1 */
        return v_sub(v_gate(v_set(2.0f), v_add(x, x)), one);
    case RELU:
        return v_max(zero, x);
    case RELU_SQUARED:
        y = v_max(zero, x);
        return v_mul(y, y);
    case RELU6:
        return v_min(v_set(6.0f), v_max(zero, x));
    case LEAKY_RELU:
        return v_less(x, zero, v_mul(v_set(0.01f), x), x);
    case HARDSWISH:
        y = v_min(v_set(6.0f), v_max(zero, v_add(x, v_set(3.0f))));
        return v_div(v_mul(x, y), v_set(6.0f));
    default:
        return x;
    }
}

static __attribute__((noinline)) void activate(float *x, int count, int activation) {
    int i = 0;
    for (; i + LANES <= count; i += LANES) v_store(x + i, v_activate(v_load(x + i), activation));
    if (i < count)
        v_store_first(x + i, v_activate(v_load_first(x + i, count - i), activation), count - i);
}

/* y = (x - mean) / sqrt(variance + epsilon) * weight + bias, zeros behind it. */
static void norm(const float *x, const float *weight, const float *bias, float epsilon, int size,
                 float *y) {
    const v16 zero = v_set(0.0f);
    v16 sum = zero, squares = zero;
    for (int i = 0; i < size; i += LANES) sum = v_add(sum, v_first(v_load(x + i), size - i, zero));
    const v16 mean = v_set(v_sum(sum) / (float)size);
    for (int i = 0; i < size; i += LANES) {
        const v16 off = v_first(v_sub(v_load(x + i), mean), size - i, zero);
        squares = v_fma(off, off, squares);
    }
    const v16 scale = v_set(1.0f / sqrtf(v_sum(squares) / (float)size + epsilon));
    for (int i = 0; i < size; i += LANES) {
        const v16 scaled = v_mul(v_sub(v_load(x + i), mean), scale);
        const v16 whole = v_fma(scaled, v_load(weight + i), v_load(bias + i));
        v_store(y + i, v_first(whole, size - i, zero));
    }
}

/* Digits of a row's numbers in parts of the largest: 254 high + low, both from -127 to 127, so
 * that every instruction set multiplies them without overflow: 32,384 is the most whose high digit
 * does not round up to 128. Padding becomes zeros, and up to 15 bytes
 * behind it are written. The scale of what is not all finite is NaN. */
INLINE float to_digits(const float *x, int size, int padded, int digits, int shift, uint8_t *low,
                       uint8_t *high, int32_t *total) {
    const v16 zero = v_set(0.0f);
    v16 most = zero, strange = zero;
    for (int i = 0; i < size; i += LANES) {
        const v16 part = v_first(v_load(x + i), size - i, zero);
        most = v_max(most, v_abs(part));
        strange = v_fma(part, zero, strange);
    }
    const float largest = v_largest(most), top = digits == 2 ? 32384.0f : 127.0f;
    const v16 factor = v_set(largest > 0.0f ? top / largest : 0.0f);
    i16 sum = i_set(0);
    for (int i = 0; i < padded; i += LANES) {
        v16 q = zero;
        if (i < size) q = v_round(v_mul(v_first(v_load(x + i), size - i, zero), factor));
        q = v_less(v_abs(q), v_set(40000.0f), q, zero);
        if (digits == 2) {
            const v16 h = v_round(v_mul(q, v_set(1.0f / 254.0f)));
            q = v_fma(h, v_set(-254.0f), q);
            i_store_bytes(high + i, i_add(i_of_floats(h), i_set(shift)));
        }
        const i16 whole = i_of_floats(q);
        i_store_bytes(low + i, i_add(whole, i_set(shift)));
        sum = i_add(sum, whole);
    }
    int32_t lanes[LANES];
    i_store(lanes, sum);
    *total = 0;
    for (int i = 0; i < LANES; i++) *total += lanes[i];
    return largest / top + v_sum(strange);
}

static void prepare(const struct matrix *m, struct operand *x, int row) {
    float *values = x->values + row * x->stride;
    int32_t total;
    if (m->kind == INT8) {
        uint8_t *low = x->digits[0] + row * x->digit_stride;
        uint8_t *high = x->digits[1] + row * x->digit_stride;
        x->scale[row] = to_digits(values, m->in, m->inputs, m->digits, DIGIT_SHIFT, low, high,
                                  &total);
        if (m->mean) {
            const v16 zero = v_set(0.0f);
            v16 sum = zero;
            for (int i = 0; i < m->in; i += LANES)
                sum = v_fma(v_first(v_load(values + i), m->in - i, zero),
                            v_first(v_load(m->mean + i), m->in - i, zero), sum);
            x->offset[row] = v_sum(sum);
        }
    } else if (m->kind == INT4) {
        uint8_t *low = x->digits[0] + row * x->digit_stride;
        const int groups = m->inputs / m->group;
        for (int g = 0; g < groups; g++) {
            const int start = g * m->group;
            const int size = m->in - start < m->group ? m->in - start : m->group;
            const float scale = to_digits(values + start, size, m->group, 1, 0, low + start,
                                          low + start, &total);
            x->scale[row * x->groups + g] = scale;
            x->sums[row * x->groups + g] = scale * (float)total;
        }
    }
}
