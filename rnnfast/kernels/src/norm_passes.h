/* Normalisation of whole arrays, of each row over its features or of each feature over the rows (norms_table.h), forward
 * and backward. Included after norm.h, once for each element type.
 *
 * The sums along a row run in SPAN chains, element i in chain i % SPAN, which a fixed tree adds up; those over rows run
 * row by row inside a block. Multiplication and addition stay separate (no vfma). So every instruction set gives the same
 * bits.
 */
#include "norms_table.h"

#ifndef RNNFAST_NORM_PASSES_ONCE
#define RNNFAST_NORM_PASSES_ONCE
/* An initialiser of the table's `norms`, for the element type at hand. */
#define NORMS_TABLE                                                                                                     \
    {                                                                                                                   \
        NAME(norm_layer), NAME(norm_layer_back), NAME(norm_moments), NAME(norm_shifted), NAME(norm_batch_sums),         \
            NAME(norm_batch_back)                                                                                       \
    }
#endif

/* Four chains for each lane of the widest vector hide an addition's latency. */
#define SPAN (4 * WIDE)
#define SPAN_VECTORS (SPAN / LANES)
#define EACH_CHAIN _Pragma("GCC unroll 16") for (int j = 0; j < SPAN_VECTORS; j++)
/* No two arrays overlap. Said by `restrict` alone, it is asked anew for each row. */
#define EACH_FEATURE _Pragma("GCC ivdep") for (ptrdiff_t i = 0; i < width; i++)
#define sum_chains NAME(sum_chains)
#define row_mean NAME(row_mean)
#define row_variance NAME(row_variance)
#define row_shares NAME(row_shares)
#define root NAME(root)

INLINE real sum_chains(vec *chains) {
    real lines[LANES];
    _Pragma("GCC unroll 4") for (int half = SPAN_VECTORS / 2; half; half /= 2)
        _Pragma("GCC unroll 8") for (int j = 0; j < half; j++) chains[j] += chains[j + half];
    vstore(lines, chains[0]);
    _Pragma("GCC unroll 4") for (int half = LANES / 2; half; half /= 2)
        _Pragma("GCC unroll 8") for (int j = 0; j < half; j++) lines[j] += lines[j + half];
    return lines[0];
}

/* The statements for each whole span of a row, from `at` on, and for its rest. */
#define OVER_SPANS(whole, rest)                                                                                         \
    ptrdiff_t at = 0;                                                                                                   \
    for (; at + SPAN <= width; at += SPAN) { whole; }                                                                   \
    if (at < width) { rest; }
/* The rest of a row, with `beyond` after it. */
#define REST(name, row, beyond)                                                                                         \
    real name[SPAN];                                                                                                    \
    EACH_CHAIN vstore(name + j * LANES, vset(beyond));                                                                  \
    memcpy(name, (row) + at, (size_t)(width - at) * sizeof(real))

INLINE real row_mean(const real *x, ptrdiff_t width) {
    vec sums[SPAN_VECTORS];
    EACH_CHAIN sums[j] = (vec){};
    OVER_SPANS(EACH_CHAIN sums[j] += vload(x + at + j * LANES), REST(rest, x, 0); EACH_CHAIN sums[j] += vload(rest + j * LANES))
    return sum_chains(sums) / (real)width;
}

INLINE real row_variance(const real *x, real mean, ptrdiff_t width) {
    vec squares[SPAN_VECTORS];
    EACH_CHAIN squares[j] = (vec){};
#define ADD(x) EACH_CHAIN { const vec distance = vload((x) + j * LANES) - vset(mean); squares[j] += distance * distance; }
    OVER_SPANS(ADD(x + at), REST(rest, x, mean); ADD(rest))
#undef ADD
    return sum_chains(squares) / (real)width;
}

/* The means of g = dy weight and of g z. */
INLINE void row_shares(real *level, real *slope, const real *dy, const real *weight, const real *x, real mean, real scale,
                       ptrdiff_t width) {
    vec gradients[SPAN_VECTORS], products[SPAN_VECTORS];
    EACH_CHAIN gradients[j] = products[j] = (vec){};
#define ADD(dy, weight, x)                                                                                              \
    EACH_CHAIN {                                                                                                        \
        const vec g = vload((dy) + j * LANES) * vload((weight) + j * LANES);                                            \
        gradients[j] += g;                                                                                              \
        products[j] += g * ((vload((x) + j * LANES) - vset(mean)) * vset(scale));                                       \
    }
    OVER_SPANS(ADD(dy + at, weight + at, x + at),
               REST(rest_dy, dy, 0); REST(rest_weight, weight, 0); REST(rest_x, x, mean); ADD(rest_dy, rest_weight, rest_x))
#undef ADD
    *level = sum_chains(gradients) / (real)width;
    *slope = sum_chains(products) / (real)width;
}

INLINE real root(real x) { return sizeof(real) == 4 ? (real)__builtin_sqrtf((float)x) : (real)__builtin_sqrt((double)x); }

static void NAME(norm_layer)(void *y_, void *statistics_, const void *x_, const void *weight_, const void *bias_,
                             const uint8_t *valid, ptrdiff_t rows, ptrdiff_t width, double epsilon) {
    const real *restrict weight = weight_, *restrict bias = bias_;
    for (ptrdiff_t r = 0; r < rows; r++) {
        const real *restrict x = (const real *)x_ + r * width;
        real *restrict y = (real *)y_ + r * width, *statistics = statistics_ ? (real *)statistics_ + 2 * r : NULL;
        if (valid && !valid[r]) {
            memset(y, 0, (size_t)width * sizeof(real));
            continue;
        }
        const real mean = row_mean(x, width), scale = 1 / root(row_variance(x, mean, width) + (real)epsilon);
        EACH_FEATURE y[i] = (x[i] - mean) * scale * weight[i] + bias[i];
        if (statistics) statistics[0] = mean, statistics[1] = scale;
    }
}

