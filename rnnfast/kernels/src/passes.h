/* Passes over whole arrays: activations, losses with their gradients, sums and dropout.
 * Included after functions.h and optimizers.h, once for each element type.
 *
 * Whatever adds up many elements does so in LINES float64 accumulators, element i in accumulator i % LINES, and adds
 * these in a fixed tree: the same bits on every instruction set. Elsewhere multiplication and addition stay separate
 * (no vfma), for the same reason.
 */
#include "passes_table.h"
#include "random.h"

#ifndef RNNFAST_PASSES_ONCE
#define RNNFAST_PASSES_ONCE
#include <math.h>

#define LINES 16

static inline double add_lines(const double *lines) {
    double sums[LINES];
    memcpy(sums, lines, sizeof sums);
    for (int half = LINES / 2; half; half /= 2)
        for (int j = 0; j < half; j++) sums[j] += sums[j + half];
    return sums[0];
}

/* An initialiser of the table's `passes`, for the element type at hand. */
#define PASSES_TABLE                                                                                                    \
    {                                                                                                                   \
        NAME(pass_exp), NAME(pass_tanh), NAME(pass_sigmoid), NAME(pass_accumulate), NAME(pass_sum_of_squares),          \
            NAME(pass_squared_error), NAME(pass_cross_entropy), NAME(pass_binary_cross_entropy), UPDATES_TABLE,         \
            NAME(pass_dropout)                                                                                          \
    }
#endif

#define MAP(name, function)                                                                                             \
    static void NAME(name)(void *to_, const void *from_, ptrdiff_t count) {                                             \
        real *to = to_;                                                                                                 \
        const real *from = from_;                                                                                       \
        ptrdiff_t i = 0;                                                                                                \
        for (; i + LANES <= count; i += LANES) vstore(to + i, function(vload(from + i)));                               \
        if (i < count) store_some(to + i, function(load_some(from + i, count - i, 0)), count - i);                      \
    }
MAP(pass_exp, vexp)
MAP(pass_tanh, vtanh)
MAP(pass_sigmoid, vsigmoid)
#undef MAP

/* to += from. */
static void NAME(pass_accumulate)(void *to_, const void *from_, ptrdiff_t count) {
    real *restrict to = to_;
    const real *restrict from = from_;
    for (ptrdiff_t i = 0; i < count; i++) to[i] += from[i];
}

static double NAME(pass_sum_of_squares)(const void *from_, ptrdiff_t count) {
    const real *from = from_;
    double lines[LINES] = {0};
    ptrdiff_t i = 0;
    for (; i + LINES <= count; i += LINES)
        for (int j = 0; j < LINES; j++) lines[j] += (double)from[i + j] * (double)from[i + j];
    for (int j = 0; i + j < count; j++) lines[j] += (double)from[i + j] * (double)from[i + j];
    return add_lines(lines);
}

/* Sum of (p - t)^2 over the elements that count, and its gradient 2 (p - t), zero for the others. */
static double NAME(pass_squared_error)(void *gradient_, const void *predictions_, const void *targets_,
                                       const uint8_t *mask, ptrdiff_t count) {
    real *restrict gradient = gradient_;
    const real *restrict predictions = predictions_, *restrict targets = targets_;
    double lines[LINES] = {0};
    for (ptrdiff_t i = 0; i < count; i += LINES) {
        int length = count - i < LINES ? (int)(count - i) : LINES;
        real difference[LINES] = {0};
        if (length == LINES)
            for (int j = 0; j < LINES; j++) difference[j] = predictions[i + j] - targets[i + j];
        else
            for (int j = 0; j < length; j++) difference[j] = predictions[i + j] - targets[i + j];
        if (mask)
            for (int j = 0; j < length; j++) difference[j] = mask[i + j] ? difference[j] : 0;
        for (int j = 0; j < LINES; j++) lines[j] += (double)difference[j] * (double)difference[j];
        for (int j = 0; j < LINES; j++) difference[j] *= 2;
        memcpy(gradient + i, difference, (size_t)length * sizeof(real));
    }
    return add_lines(lines);
}

/* For each row: loss = log(sum of e^logit) - logit[target], gradient = softmax(logits) - onehot(target); both zero
 * where the mask is. The greatest logit is subtracted first, so that no e^x overflows. */
