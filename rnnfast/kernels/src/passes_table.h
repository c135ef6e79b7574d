/* The passes over arrays, in one table for each instruction set and element type. passes.h says what each does. */
#ifndef RNNFAST_PASSES_TABLE_H
#define RNNFAST_PASSES_TABLE_H
#include <stddef.h>
#include <stdint.h>

/* Sums run over blocks of this many elements, counted from the first: the caller adds the blocks' sums in order, so
 * that neither the instruction set nor the number of threads changes a bit. */
#define PASS_BLOCK 4096

struct sgd {
    double learning_rate, momentum, weight_decay, scale;
    int nesterov;
};

struct adam {
    double learning_rate, beta1, beta2, epsilon, weight_decay, scale;
    double correction1, correction2; /* 1 - beta1^step and 1 - beta2^step */
    int decoupled;
};

struct dropout {
    uint64_t key;
    uint32_t stream;
    uint32_t threshold; /* the probability to drop a unit, in 2^-32 */
    double scale;       /* of the units kept */
};

typedef void (*map_function)(void *to, const void *from, ptrdiff_t count);

struct passes {
    map_function exp, tanh, sigmoid, accumulate;
    double (*sum_of_squares)(const void *from, ptrdiff_t count);
    double (*squared_error)(void *gradient, const void *predictions, const void *targets, const uint8_t *mask,
                            ptrdiff_t count);
    void (*cross_entropy)(void *gradient, double *losses, const void *logits, const int64_t *targets,
                          const uint8_t *mask, ptrdiff_t rows, ptrdiff_t classes);
    double (*binary_cross_entropy)(void *gradient, const void *logits, const void *yes, const void *no,
                                   ptrdiff_t count);
    void (*sgd_step)(void *params, const void *grads, void *velocity, ptrdiff_t count, const struct sgd *options);
    void (*adam_step)(void *params, const void *grads, void *m, void *v, ptrdiff_t count, const struct adam *options);
    void (*dropout)(void *to, const void *from, ptrdiff_t units, uint32_t step, uint32_t row,
                    const struct dropout *options);
};
#endif