/* dx = scale (g - mean(g) - z mean(g z)) with g = dy weight. */
static void NAME(norm_layer_back)(void *dx_, void *sums_, const void *dy_, const void *x_, const void *statistics_,
                                  const void *weight_, const uint8_t *valid, ptrdiff_t rows, ptrdiff_t width) {
    const real *restrict weight = weight_;
    real *restrict d_bias = sums_, *restrict d_weight = (real *)sums_ + width;
    memset(sums_, 0, 2 * (size_t)width * sizeof(real));
    for (ptrdiff_t r = 0; r < rows; r++) {
        const real *restrict x = (const real *)x_ + r * width, *restrict dy = (const real *)dy_ + r * width;
        real *restrict dx = dx_ ? (real *)dx_ + r * width : NULL;
        if (valid && !valid[r]) {
            if (dx) memset(dx, 0, (size_t)width * sizeof(real));
            continue;
        }
        const real mean = ((const real *)statistics_)[2 * r], scale = ((const real *)statistics_)[2 * r + 1];
        if (!dx) {
            EACH_FEATURE d_bias[i] += dy[i], d_weight[i] += dy[i] * ((x[i] - mean) * scale);
            continue;
        }
        real level, slope;
        row_shares(&level, &slope, dy, weight, x, mean, scale, width);
        EACH_FEATURE {
            const real z = (x[i] - mean) * scale, d = dy[i];
            dx[i] = scale * (d * weight[i] - level - z * slope);
            d_bias[i] += d;
            d_weight[i] += d * z;
        }
    }
}

static ptrdiff_t NAME(norm_moments)(void *sums_, const void *x_, const uint8_t *valid, ptrdiff_t rows, ptrdiff_t width) {
    real *restrict mean = sums_, *restrict squares = (real *)sums_ + width;
    ptrdiff_t count = 0;
    memset(sums_, 0, 2 * (size_t)width * sizeof(real));
    for (ptrdiff_t r = 0; r < rows; r++) {
        const real *restrict x = (const real *)x_ + r * width;
        if (valid && !valid[r]) continue;
        count++;
        EACH_FEATURE mean[i] += x[i];
    }
    if (count) EACH_FEATURE mean[i] /= (real)count;
    for (ptrdiff_t r = 0; r < rows; r++) {
        const real *restrict x = (const real *)x_ + r * width;
        if (valid && !valid[r]) continue;
        EACH_FEATURE squares[i] += (x[i] - mean[i]) * (x[i] - mean[i]);
    }
    return count;
}

static void NAME(norm_shifted)(void *y_, const void *x_, const void *mean_, const void *factor_, const void *bias_,
                               const uint8_t *valid, ptrdiff_t rows, ptrdiff_t width) {
    const real *restrict mean = mean_, *restrict factor = factor_, *restrict bias = bias_;
    for (ptrdiff_t r = 0; r < rows; r++) {
        const real *restrict x = (const real *)x_ + r * width;
        real *restrict y = (real *)y_ + r * width;
        if (valid && !valid[r])
            memset(y, 0, (size_t)width * sizeof(real));
        else
            EACH_FEATURE y[i] = (x[i] - mean[i]) * factor[i] + bias[i];
    }
}

static void NAME(norm_batch_sums)(void *sums_, const void *dy_, const void *x_, const void *mean_, const uint8_t *valid,
                                  ptrdiff_t rows, ptrdiff_t width) {
    const real *restrict mean = mean_;
    real *restrict gradients = sums_, *restrict products = (real *)sums_ + width;
    memset(sums_, 0, 2 * (size_t)width * sizeof(real));
    for (ptrdiff_t r = 0; r < rows; r++) {
        const real *restrict x = (const real *)x_ + r * width, *restrict dy = (const real *)dy_ + r * width;
        if (valid && !valid[r]) continue;
        EACH_FEATURE gradients[i] += dy[i], products[i] += dy[i] * (x[i] - mean[i]);
    }
}

static void NAME(norm_batch_back)(void *dx_, const void *dy_, const void *x_, const void *mean_, const void *factor_,
                                  const void *level_, const void *slope_, const uint8_t *valid, ptrdiff_t rows,
                                  ptrdiff_t width) {
    const real *restrict mean = mean_, *restrict factor = factor_, *restrict level = level_, *restrict slope = slope_;
    for (ptrdiff_t r = 0; r < rows; r++) {
        const real *restrict x = (const real *)x_ + r * width, *restrict dy = (const real *)dy_ + r * width;
        real *restrict dx = (real *)dx_ + r * width;
        if (valid && !valid[r])
            memset(dx, 0, (size_t)width * sizeof(real));
        else
            EACH_FEATURE dx[i] = factor[i] * (dy[i] - level[i] - (x[i] - mean[i]) * slope[i]);
    }
}
#undef SPAN
#undef SPAN_VECTORS
#undef EACH_CHAIN
#undef EACH_FEATURE
#undef OVER_SPANS
#undef REST
#undef WIDE
#undef CHAINS
