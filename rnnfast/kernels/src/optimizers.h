/* Optimizer steps: a rule for one element, and one loop over flat arrays that serves every rule.
 * Included before passes.h, once for each element type.
 *
 * A rule takes the parameter p and its gradient g, and may read and write the element's states *a, *b and *c; n are the
 * step's numbers, the same for all elements. It gives the new parameter. Multiplication and addition stay separate (no
 * vfma), so that every instruction set gives the same bits; the compiler makes vectors of the loop.
 */
#include "passes_table.h"

#ifndef RNNFAST_OPTIMIZERS_ONCE
#define RNNFAST_OPTIMIZERS_ONCE
#include <math.h>

/* An initialiser of the table's `updates`, for the element type at hand. */
#define UPDATES_TABLE                                                                                                   \
    {                                                                                                                   \
        NAME(update_sgd), NAME(update_momentum), NAME(update_nesterov), NAME(update_rmsprop),                           \
            NAME(update_rmsprop_momentum), NAME(update_rmsprop_centered), NAME(update_rmsprop_centered_momentum),       \
            NAME(update_adagrad), NAME(update_adadelta), NAME(update_adam), NAME(update_amsgrad), NAME(update_nadam),   \
            NAME(update_adamax), NAME(update_lion), NAME(update_rprop), NAME(update_asgd), NAME(update_average)         \
    }
#endif

INLINE real NAME(root)(real x) { return sizeof(real) == 4 ? (real)sqrtf((float)x) : (real)sqrt((double)x); }
INLINE real NAME(magnitude)(real x) { return sizeof(real) == 4 ? (real)fabsf((float)x) : (real)fabs((double)x); }
INLINE real NAME(sign)(real x) { return (real)((x > 0) - (x < 0)); }
#define root NAME(root)
#define magnitude NAME(magnitude)
#define sign NAME(sign)

#define RULE(name) INLINE real NAME(rule_##name)(real p, real g, real *a, real *b, real *c, const real *n)
#define UNUSED(x) (void)(x)

/* n: rate */
RULE(sgd) {
    UNUSED(a), UNUSED(b), UNUSED(c);
    return p - n[0] * g;
}

/* a: velocity; n: rate, momentum */
RULE(momentum) {
    UNUSED(b), UNUSED(c);
    *a = n[1] * *a + g;
    return p - n[0] * *a;
}

RULE(nesterov) {
    UNUSED(b), UNUSED(c);
    *a = n[1] * *a + g;
    return p - n[0] * (g + n[1] * *a);
}

/* a: mean of g^2; n: rate, alpha, 1 - alpha, epsilon */
RULE(rmsprop) {
    UNUSED(b), UNUSED(c);
    *a = n[1] * *a + n[2] * g * g;
    return p - n[0] * (g / (root(*a) + n[3]));
}

/* b: velocity; n[4]: momentum */
RULE(rmsprop_momentum) {
    UNUSED(c);
    *a = n[1] * *a + n[2] * g * g;
    *b = n[4] * *b + g / (root(*a) + n[3]);
    return p - n[0] * *b;
}

/* b: mean of g. Rounding may leave the variance below zero, whose root is no number. */
RULE(rmsprop_centered) {
    UNUSED(c);
    *a = n[1] * *a + n[2] * g * g;
    *b += (g - *b) * n[2];
    real variance = *a - *b * *b;
    return p - n[0] * (g / (root(variance > 0 ? variance : 0) + n[3]));
}

/* c: velocity */
RULE(rmsprop_centered_momentum) {
    *a = n[1] * *a + n[2] * g * g;
    *b += (g - *b) * n[2];
    real variance = *a - *b * *b;
    *c = n[4] * *c + g / (root(variance > 0 ? variance : 0) + n[3]);
    return p - n[0] * *c;
}

/* a: sum of g^2; n: rate, epsilon */
RULE(adagrad) {
    UNUSED(b), UNUSED(c);
    *a += g * g;
    return p - n[0] * (g / (root(*a) + n[1]));
}

/* a: mean of g^2, b: mean of the changes' squares; n: rate, rho, 1 - rho, epsilon */
RULE(adadelta) {
    UNUSED(c);
    *a = n[1] * *a + n[2] * g * g;
    real change = root(*b + n[3]) / root(*a + n[3]) * g;
    *b = n[1] * *b + n[2] * change * change;
    return p - n[0] * change;
}

/* a: mean of g, b: mean of g^2; n: rate, 1 - beta1, beta2, 1 - beta2, factor of the root, epsilon */
RULE(adam) {
    UNUSED(c);
    *a += (g - *a) * n[1];
    *b = n[2] * *b + n[3] * g * g;
    return p - n[0] * *a / (root(*b) * n[4] + n[5]);
}

