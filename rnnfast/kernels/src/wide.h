/* Numbers m 2^e, with m in [1, 2) and the whole number e in a double of its own; zero has e = -inf.
 *
 * They have the range of logarithms, and are added and multiplied without exp and log. Where e is too large for a
 * double to tell e from e + 1, they lose digits as logarithms do.
 */
#ifndef RNNFAST_WIDE_H
#define RNNFAST_WIDE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t wide_bits(double number) {
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits;
}

static inline double wide_number(uint64_t bits) {
    double number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

/* 2^e of whole e up to 1023; 0 where that is below 2^-1022, and of NaN. */
static inline double two_to(double e) { return wide_number(wide_bits((e > -1023 ? e : -1023) + (0x1p52 + 1023)) << 52); }

/* exp(x) = exp(rest) 2^e with the rest close to zero, of x up to 1e15. */
static inline void wide_split(double *rest, double *e, const double *x, ptrdiff_t count) {
    for (ptrdiff_t i = 0; i < count; i++) {
        double scaled = x[i] * 0x1.71547652b82fep+0;
        double rounded = (scaled + 0x1.8p52) - 0x1.8p52;
        double whole = scaled > -0x1p51 ? rounded : scaled;
        double left = (x[i] - whole * 0x1.62e42fefa38p-1) - whole * 0x1.ef35793c7673p-45;
        e[i] = whole;
        rest[i] = left > -1 && left < 1 ? left : 0;
    }
}

/* The next row of a lattice in which a path stays in its state, steps to the next one, or skips one:
 * to[s] = (from[s] + from[s - 1] + 2^skip[s] from[s - 2]) factor[s]; skip is 0 or -inf. Both rows have two zeros before
 * their start. */
static inline void wide_step(double *restrict to_m, double *restrict to_e, const double *restrict from_m,
                             const double *restrict from_e, const double *restrict skip,
                             const double *restrict factor_m, const double *restrict factor_e, ptrdiff_t count) {
    for (ptrdiff_t s = 0; s < count; s++) {
        double stay = from_e[s], next = from_e[s - 1], over = from_e[s - 2] + skip[s];
        double top = stay > next ? stay : next;
        top = top > over ? top : over;
        double sum = from_m[s] * two_to(stay - top);
        sum += from_m[s - 1] * two_to(next - top);
        sum += from_m[s - 2] * two_to(over - top);
        uint64_t bits = wide_bits(sum * factor_m[s]);
        double grown = wide_number((bits >> 52) | wide_bits(0x1p52)) - (0x1p52 + 1023);
        to_m[s] = wide_number((bits & 0xFFFFFFFFFFFFFu) | wide_bits(1.0));
        double e = top + factor_e[s] + grown;
        to_e[s] = sum > 0 ? e : -INFINITY;
    }
}

#endif
