/* NEON with its dot product; see lanes.h. */
#include <arm_neon.h>
typedef struct { float32x4_t p[4]; } v16;
typedef struct { int32x4_t p[4]; } i16;
typedef struct { int8x16_t p[4]; } b64;
#define DIGIT_SHIFT 0
#define EACH(type, expression)                                                                     \
    do {                                                                                           \
        type out;                                                                                  \
        _Pragma("GCC unroll 4") for (int i = 0; i < 4; i++) out.p[i] = (expression);               \
        return out;                                                                                \
    } while (0)

INLINE v16 v_load(const float *p) { EACH(v16, vld1q_f32(p + 4 * i)); }
INLINE void v_store(float *p, v16 a) {
    for (int i = 0; i < 4; i++) vst1q_f32(p + 4 * i, a.p[i]);
}
INLINE void v_store_first(float *p, v16 a, int n) {
    float whole[16];
    v_store(whole, a);
    memcpy(p, whole, (size_t)n * sizeof(float));
}
INLINE v16 v_set(float a) { EACH(v16, vdupq_n_f32(a)); }
INLINE v16 v_add(v16 a, v16 b) { EACH(v16, vaddq_f32(a.p[i], b.p[i])); }
INLINE v16 v_sub(v16 a, v16 b) { EACH(v16, vsubq_f32(a.p[i], b.p[i])); }
INLINE v16 v_mul(v16 a, v16 b) { EACH(v16, vmulq_f32(a.p[i], b.p[i])); }
INLINE v16 v_div(v16 a, v16 b) { EACH(v16, vdivq_f32(a.p[i], b.p[i])); }
INLINE v16 v_fma(v16 a, v16 b, v16 c) { EACH(v16, vfmaq_f32(c.p[i], a.p[i], b.p[i])); }
/* Not vmaxq and vminq: where an operand is NaN, or both are zeros, the second one is returned. */
INLINE v16 v_max(v16 a, v16 b) {
    EACH(v16, vbslq_f32(vcgtq_f32(a.p[i], b.p[i]), a.p[i], b.p[i]));
}
INLINE v16 v_min(v16 a, v16 b) {
    EACH(v16, vbslq_f32(vcltq_f32(a.p[i], b.p[i]), a.p[i], b.p[i]));
}
INLINE v16 v_abs(v16 a) { EACH(v16, vabsq_f32(a.p[i])); }
INLINE v16 v_round(v16 a) { EACH(v16, vrndnq_f32(a.p[i])); }
INLINE v16 v_less(v16 a, v16 b, v16 yes, v16 no) {
    EACH(v16, vbslq_f32(vcltq_f32(a.p[i], b.p[i]), yes.p[i], no.p[i]));
}
INLINE v16 v_first(v16 a, int n, v16 rest) {
    static const int32_t lanes[4] = {0, 1, 2, 3};
    const int32x4_t lane = vld1q_s32(lanes);
    EACH(v16, vbslq_f32(vcltq_s32(lane, vdupq_n_s32(n - 4 * i)), a.p[i], rest.p[i]));
}
INLINE v16 v_sign(v16 a, v16 sign) {
    EACH(v16, vbslq_f32(vdupq_n_u32(1u << 31), sign.p[i], a.p[i]));
}
INLINE float32x4_t part_power2(float32x4_t n) {
    const int32x4_t e = vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127));
    return vreinterpretq_f32_s32(vshlq_n_s32(e, 23));
}
INLINE v16 v_scale2(v16 a, v16 n) { EACH(v16, vmulq_f32(a.p[i], part_power2(n.p[i]))); }
INLINE v16 v_of_ints(i16 a) { EACH(v16, vcvtq_f32_s32(a.p[i])); }
INLINE i16 i_of_floats(v16 a) { EACH(i16, vcvtnq_s32_f32(a.p[i])); }
INLINE i16 i_load(const int32_t *p) { EACH(i16, vld1q_s32(p + 4 * i)); }
INLINE void i_store(int32_t *p, i16 a) {
    for (int i = 0; i < 4; i++) vst1q_s32(p + 4 * i, a.p[i]);
}
INLINE void i_store_bytes(uint8_t *p, i16 a) {
    const int16x8_t s = vcombine_s16(vmovn_s32(a.p[0]), vmovn_s32(a.p[1]));
    const int16x8_t t = vcombine_s16(vmovn_s32(a.p[2]), vmovn_s32(a.p[3]));
    vst1q_u8(p, vreinterpretq_u8_s8(vcombine_s8(vmovn_s16(s), vmovn_s16(t))));
}
INLINE i16 i_add(i16 a, i16 b) { EACH(i16, vaddq_s32(a.p[i], b.p[i])); }
INLINE i16 i_set(int32_t a) { EACH(i16, vdupq_n_s32(a)); }
INLINE v16 v_bf16(const uint16_t *p) {
    EACH(v16, vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p + 4 * i), 16)));
}
INLINE void v_bf16_pairs(const uint16_t *p, v16 *even, v16 *odd) {
    for (int i = 0; i < 4; i++) {
        const uint32x4_t w = vreinterpretq_u32_u16(vld1q_u16(p + 8 * i));
        even->p[i] = vreinterpretq_f32_u32(vshlq_n_u32(w, 16));
        odd->p[i] = vreinterpretq_f32_u32(vandq_u32(w, vdupq_n_u32(0xffff0000u)));
    }
}
INLINE b64 b_load(const void *p) { EACH(b64, vld1q_s8((const int8_t *)p + 16 * i)); }
INLINE void b_nibbles(const void *p, b64 *low, b64 *high) {
    for (int i = 0; i < 4; i++) {
        const uint8x16_t q = vld1q_u8((const uint8_t *)p + 16 * i);
        low->p[i] = vreinterpretq_s8_u8(vandq_u8(q, vdupq_n_u8(15)));
        high->p[i] = vreinterpretq_s8_u8(vshrq_n_u8(q, 4));
    }
}
INLINE i16 b_dot(i16 acc, b64 w, const uint8_t *p) {
    int32_t x;
    memcpy(&x, p, 4);
    const int8x16_t v = vreinterpretq_s8_s32(vdupq_n_s32(x));
    EACH(i16, vdotq_s32(acc.p[i], w.p[i], v));
}
INLINE i16 b_dot_small(i16 acc, b64 w, const uint8_t *p) { return b_dot(acc, w, p); }
INLINE float v_sum(v16 x) {
    const float32x4_t s =
        vaddq_f32(vaddq_f32(x.p[0], x.p[2]), vaddq_f32(x.p[1], x.p[3]));
    const float32x2_t two = vadd_f32(vget_low_f32(s), vget_high_f32(s));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}
/* Four such sums side by side. */
INLINE void v_store_sums(float *p, v16 a, v16 b, v16 c, v16 d) {
    p[0] = v_sum(a);
    p[1] = v_sum(b);
    p[2] = v_sum(c);
    p[3] = v_sum(d);
}
