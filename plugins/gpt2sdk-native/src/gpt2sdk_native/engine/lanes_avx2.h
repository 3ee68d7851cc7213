/* AVX2 with FMA; see lanes.h. */
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
INLINE void i_store_bytes(uint8_t *p, i16 x) {
    const __m256i low = _mm256_set1_epi32(255);
    __m256i s = _mm256_packus_epi32(_mm256_and_si256(x.a, low), _mm256_and_si256(x.b, low));
    s = _mm256_permute4x64_epi64(s, 0xd8);
    _mm_storeu_si128((__m128i *)p, _mm_packus_epi16(_mm256_castsi256_si128(s),
                                                    _mm256_extracti128_si256(s, 1)));
}
INLINE i16 i_add(i16 x, i16 y) {
    return (i16){_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)};
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
INLINE float v_sum(v16 x) {
    const __m256 half = _mm256_add_ps(x.a, x.b);
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
INLINE __m128 quarter(v16 x) {
    const __m256 half = _mm256_add_ps(x.a, x.b);
    return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}
/* Four such sums side by side. */
INLINE void v_store_sums(float *p, v16 a, v16 b, v16 c, v16 d) {
    __m128 s = quarter(a), t = quarter(b), u = quarter(c), v = quarter(d);
    _MM_TRANSPOSE4_PS(s, t, u, v);
    _mm_storeu_ps(p, _mm_add_ps(_mm_add_ps(s, u), _mm_add_ps(t, v)));
}
