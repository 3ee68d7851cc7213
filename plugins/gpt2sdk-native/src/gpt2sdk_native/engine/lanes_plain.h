/* Plain C: the reference, and what compilers make vectors of on other processors; see lanes.h. */
typedef struct { float v[16]; } v16;
typedef struct { int32_t v[16]; } i16;
typedef struct { int8_t v[64]; } b64;
#define DIGIT_SHIFT 0
#define EACH(type, expression)                                                                     \
    do {                                                                                           \
        type out;                                                                                  \
        for (int i = 0; i < 16; i++) out.v[i] = (expression);                                      \
        return out;                                                                                \
    } while (0)

INLINE v16 v_load(const float *p) { EACH(v16, p[i]); }
INLINE void v_store(float *p, v16 a) { memcpy(p, a.v, sizeof a.v); }
INLINE void v_store_first(float *p, v16 a, int n) { memcpy(p, a.v, (size_t)n * sizeof(float)); }
INLINE v16 v_set(float a) { EACH(v16, a); }
INLINE v16 v_add(v16 a, v16 b) { EACH(v16, a.v[i] + b.v[i]); }
INLINE v16 v_sub(v16 a, v16 b) { EACH(v16, a.v[i] - b.v[i]); }
INLINE v16 v_mul(v16 a, v16 b) { EACH(v16, a.v[i] * b.v[i]); }
INLINE v16 v_div(v16 a, v16 b) { EACH(v16, a.v[i] / b.v[i]); }
INLINE v16 v_fma(v16 a, v16 b, v16 c) { EACH(v16, fmaf(a.v[i], b.v[i], c.v[i])); }
INLINE v16 v_max(v16 a, v16 b) { EACH(v16, a.v[i] > b.v[i] ? a.v[i] : b.v[i]); }
INLINE v16 v_min(v16 a, v16 b) { EACH(v16, a.v[i] < b.v[i] ? a.v[i] : b.v[i]); }
INLINE v16 v_abs(v16 a) { EACH(v16, fabsf(a.v[i])); }
INLINE v16 v_round(v16 a) { EACH(v16, rintf(a.v[i])); }
INLINE v16 v_less(v16 a, v16 b, v16 yes, v16 no) {
    EACH(v16, a.v[i] < b.v[i] ? yes.v[i] : no.v[i]);
}
INLINE v16 v_first(v16 a, int n, v16 rest) { EACH(v16, i < n ? a.v[i] : rest.v[i]); }
INLINE v16 v_sign(v16 a, v16 sign) { EACH(v16, copysignf(a.v[i], sign.v[i])); }
INLINE int32_t nearest(float a) { return a >= -2e9f && a <= 2e9f ? (int32_t)rintf(a) : INT32_MIN; }
INLINE float power2(float n) {
    const uint32_t bits = ((uint32_t)nearest(n) + 127u) << 23;
    float power;
    memcpy(&power, &bits, 4);
    return power;
}
INLINE v16 v_scale2(v16 a, v16 n) { EACH(v16, a.v[i] * power2(n.v[i])); }
INLINE v16 v_of_ints(i16 a) { EACH(v16, (float)a.v[i]); }
INLINE i16 i_of_floats(v16 a) { EACH(i16, nearest(a.v[i])); }
INLINE i16 i_load(const int32_t *p) { EACH(i16, p[i]); }
INLINE void i_store(int32_t *p, i16 a) { memcpy(p, a.v, sizeof a.v); }
INLINE void i_store_bytes(uint8_t *p, i16 a) {
    for (int i = 0; i < 16; i++) p[i] = (uint8_t)a.v[i];
}
INLINE i16 i_add(i16 a, i16 b) { EACH(i16, a.v[i] + b.v[i]); }
INLINE i16 i_set(int32_t a) { EACH(i16, a); }
INLINE float widened(uint16_t half) {
    const uint32_t bits = (uint32_t)half << 16;
    float wide;
    memcpy(&wide, &bits, 4);
    return wide;
}
INLINE v16 v_bf16(const uint16_t *p) { EACH(v16, widened(p[i])); }
INLINE void v_bf16_pairs(const uint16_t *p, v16 *even, v16 *odd) {
    for (int i = 0; i < 16; i++) {
        even->v[i] = widened(p[2 * i]);
        odd->v[i] = widened(p[2 * i + 1]);
    }
}
INLINE b64 b_load(const void *p) {
    b64 out;
    memcpy(out.v, p, 64);
    return out;
}
INLINE void b_nibbles(const void *p, b64 *low, b64 *high) {
    const uint8_t *q = p;
    for (int i = 0; i < 64; i++) {
        low->v[i] = (int8_t)(q[i] & 15);
        high->v[i] = (int8_t)(q[i] >> 4);
    }
}
INLINE i16 b_dot(i16 acc, b64 w, const uint8_t *p) {
    int8_t x[4];
    memcpy(x, p, 4);
    EACH(i16, acc.v[i] + w.v[4 * i] * x[0] + w.v[4 * i + 1] * x[1] + w.v[4 * i + 2] * x[2] +
                  w.v[4 * i + 3] * x[3]);
}
INLINE i16 b_dot_small(i16 acc, b64 w, const uint8_t *p) { return b_dot(acc, w, p); }
INLINE float v_sum(v16 a) {
    float s[16];
    v_store(s, a);
    for (int half = 8; half; half /= 2)
        for (int i = 0; i < half; i++) s[i] += s[i + half];
    return s[0];
}
/* Four such sums side by side. */
INLINE void v_store_sums(float *p, v16 a, v16 b, v16 c, v16 d) {
    p[0] = v_sum(a);
    p[1] = v_sum(b);
    p[2] = v_sum(c);
    p[3] = v_sum(d);
}
