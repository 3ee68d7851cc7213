/* AVX-512 with VNNI; see lanes.h. */
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
INLINE void i_store_bytes(uint8_t *p, i16 a) {
    _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(a));
}
INLINE i16 i_add(i16 a, i16 b) { return _mm512_add_epi32(a, b); }
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
/* acc + w·x for signed bytes w and four activation digits at p, shifted by DIGIT_SHIFT.
 *
 * In assembly: gcc 12 copies, and keeps on the stack, sums that _mm512_dpbusd_epi32 goes on with. */
INLINE i16 b_dot(i16 acc, b64 w, const uint8_t *p) {
    int32_t x;
    memcpy(&x, p, 4);
    __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(_mm512_set1_epi32(x)), "v"(w));
    return acc;
}
/* acc + w·x for bytes w from 0 to 15 and four signed digits at p. */
INLINE i16 b_dot_small(i16 acc, b64 w, const uint8_t *p) {
    int32_t x;
    memcpy(&x, p, 4);
    __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(w), "v"(_mm512_set1_epi32(x)));
    return acc;
}
INLINE float v_sum(v16 x) {
    const __m256 half = _mm256_add_ps(
        _mm512_castps512_ps256(x),
        _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x), 1)));
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
/* Four such sums side by side. */
INLINE void v_store_sums(float *p, v16 a, v16 b, v16 c, v16 d) {
    const v16 ab = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
    const v16 cd = _mm512_add_ps(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xee));
    v16 s = _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xdd));
    s = _mm512_add_ps(s, _mm512_permute_ps(s, 0x4e));
    s = _mm512_add_ps(s, _mm512_permute_ps(s, 0xb1));
    const __m512i ends = _mm512_castsi128_si512(_mm_setr_epi32(0, 4, 8, 12));
    _mm_storeu_ps(p, _mm512_castps512_ps128(_mm512_permutexvar_ps(ends, s)));
}
