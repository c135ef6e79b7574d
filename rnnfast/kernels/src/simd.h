/* One vector of `real`, and the few operations that GNU vector extensions lack.
 *
 * Included once for each element type: the includer defines `real`, `NAME(x)` (a suffix per type)
 * and VECTOR_BYTES (16, 32 or 64). No other file names an intrinsic.
 *
 * Arithmetic on vectors is written with the ordinary operators. Broadcast is `s - (vec){}`, never
 * `(vec){} + s`: gcc compiles the latter to a scalar addition and a shuffle (67 % of the FMA peak, not 97 %).
 */
#include <stdint.h>
#include <string.h>

#ifndef RNNFAST_SIMD_ONCE
#define RNNFAST_SIMD_ONCE
#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif
#define INLINE static inline __attribute__((always_inline))

/* Words of 32 bits in lanes of 64, and the products of the words: all that random numbers need. */
typedef uint64_t wide __attribute__((vector_size(VECTOR_BYTES)));
INLINE wide multiply_words(wide a, wide b) {
#if VECTOR_BYTES == 64 && defined(__AVX512F__)
    return (wide)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif VECTOR_BYTES == 32 && defined(__AVX2__)
    return (wide)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif VECTOR_BYTES == 16 && defined(__SSE2__)
    return (wide)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
    return (a & UINT32_MAX) * (b & UINT32_MAX);
#endif
}
#endif

#define vec NAME(vec)
#define ivec NAME(ivec)
#define unaligned_vec NAME(unaligned_vec)
#define vload NAME(vload)
#define vstore NAME(vstore)
#define vset NAME(vset)
#define vfma NAME(vfma)
#define vmax NAME(vmax)
#define vmin NAME(vmin)
#define vselect NAME(vselect)
#define vabs NAME(vabs)
#define vsqrt NAME(vsqrt)
#define vtranspose NAME(vtranspose)

#define LANE_BYTES VECTOR_BYTES
#define LANES ((int)(LANE_BYTES / sizeof(real)))

typedef real vec __attribute__((vector_size(LANE_BYTES)));
typedef real unaligned_vec __attribute__((vector_size(LANE_BYTES), aligned(sizeof(real)), may_alias));
/* What a comparison of two vec gives: all bits set where true. */
#if REAL_IS_FLOAT
typedef int32_t ivec __attribute__((vector_size(LANE_BYTES)));
#else
typedef int64_t ivec __attribute__((vector_size(LANE_BYTES)));
#endif

INLINE vec vload(const real *p) { return *(const unaligned_vec *)p; }
INLINE void vstore(real *p, vec v) { *(unaligned_vec *)p = v; }
INLINE vec vset(real s) { return s - (vec){}; }
INLINE vec vselect(ivec mask, vec yes, vec no) { return (vec)((mask & (ivec)yes) | (~mask & (ivec)no)); }
INLINE vec vabs(vec a) {
#if REAL_IS_FLOAT
    return (vec)((ivec)a & INT32_MAX);
#else
    return (vec)((ivec)a & INT64_MAX);
#endif
}

#if REAL_IS_FLOAT
#define X86(op) _mm512_##op##_ps
#define X86_256(op) _mm256_##op##_ps
#define X86_128(op) _mm_##op##_ps
#define ARM(op) v##op##q_f32
#else
#define X86(op) _mm512_##op##_pd
#define X86_256(op) _mm256_##op##_pd
#define X86_128(op) _mm_##op##_pd
#define ARM(op) v##op##q_f64
#endif