static void NAME(pass_cross_entropy)(void *gradient_, double *losses, const void *logits_, const int64_t *targets,
                                     const uint8_t *mask, ptrdiff_t rows, ptrdiff_t classes) {
    for (ptrdiff_t row = 0; row < rows; row++) {
        const real *x = (const real *)logits_ + row * classes;
        real *g = (real *)gradient_ + row * classes;
        losses[row] = 0;
        if (mask && !mask[row]) {
            memset(g, 0, (size_t)classes * sizeof(real));
            continue;
        }
        vec highest = vset(x[0]);
        ptrdiff_t i = 0;
        for (; i + LANES <= classes; i += LANES) highest = vmax(highest, vload(x + i));
        if (i < classes) highest = vmax(highest, load_some(x + i, classes - i, x[0]));
        real shift = highest[0];
        for (int j = 1; j < LANES; j++) shift = highest[j] > shift ? highest[j] : shift;

        double lines[LINES] = {0};
        for (i = 0; i < classes; i += LINES) {
            real powers[LINES];
            for (int j = 0; j < LINES; j += LANES) {
                ptrdiff_t left = classes - i - j;
                vec v = left >= LANES ? vload(x + i + j) : load_some(x + i + j, left > 0 ? left : 0, (real)-INFINITY);
                vstore(powers + j, vexp(v - vset(shift)));
            }
            for (int j = 0; j < LINES; j++) lines[j] += (double)powers[j];
            memcpy(g + i, powers, (size_t)(classes - i < LINES ? classes - i : LINES) * sizeof(real));
        }
        double total = add_lines(lines);
        losses[row] = log(total) - ((double)x[targets[row]] - (double)shift);
        real factor = (real)(1 / total);
        for (i = 0; i < classes; i++) g[i] *= factor;
        g[targets[row]] -= 1;
    }
}

/* Sum of yes * log(1 + e^-x) + no * log(1 + e^x), and its gradient no * sigmoid(x) - yes * sigmoid(-x). Where yes and no
 * are both zero, x is not read: it may be NaN.
 *
 * Both logarithms are log(1 + p) plus |x| or 0, p = e^-|x|, and log(1 + p) = 2 artanh(s) = 2 s (1 + s^2/3 + s^4/5 + ...),
 * s = p / (2 + p) <= 1/3: relative error 2e-9 in float, 2e-18 in double, next to the rounding. */
static double NAME(pass_binary_cross_entropy)(void *gradient_, const void *logits_, const void *yes_, const void *no_,
                                              ptrdiff_t count) {
    real *gradient = gradient_;
    const real *logits = logits_, *positive = yes_, *negative = no_;
    const vec zero = vset(0), one = vset(1);
    const int terms = sizeof(real) == 4 ? 8 : 17;
    double lines[LINES] = {0};
    for (ptrdiff_t i = 0; i < count; i += LINES) {
        real losses[LINES];
        for (int j = 0; j < LINES; j += LANES) {
            ptrdiff_t left = count - i - j < LANES ? count - i - j : LANES;
            if (left <= 0) {
                vstore(losses + j, zero);
                continue;
            }
            vec x = load_some(logits + i + j, left, 0);
            vec yes = load_some(positive + i + j, left, 0), no = load_some(negative + i + j, left, 0);
            vec p = vexp(zero - vabs(x)), s = p / (p + vset(2)), square = s * s;
            vec series = vset((real)1 / (2 * terms - 1));
            for (int k = terms - 1; k > 0; k--) series = vfma(series, square, vset((real)1 / (2 * k - 1)));
            vec logarithm = series * s * vset(2), high = one / (p + one), low = p * high;
            /* No share of an infinite loss is nothing. */
            vec lost = vselect(yes == zero, zero, yes * (logarithm + vmax(zero - x, zero)));
            vec gained = vselect(no == zero, zero, no * (logarithm + vmax(x, zero)));
            vec slope = no * vselect(x >= zero, high, low) - yes * vselect(x >= zero, low, high);
            vstore(losses + j, lost + gained);
            store_some(gradient + i + j, vselect((yes == zero) & (no == zero), zero, slope), left);
        }
        for (int j = 0; j < LINES; j++) lines[j] += (double)losses[j];
    }
    return add_lines(lines);
}

/* Each unit of one row at one step kept, times `scale`, or zero: word unit % 4 at the counter
 * (unit / 4, step, row, stream) decides. `to` may be `from`. */
static void NAME(pass_dropout)(void *to_, const void *from_, ptrdiff_t units, uint32_t step, uint32_t row,
                               const struct dropout *options) {
    real *to = to_;
    const real *from = from_;
    const real scale = (real)options->scale;
    const uint32_t threshold = options->threshold;
    if (scale == 0) {
        memset(to, 0, (size_t)units * sizeof(real));
        return;
    }
    for (ptrdiff_t first = 0; first < units; first += 4 * PHILOX_BATCH) {
        uint32_t numbers[4 * PHILOX_BATCH];
        real values[4 * PHILOX_BATCH] = {0};
        ptrdiff_t length = units - first < 4 * PHILOX_BATCH ? units - first : 4 * PHILOX_BATCH;
        philox(numbers, (uint32_t)(first / 4), step, row, options->stream, options->key);
        memcpy(values, from + first, (size_t)length * sizeof(real));
        for (int j = 0; j < 4 * PHILOX_BATCH; j++) values[j] = numbers[j] >= threshold ? values[j] * scale : 0;
        memcpy(to + first, values, (size_t)length * sizeof(real));
    }
}
