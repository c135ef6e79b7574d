/* The scores and weights of attention for one query. Included after functions.h and move.h, once for each element type.
 *
 * A sum over hidden units has ATTENTION_LINES accumulators, element k in accumulator k % ATTENTION_LINES, added up in a
 * fixed tree; a sum over positions runs in float64 from the first to the last. So neither the vectors' width nor the
 * number of threads changes a bit.
 */
#include "attention_table.h"

#define PARTS (ATTENTION_LINES / LANES)
#define ATTENTION_TABLE {NAME(additive), NAME(additive_back), NAME(attention_softmax), NAME(attention_softmax_back)}

INLINE real NAME(add_parts)(const vec *parts) {
    real sums[ATTENTION_LINES];
    for (int i = 0; i < PARTS; i++) vstore(sums + i * LANES, parts[i]);
    for (int half = ATTENTION_LINES / 2; half; half /= 2)
        for (int i = 0; i < half; i++) sums[i] += sums[i + half];
    return sums[0];
}

static void NAME(additive)(void *scores_, const void *query_, const void *keys_, const void *weight_, const void *along_,
                           const void *coverage_, ptrdiff_t count, ptrdiff_t width) {
    const real *query = query_, *keys = keys_, *weight = weight_, *along = along_, *coverage = coverage_;
    for (ptrdiff_t j = 0; j < count; j++, keys += width) {
        vec sums[PARTS] = {};
        for (ptrdiff_t first = 0; first < width; first += ATTENTION_LINES)
            for (int i = 0; i < PARTS; i++) {
                const ptrdiff_t k = first + i * LANES;
                vec x = vload(query + k) + vload(keys + k);
                if (along) x = vfma(vload(along + k), vset(coverage[j]), x);
                sums[i] = vfma(vload(weight + k), vtanh(x), sums[i]);
            }
        ((real *)scores_)[j] = NAME(add_parts)(sums);
    }
}

static void NAME(additive_back)(void *d_query_, void *d_keys_, void *d_weight_, void *d_along_, void *d_coverage_,
                                const void *d_scores_, const void *query_, const void *keys_, const void *weight_,
                                const void *along_, const void *coverage_, ptrdiff_t count, ptrdiff_t width) {
    const real *query = query_, *keys = keys_, *weight = weight_, *along = along_, *coverage = coverage_, *d_scores = d_scores_;
    real *d_query = d_query_, *d_keys = d_keys_, *d_weight = d_weight_, *d_along = d_along_, *d_coverage = d_coverage_;
    for (ptrdiff_t j = 0; j < count; j++, keys += width, d_keys += width) {
        const vec gradient = vset(d_scores[j]);
        vec sums[PARTS] = {};
        for (ptrdiff_t first = 0; first < width; first += ATTENTION_LINES)
            for (int i = 0; i < PARTS; i++) {
                const ptrdiff_t k = first + i * LANES;
                vec x = vload(query + k) + vload(keys + k);
                if (along) x = vfma(vload(along + k), vset(coverage[j]), x);
                const vec hidden = vtanh(x), d = gradient * vload(weight + k) * (1 - hidden * hidden);
                vstore(d_query + k, vload(d_query + k) + d);
                vstore(d_keys + k, vload(d_keys + k) + d);
                vstore(d_weight + k, vfma(gradient, hidden, vload(d_weight + k)));
                if (along) {
                    vstore(d_along + k, vfma(d, vset(coverage[j]), vload(d_along + k)));
                    sums[i] = vfma(d, vload(along + k), sums[i]);
                }
            }
        if (along) d_coverage[j] += NAME(add_parts)(sums);
    }
}

static void NAME(attention_softmax)(void *scores_, ptrdiff_t count) {
    real *scores = scores_, highest = scores[0];
    double total = 0;
    for (ptrdiff_t j = 1; j < count; j++) highest = scores[j] > highest ? scores[j] : highest;
    for (ptrdiff_t j = 0; j < count; j += LANES) vstore(scores + j, vexp(vload(scores + j) - vset(highest)));
    for (ptrdiff_t j = 0; j < count; j++) total += (double)scores[j];
    const real factor = (real)(1 / total);
    for (ptrdiff_t j = 0; j < count; j++) scores[j] *= factor;
}

static void NAME(attention_softmax_back)(void *gradient_, const void *weights_, ptrdiff_t count) {
    real *gradient = gradient_;
    const real *weights = weights_;
    double total = 0;
    for (ptrdiff_t j = 0; j < count; j++) total += (double)weights[j] * (double)gradient[j];
    for (ptrdiff_t j = 0; j < count; j++) gradient[j] = weights[j] * (gradient[j] - (real)total);
}
#undef PARTS
