/* Sixteen lanes at a time, in the registers of one instruction set.
 *
 * Every function does the same IEEE operation in each lane on every instruction set, so that what
 * is built of them has the same bits everywhere. Nothing here sums across lanes.
 *
 * `v16` are floats, `i16` 32-bit integers, `b64` sixteen groups of four bytes.
 */
#ifndef LANES_H
#define LANES_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

#if defined(ISA_avx512)

#include <immintrin.h>
typedef __m512 v16;
typedef __m512i i16;
typedef __m512i b64;
/* Bytes of activations are shifted into 0 to 255, which is what the dot product wants. */
#define DIGIT_SHIFT 128

INLINE v16 v_load(const float *p) { return _mm512_loadu_ps(p); }
INLINE void v_store(float *p, v16 a) { _mm512_storeu_ps(p, a); }
INLINE void v_store_first(float *p, v16 a, int n) {
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), a);
}
INLINE v16 v_set(float a) { return _mm512_set1_ps(a); }
INLINE v16 v_add(v16 a, v16 b) { return _mm512_add_ps(a, b); }
INLINE v16 v_sub(v16 a, v16 b) { return _mm512_sub_ps(a, b); }
INLINE v16 v_mul(v16 a, v16 b) { return _mm512_mul_ps(a, b); }
INLINE v16 v_div(v16 a, v16 b) { return _mm512_div_ps(a, b); }
INLINE v16 v_fma(v16 a, v16 b, v16 c) { return _mm512_fmadd_ps(a, b, c); }
INLINE v16 v_max(v16 a, v16 b) { return _mm512_max_ps(a, b); }
INLINE v16 v_min(v16 a, v16 b) { return _mm512_min_ps(a, b); }
INLINE v16 v_abs(v16 a) { return _mm512_abs_ps(a); }
INLINE v16 v_round(v16 a) { return _mm512_roundscale_ps(a, 8); }
INLINE v16 v_less(v16 a, v16 b, v16 yes, v16 no) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), no, yes);
}
INLINE v16 v_first(v16 a, int n, v16 rest) {
    return _mm512_mask_blend_ps(n >= 16 ? (__mmask16)0xffff : (__mmask16)((1u << n) - 1), rest, a);
}
INLINE v16 v_sign(v16 a, v16 sign) {
    const __m512i m = _mm512_set1_epi32(INT32_MIN);
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(m, _mm512_castps_si512(sign),
                                                         _mm512_castps_si512(a), 0xca));
}
INLINE v16 v_scale2(v16 a, v16 n) {
    const __m512i e = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
    return _mm512_mul_ps(a, _mm512_castsi512_ps(_mm512_slli_epi32(e, 23)));
}
INLINE v16 v_of_ints(i16 a) { return _mm512_cvtepi32_ps(a); }
INLINE i16 i_of_floats(v16 a) { return _mm512_cvtps_epi32(a); }
INLINE i16 i_load(const int32_t *p) { return _mm512_loadu_si512(p); }
INLINE void i_store(int32_t *p, i16 a) { _mm512_storeu_si512(p, a); }
INLINE i16 i_set(int32_t a) { return _mm512_set1_epi32(a); }
INLINE v16 v_bf16(const uint16_t *p) {
    const __m512i w = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(w, 16));
}
INLINE void v_bf16_pairs(const uint16_t *p, v16 *even, v16 *odd) {
    const __m512i w = _mm512_loadu_si512(p);
    *even = _mm512_castsi512_ps(_mm512_slli_epi32(w, 16));
    *odd = _mm512_castsi512_ps(_mm512_and_si512(w, _mm512_set1_epi32((int)0xffff0000)));
}
INLINE b64 b_load(const void *p) { return _mm512_loadu_si512(p); }
INLINE void b_nibbles(const void *p, b64 *low, b64 *high) {
    const __m512i q = _mm512_loadu_si512(p), m = _mm512_set1_epi8(15);
    *low = _mm512_and_si512(q, m);
    *high = _mm512_and_si512(_mm512_srli_epi16(q, 4), m);
}
/* acc + w·x for signed bytes w and four activation digits at p, shifted by DIGIT_SHIFT. */
INLINE i16 b_dot(i16 acc, b64 w, const uint8_t *p) {
    int32_t x;
    memcpy(&x, p, 4);
    return _mm512_dpbusd_epi32(acc, _mm512_set1_epi32(x), w);
}
/* acc + w·x for bytes w from 0 to 15 and four signed digits at p. */
INLINE i16 b_dot_small(i16 acc, b64 w, const uint8_t *p) {
    int32_t x;
    memcpy(&x, p, 4);
    return _mm512_dpbusd_epi32(acc, w, _mm512_set1_epi32(x));
}

