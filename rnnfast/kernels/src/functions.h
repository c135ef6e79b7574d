/* exp, tanh and sigmoid of a vector. Included after simd.h, once for each element type.
 *
 * All three stand on e^r = (q + h) / (q - h), h = r / 2, q = h coth h: q is even in h, so that a short polynomial in
 * h^2 gives it, and e^x, tanh x and sigmoid x each take one division. With x = k ln 2 + r (|r| <= ln 2 / 2):
 *     e^x     = 2^k (q + h) / (q - h)
 *     sigmoid = (q + h) / ((q + h) + 2^k (q - h))                                   where -x = k ln 2 - r
 *     tanh    = (w (q + h) + h) / (w (q + h) + q),  w = 2^(k-1) - 1/2               where 2 |x| = k ln 2 + r
 * The last two lie in [0, 1] whatever the rounding, as h < q. With k = 0, tanh is h / q: good to the last bits near zero.
 *
 * Only operations that IEEE 754 defines to the last bit, and vfma: equal bits wherever the machine has an FMA.
 * NaN stays NaN, infinities give the limits exactly, results below the normal range may be zero. tanh is odd to the bit.
 * Greatest errors found over the whole range, in units in the last place (ulp) of the true value, with an FMA:
 *              float                                    double
 *     e^x      1.7 ulp                                  1.7 ulp
 *     tanh     2.7 ulp                                  2.7 ulp (3.1 without an FMA)
 *     sigmoid  9e-8 absolute, 4.5 ulp                   1.8e-16 absolute, 3 + |x| / 3 ulp for negative x
 * (without an FMA, 3 + |x| and 3 + 1.4 |x| ulp for negative x). The coefficients come from tools/fit_functions.py.
 */
#define vexp NAME(vexp)
#define vtanh NAME(vtanh)
#define vsigmoid NAME(vsigmoid)
#define times_coth NAME(times_coth)
#define power_of_two NAME(power_of_two)

#if REAL_IS_FLOAT
#define MANTISSA_BITS 23
#define EXPONENT_BIAS 127
/* The leading bits of ln 2, few enough that k times it is exact, and the rest. */
#define LN2_HIGH 0x1.63p-1f
#define LN2_LOW -0x1.bd0106p-13f
#define LN2 0x1.62e43p-1f
#define LOG2_E 0x1.715476p+0f
/* Where e^x has passed zero and infinity; where sigmoid is 0 and 1 to the last bit; where tanh is 1. */
#define EXP_LOWEST -104.0f
#define EXP_HIGHEST 89.0f
#define SIGMOID_LOWEST -88.5f
#define SIGMOID_HIGHEST 87.5f
#define TANH_HIGHEST 10.0f
#else
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#define LN2_HIGH 0x1.62e42feep-1
#define LN2_LOW 0x1.a39ef35793c76p-33
#define LN2 0x1.62e42fefa39efp-1
#define LOG2_E 0x1.71547652b82fep+0
#define EXP_LOWEST -746.0
#define EXP_HIGHEST 710.0
#define SIGMOID_LOWEST -709.8
#define SIGMOID_HIGHEST 709.0
#define TANH_HIGHEST 20.0
#endif
/* A number at which the spacing is one, so that adding it rounds to an integer, with the exponent bias in the low bits. */
#define ROUNDER ((real)(3ll << (MANTISSA_BITS - 1)) + EXPONENT_BIAS)

/* h coth h / unit from (h / unit)^2, for |h| <= ln 2 / 4: the caller has h in whatever unit comes cheapest. */
INLINE vec times_coth(vec square, real unit) {
    real u = unit, u2 = unit * unit;
#if REAL_IS_FLOAT
    /* Relative error 2.2e-9. */
    vec q = vset(-0x1.6aa51ep-6f * u * u2);
    q = vfma(q, square, vset(0x1.55551ep-2f * u));
#else
    /* Relative error 8.5e-19. */
    vec q = vset(0x1.6376e98954356p-16 * u * u2 * u2 * u2 * u2);
    q = vfma(q, square, vset(-0x1.bbd41d1a323f0p-13 * u * u2 * u2 * u2));
    q = vfma(q, square, vset(0x1.1566aaf2a65c1p-9 * u * u2 * u2));
    q = vfma(q, square, vset(-0x1.6c16c16bebed6p-6 * u * u2));
    q = vfma(q, square, vset(0x1.555555555553ep-2 * u));
#endif
    return vfma(q, square, vset(1 / u));
}

/* 2^k from ROUNDER + k (2^(k-1) from ROUNDER - 1 + k); zero at k = -EXPONENT_BIAS, infinity at k = EXPONENT_BIAS + 1. */
INLINE vec power_of_two(vec rounded) { return (vec)((ivec)rounded << MANTISSA_BITS); }

INLINE vec vsigmoid(vec x) {
    x = vmin(vset(SIGMOID_HIGHEST), vmax(vset(SIGMOID_LOWEST), x));
    vec rounded = vfma(x, vset(-LOG2_E), vset(ROUNDER));
    vec k = rounded - vset(ROUNDER);
    vec r = vfma(k, vset(LN2), x);
    vec q = times_coth(r * r, (real)0.5);
    vec up = q + r;
    return up / vfma(power_of_two(rounded), q - r, up);
}

INLINE vec vtanh(vec x) {
    vec magnitude = vmin(vset(TANH_HIGHEST), vabs(x));
    vec rounded = vfma(magnitude, vset(2 * LOG2_E), vset(ROUNDER - 1));
    vec k = rounded - vset(ROUNDER - 1);
    vec h = vfma(k, vset(-LN2 / 2), magnitude);
    vec q = times_coth(h * h, 1);
    vec up = q + h;
    vec w = power_of_two(rounded) - vset((real)0.5);
    vec result = vfma(w, up, h) / vfma(w, up, q);
    return (vec)((ivec)result | ((ivec)x & (ivec)vset((real)-0.0)));
}

INLINE vec vexp(vec x) {
    x = vmin(vset(EXP_HIGHEST), vmax(vset(EXP_LOWEST), x));
    vec rounded = vfma(x, vset(LOG2_E), vset(ROUNDER));
    vec k = rounded - vset(ROUNDER);
    vec r = vfma(k, vset(-LN2_LOW), vfma(k, vset(-LN2_HIGH), x));
    vec q = times_coth(r * r, (real)0.5);
    /* 2^k in two factors, as k reaches beyond the exponents that there are. */
    ivec integer = (ivec)rounded - (ivec)vset(ROUNDER);
    ivec first = integer >> 1;
    vec scale = (vec)((first + EXPONENT_BIAS) << MANTISSA_BITS);
    vec rest = (vec)((integer - first + EXPONENT_BIAS) << MANTISSA_BITS);
    return (q + r) / (q - r) * scale * rest;
}

#undef MANTISSA_BITS
#undef EXPONENT_BIAS
#undef LN2_HIGH
#undef LN2_LOW
#undef LN2
#undef LOG2_E
#undef EXP_LOWEST
#undef EXP_HIGHEST
#undef SIGMOID_LOWEST
#undef SIGMOID_HIGHEST
#undef TANH_HIGHEST
#undef ROUNDER