/* a * b + c, rounded once wherever the instruction set can; max and min give the second operand if either is NaN. */
#if VECTOR_BYTES == 64 && defined(__AVX512F__)
INLINE vec vfma(vec a, vec b, vec c) { return (vec)X86(fmadd)(a, b, c); }
INLINE vec vmax(vec a, vec b) { return (vec)X86(max)(a, b); }
INLINE vec vmin(vec a, vec b) { return (vec)X86(min)(a, b); }
INLINE vec vsqrt(vec a) { return (vec)X86(sqrt)(a); }
#elif VECTOR_BYTES == 32 && defined(__AVX2__)
INLINE vec vfma(vec a, vec b, vec c) { return (vec)X86_256(fmadd)(a, b, c); }
INLINE vec vmax(vec a, vec b) { return (vec)X86_256(max)(a, b); }
INLINE vec vmin(vec a, vec b) { return (vec)X86_256(min)(a, b); }
INLINE vec vsqrt(vec a) { return (vec)X86_256(sqrt)(a); }
#elif VECTOR_BYTES == 16 && defined(__SSE2__) && !defined(NO_INTRINSICS)
INLINE vec vfma(vec a, vec b, vec c) { return a * b + c; }
INLINE vec vmax(vec a, vec b) { return (vec)X86_128(max)(a, b); }
INLINE vec vmin(vec a, vec b) { return (vec)X86_128(min)(a, b); }
INLINE vec vsqrt(vec a) { return (vec)X86_128(sqrt)(a); }
#elif VECTOR_BYTES == 16 && defined(__ARM_NEON) && defined(__aarch64__) && !defined(NO_INTRINSICS)
INLINE vec vfma(vec a, vec b, vec c) { return (vec)ARM(fma)(c, a, b); }
INLINE vec vmax(vec a, vec b) { return vselect(a > b, a, b); }
INLINE vec vmin(vec a, vec b) { return vselect(a < b, a, b); }
INLINE vec vsqrt(vec a) { return (vec)ARM(sqrt)(a); }
#else
/* Any machine, and vectors wider than the machine's: what an AVX-512 build runs where it is emulated for a test. */
INLINE vec vmax(vec a, vec b) { return vselect(a > b, a, b); }
INLINE vec vmin(vec a, vec b) { return vselect(a < b, a, b); }
INLINE vec vfma(vec a, vec b, vec c) {
#if defined(__FMA__)
    for (int k = 0; k < LANES; k++) c[k] = sizeof(real) == 4 ? __builtin_fmaf(a[k], b[k], c[k]) : __builtin_fma(a[k], b[k], c[k]);
    return c;
#else
    return a * b + c;
#endif
}
INLINE vec vsqrt(vec a) {
    for (int k = 0; k < LANES; k++) a[k] = sizeof(real) == 4 ? __builtin_sqrtf(a[k]) : __builtin_sqrt(a[k]);
    return a;
}
#endif
#undef X86
#undef X86_256
#undef X86_128
#undef ARM

/* Exchange, in each pair of rows that lie S apart, the off-diagonal blocks of S by S. */
#if defined(__clang__)
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (ivec){__VA_ARGS__})
#endif
#define EXCHANGE(S, LOW, HIGH) \
    _Pragma("GCC unroll 16") \
    for (int j = 0; j < LANES; j++) \
        if (!(j & S)) { \
            vec above = rows[j], below = rows[j + S]; \
            rows[j] = SHUFFLE(above, below, LOW); \
            rows[j + S] = SHUFFLE(above, below, HIGH); \
        }
#define LIST(...) __VA_ARGS__
/* rows[j][k] = rows[k][j], for LANES rows. */
INLINE void vtranspose(vec *rows) {
#if VECTOR_BYTES == 64 && REAL_IS_FLOAT
    EXCHANGE(8, LIST(0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23), LIST(8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31))
    EXCHANGE(4, LIST(0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27), LIST(4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31))
    EXCHANGE(2, LIST(0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29), LIST(2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31))
    EXCHANGE(1, LIST(0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30), LIST(1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31))
#elif (VECTOR_BYTES == 32 && REAL_IS_FLOAT) || (VECTOR_BYTES == 64 && !REAL_IS_FLOAT)
    EXCHANGE(4, LIST(0, 1, 2, 3, 8, 9, 10, 11), LIST(4, 5, 6, 7, 12, 13, 14, 15))
    EXCHANGE(2, LIST(0, 1, 8, 9, 4, 5, 12, 13), LIST(2, 3, 10, 11, 6, 7, 14, 15))
    EXCHANGE(1, LIST(0, 8, 2, 10, 4, 12, 6, 14), LIST(1, 9, 3, 11, 5, 13, 7, 15))
#elif (VECTOR_BYTES == 16 && REAL_IS_FLOAT) || (VECTOR_BYTES == 32 && !REAL_IS_FLOAT)
    EXCHANGE(2, LIST(0, 1, 4, 5), LIST(2, 3, 6, 7))
    EXCHANGE(1, LIST(0, 4, 2, 6), LIST(1, 5, 3, 7))
#elif VECTOR_BYTES == 16
    EXCHANGE(1, LIST(0, 2), LIST(1, 3))
#endif
}
#undef SHUFFLE
#undef EXCHANGE
#undef LIST