/* c: the greatest b so far */
RULE(amsgrad) {
    *a += (g - *a) * n[1];
    *b = n[2] * *b + n[3] * g * g;
    *c = *b > *c ? *b : *c;
    return p - n[0] * *a / (root(*c) * n[4] + n[5]);
}

/* n[6]: rate of the gradient itself */
RULE(nadam) {
    UNUSED(c);
    *a += (g - *a) * n[1];
    *b = n[2] * *b + n[3] * g * g;
    return p - (n[0] * *a + n[6] * g) / (root(*b) * n[4] + n[5]);
}

/* a: mean of g, b: decaying maximum of |g|; n: rate, 1 - beta1, beta2, epsilon */
RULE(adamax) {
    UNUSED(c);
    *a += (g - *a) * n[1];
    real faded = n[2] * *b, size = magnitude(g) + n[3];
    *b = faded > size ? faded : size;
    return p - n[0] * *a / *b;
}

/* a: mean of g; n: rate, beta1, 1 - beta1, beta2, 1 - beta2 */
RULE(lion) {
    UNUSED(b), UNUSED(c);
    real change = sign(n[1] * *a + n[2] * g);
    *a = n[3] * *a + n[4] * g;
    return p - n[0] * change;
}

/* a: gradient before, b: size of the step; n: factors where the sign turned and where it stayed, least and greatest size */
RULE(rprop) {
    UNUSED(c);
    real agreement = g * *a;
    real size = *b * (agreement > 0 ? n[1] : agreement < 0 ? n[0] : 1);
    size = size < n[2] ? n[2] : size > n[3] ? n[3] : size;
    g = agreement < 0 ? 0 : g;
    *a = g;
    *b = size;
    return p - size * sign(g);
}

/* a: mean of the parameter; n: rate, share of the new value in the mean */
RULE(asgd) {
    UNUSED(b), UNUSED(c);
    p -= n[0] * g;
    *a = n[1] == 1 ? p : *a + n[1] * (p - *a);
    return p;
}

/* p: mean of what stands in g; n: share of the new value */
RULE(average) {
    UNUSED(a), UNUSED(b), UNUSED(c);
    return n[0] == 1 ? g : p + n[0] * (g - p);
}

/* Before the rule: g = clip(scale * grad) + decay * p, then p shrinks. A decay of zero adds nothing, where zero times
 * infinity would be no number. */
#define UPDATE(name, states)                                                                                            \
    static void NAME(update_##name)(void *params_, const void *grads_, void *const *state, ptrdiff_t count,             \
                                    const struct update *with) {                                                       \
        real *restrict p = params_;                                                                                     \
        const real *restrict grads = grads_;                                                                            \
        real *restrict a = states > 0 ? state[0] : params_, *restrict b = states > 1 ? state[1] : params_;              \
        real *restrict c = states > 2 ? state[2] : params_;                                                             \
        const real scale = (real)with->scale, most = (real)with->clip_value, shrink = (real)with->shrink;               \
        const real decay = (real)with->decay;                                                                           \
        real n[UPDATE_NUMBERS];                                                                                         \
        for (int k = 0; k < UPDATE_NUMBERS; k++) n[k] = (real)with->numbers[k];                                         \
        for (ptrdiff_t i = 0; i < count; i++) {                                                                         \
            real g = scale * grads[i];                                                                                  \
            g = g > most ? most : g < -most ? -most : g;                                                                \
            g += decay != 0 ? decay * p[i] : 0;                                                                         \
            p[i] = NAME(rule_##name)(p[i] * shrink, g, a + i, b + i, c + i, n);                                         \
        }                                                                                                               \
    }
UPDATE(sgd, 0)
UPDATE(momentum, 1)
UPDATE(nesterov, 1)
UPDATE(rmsprop, 1)
UPDATE(rmsprop_momentum, 2)
UPDATE(rmsprop_centered, 2)
UPDATE(rmsprop_centered_momentum, 3)
UPDATE(adagrad, 1)
UPDATE(adadelta, 2)
UPDATE(adam, 2)
UPDATE(amsgrad, 3)
UPDATE(nadam, 2)
UPDATE(adamax, 2)
UPDATE(lion, 1)
UPDATE(rprop, 2)
UPDATE(asgd, 1)
UPDATE(average, 0)
#undef UPDATE
#undef RULE
#undef UNUSED
#undef root
#undef magnitude
#undef sign