#elif defined(ISA_avx2)

#include <immintrin.h>
typedef struct { __m256 a, b; } v16;
typedef struct { __m256i a, b; } i16;
typedef struct { __m256i a, b; } b64;
#define DIGIT_SHIFT 0
#define BOTH(f) ((v16){f(x.a, y.a), f(x.b, y.b)})

INLINE v16 v_load(const float *p) { return (v16){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
INLINE void v_store(float *p, v16 x) { _mm256_storeu_ps(p, x.a); _mm256_storeu_ps(p + 8, x.b); }
INLINE void v_store_first(float *p, v16 x, int n) {
    float whole[16];
    v_store(whole, x);
    memcpy(p, whole, (size_t)n * sizeof(float));
}
INLINE v16 v_set(float a) { return (v16){_mm256_set1_ps(a), _mm256_set1_ps(a)}; }
INLINE v16 v_add(v16 x, v16 y) { return BOTH(_mm256_add_ps); }
INLINE v16 v_sub(v16 x, v16 y) { return BOTH(_mm256_sub_ps); }
INLINE v16 v_mul(v16 x, v16 y) { return BOTH(_mm256_mul_ps); }
INLINE v16 v_div(v16 x, v16 y) { return BOTH(_mm256_div_ps); }
INLINE v16 v_max(v16 x, v16 y) { return BOTH(_mm256_max_ps); }
INLINE v16 v_min(v16 x, v16 y) { return BOTH(_mm256_min_ps); }
INLINE v16 v_fma(v16 x, v16 y, v16 z) {
    return (v16){_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
INLINE v16 v_abs(v16 x) {
    const __m256 m = _mm256_castsi256_ps(_mm256_set1_epi32(INT32_MAX));
    return (v16){_mm256_and_ps(x.a, m), _mm256_and_ps(x.b, m)};
}
INLINE v16 v_round(v16 x) {
    return (v16){_mm256_round_ps(x.a, 8), _mm256_round_ps(x.b, 8)};
}
INLINE v16 v_less(v16 x, v16 y, v16 yes, v16 no) {
    return (v16){_mm256_blendv_ps(no.a, yes.a, _mm256_cmp_ps(x.a, y.a, _CMP_LT_OQ)),
                 _mm256_blendv_ps(no.b, yes.b, _mm256_cmp_ps(x.b, y.b, _CMP_LT_OQ))};
}
INLINE v16 v_first(v16 x, int n, v16 rest) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), count = _mm256_set1_epi32(n);
    const __m256i other = _mm256_add_epi32(lane, _mm256_set1_epi32(8));
    return (v16){
        _mm256_blendv_ps(rest.a, x.a, _mm256_castsi256_ps(_mm256_cmpgt_epi32(count, lane))),
        _mm256_blendv_ps(rest.b, x.b, _mm256_castsi256_ps(_mm256_cmpgt_epi32(count, other)))};
}
INLINE v16 v_sign(v16 x, v16 y) {
    const __m256 m = _mm256_castsi256_ps(_mm256_set1_epi32(INT32_MIN));
    return (v16){_mm256_or_ps(_mm256_andnot_ps(m, x.a), _mm256_and_ps(m, y.a)),
                 _mm256_or_ps(_mm256_andnot_ps(m, x.b), _mm256_and_ps(m, y.b))};
}
INLINE __m256 half_scale2(__m256 a, __m256 n) {
    const __m256i e = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_mul_ps(a, _mm256_castsi256_ps(_mm256_slli_epi32(e, 23)));
}
INLINE v16 v_scale2(v16 x, v16 y) { return BOTH(half_scale2); }
INLINE v16 v_of_ints(i16 x) { return (v16){_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }
INLINE i16 i_of_floats(v16 x) { return (i16){_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b)}; }
INLINE i16 i_load(const int32_t *p) {
    return (i16){_mm256_loadu_si256((const __m256i *)p), _mm256_loadu_si256((const __m256i *)p + 1)};
}
INLINE void i_store(int32_t *p, i16 x) {
    _mm256_storeu_si256((__m256i *)p, x.a);
    _mm256_storeu_si256((__m256i *)p + 1, x.b);
}
INLINE i16 i_set(int32_t a) { return (i16){_mm256_set1_epi32(a), _mm256_set1_epi32(a)}; }
INLINE __m256 half_bf16(const uint16_t *p) {
    const __m256i w = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(w, 16));
}
INLINE v16 v_bf16(const uint16_t *p) { return (v16){half_bf16(p), half_bf16(p + 8)}; }
INLINE void v_bf16_pairs(const uint16_t *p, v16 *even, v16 *odd) {
    const __m256i m = _mm256_set1_epi32((int)0xffff0000);
    const __m256i a = _mm256_loadu_si256((const __m256i *)p);
    const __m256i b = _mm256_loadu_si256((const __m256i *)p + 1);
    even->a = _mm256_castsi256_ps(_mm256_slli_epi32(a, 16));
    even->b = _mm256_castsi256_ps(_mm256_slli_epi32(b, 16));
    odd->a = _mm256_castsi256_ps(_mm256_and_si256(a, m));
    odd->b = _mm256_castsi256_ps(_mm256_and_si256(b, m));
}
INLINE b64 b_load(const void *p) {
    return (b64){_mm256_loadu_si256((const __m256i *)p), _mm256_loadu_si256((const __m256i *)p + 1)};
}
INLINE void b_nibbles(const void *p, b64 *low, b64 *high) {
    const __m256i m = _mm256_set1_epi8(15);
    const b64 q = b_load(p);
    *low = (b64){_mm256_and_si256(q.a, m), _mm256_and_si256(q.b, m)};
    *high = (b64){_mm256_and_si256(_mm256_srli_epi16(q.a, 4), m),
                  _mm256_and_si256(_mm256_srli_epi16(q.b, 4), m)};
}
/* Two products of bytes are added in 16 bits, which 2 · 127 · 127 fits: digits are -127 to 127. */
INLINE __m256i half_dot(__m256i acc, __m256i w, __m256i x) {
    const __m256i two = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
    return _mm256_add_epi32(acc, _mm256_madd_epi16(two, _mm256_set1_epi16(1)));
}
INLINE i16 b_dot(i16 acc, b64 w, const uint8_t *p) {
    int32_t x;
    memcpy(&x, p, 4);
    const __m256i v = _mm256_set1_epi32(x);
    return (i16){half_dot(acc.a, w.a, v), half_dot(acc.b, w.b, v)};
}
INLINE __m256i half_dot_small(__m256i acc, __m256i w, __m256i x) {
    const __m256i two = _mm256_maddubs_epi16(w, x);
    return _mm256_add_epi32(acc, _mm256_madd_epi16(two, _mm256_set1_epi16(1)));
}
INLINE i16 b_dot_small(i16 acc, b64 w, const uint8_t *p) {
    int32_t x;
    memcpy(&x, p, 4);
    const __m256i v = _mm256_set1_epi32(x);
    return (i16){half_dot_small(acc.a, w.a, v), half_dot_small(acc.b, w.b, v)};
}

#else /* plain C: the reference, and what compilers make vectors of on other processors */

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

#endif

/* The sum of sixteen lanes, in one order everywhere. */
/* The sum of sixteen lanes: of halves, lane by lane, until one is left. */
#if defined(ISA_avx512) || defined(ISA_avx2)
INLINE float v_sum(v16 x) {
#if defined(ISA_avx512)
    const __m256 half = _mm256_add_ps(
        _mm512_castps512_ps256(x),
        _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x), 1)));
#else
    const __m256 half = _mm256_add_ps(x.a, x.b);
#endif
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
#else
INLINE float v_sum(v16 a) {
    float s[16];
    v_store(s, a);
    for (int half = 8; half; half /= 2)
        for (int i = 0; i < half; i++) s[i] += s[i + half];
    return s[0];
}
#endif
/* The first n numbers, and zeros. */
INLINE v16 v_load_first(const float *p, int n) {
    float whole[16] = {0};
    if (n >= 16) return v_load(p);
    memcpy(whole, p, (size_t)n * sizeof(float));
    return v_load(whole);
}
INLINE float v_largest(v16 a) {
    float s[16];
    v_store(s, a);
    for (int half = 8; half; half /= 2)
        for (int i = 0; i < half; i++) s[i] = s[i] > s[i + half] ? s[i] : s[i + half];
    return s[0];
}

#endif
