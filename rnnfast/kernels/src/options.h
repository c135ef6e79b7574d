/* What the cells with options share. Their arithmetic runs on whole rows of units after the product, in one short loop
 * after another: an option that is off skips its loop. Scratch holds OPTION_ROWS rows of units. */
#define UNITS(k) ((real *)s->scratch + (k) * vectors * LANES)
#define OPTION_FUNCTION(name) \
    static void NAME(name)(const struct step *s, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t vector, ptrdiff_t vectors)
#define FOR_EACH_ROW(r) for (ptrdiff_t r = row; r < row + rows; r++)
#define FOR_EACH_UNIT for (ptrdiff_t k = 0; k < vectors * LANES; k += LANES)
#define zone_row NAME(zone_row)
#define zone_row_back NAME(zone_row_back)
#define multiply_add NAME(multiply_add)
#define fire NAME(fire)

/* to += a b; `to` has its vectors `stride` elements apart. */
INLINE void multiply_add(real *to, ptrdiff_t stride, const real *a, const real *b, ptrdiff_t vectors) {
    for (ptrdiff_t v = 0; v < vectors; v++)
        vstore(to + v * stride, vfma(vload(a + v * LANES), vload(b + v * LANES), vload(to + v * stride)));
}

/* Zoneout (Krueger et al. 2017): after = zone before + (1 - zone) after. */
INLINE void zone_row(const struct rows *zone, ptrdiff_t r, const real *before, real *after, ptrdiff_t vectors) {
    if (!zone->base) return;
    const real *keep = (real *)row_at(zone, r);
    FOR_EACH_UNIT {
        vec share = vload(keep + k);
        vstore(after + k, vfma(share, vload(before + k), (1 - share) * vload(after + k)));
    }
}

/* d, the gradient of the state, becomes that of the new value; `carry` is set to the share of the old one. */
INLINE void zone_row_back(const struct rows *zone, ptrdiff_t r, real *d, real *carry, ptrdiff_t vectors) {
    if (!zone->base) {
        memset(carry, 0, (size_t)(vectors * LANE_BYTES));
        return;
    }
    const real *keep = (real *)row_at(zone, r);
    FOR_EACH_UNIT {
        vec gradient = vload(d + k), share = gradient * vload(keep + k);
        vstore(carry + k, share);
        vstore(d + k, gradient - share);
    }
}

/* The activation of one slot of a row of gates in place: what enters it is clipped, and noted where a trace is wanted. */
INLINE void fire(const struct step *s, ptrdiff_t r, int phase, const struct function *f, real *at, ptrdiff_t stride, ptrdiff_t vectors) {
    clip_row(s->with->clip, at, stride, vectors);
    if (s->traced[phase].base) {
        real *to = (real *)row_at(&s->traced[phase], r) + (at - (real *)row_at(&s->gates[phase], r));
        for (ptrdiff_t k = 0; k < vectors * stride; k += stride) vstore(to + k, vload(at + k));
    }
    activate(f, at, stride, vectors);
}

#include "rnn_options.h"
#include "lstm_options.h"
#include "gru_options.h"

#undef UNITS
#undef OPTION_FUNCTION
#undef FOR_EACH_ROW
#undef FOR_EACH_UNIT
