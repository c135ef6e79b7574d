/* The passes over arrays, in one table for each instruction set and element type. passes.h says what each does. */
#ifndef RNNFAST_PASSES_TABLE_H
#define RNNFAST_PASSES_TABLE_H
#include <stddef.h>
#include <stdint.h>

/* Sums run over blocks of this many elements, counted from the first: the caller adds the blocks' sums in order, so
 * that neither the instruction set nor the number of threads changes a bit. */
#define PASS_BLOCK 4096

/* The rules of optimizers.h, in the order of its table. */
enum rule {
    RULE_SGD, RULE_MOMENTUM, RULE_NESTEROV, RULE_RMSPROP, RULE_RMSPROP_MOMENTUM, RULE_RMSPROP_CENTERED,
    RULE_RMSPROP_CENTERED_MOMENTUM, RULE_ADAGRAD, RULE_ADADELTA, RULE_ADAM, RULE_AMSGRAD, RULE_NADAM, RULE_ADAMAX,
    RULE_LION, RULE_RPROP, RULE_ASGD, RULE_AVERAGE,
    RULE_COUNT
};

#define UPDATE_STATES 3
#define UPDATE_NUMBERS 7

struct update {
    double scale;      /* multiplies the gradients before all else */
    double clip_value; /* then they are cut to this size */
    double decay;      /* then this share of the parameters is added to them */
    double shrink;     /* multiplies the parameters before the rule changes them */
    double numbers[UPDATE_NUMBERS];
};

struct dropout {
    uint64_t key;
    uint32_t stream;
    uint32_t threshold; /* the probability to drop a unit, in 2^-32 */
    double scale;       /* of the units kept */
};

typedef void (*map_function)(void *to, const void *from, ptrdiff_t count);
typedef void (*update_function)(void *params, const void *grads, void *const *states, ptrdiff_t count,
                                const struct update *with);

struct passes {
    map_function exp, tanh, sigmoid, accumulate;
    double (*sum_of_squares)(const void *from, ptrdiff_t count);
    double (*squared_error)(void *gradient, const void *predictions, const void *targets, const uint8_t *mask,
                            ptrdiff_t count);
    void (*cross_entropy)(void *gradient, double *losses, const void *logits, const int64_t *targets,
                          const uint8_t *mask, ptrdiff_t rows, ptrdiff_t classes);
    double (*binary_cross_entropy)(void *gradient, const void *logits, const void *yes, const void *no,
                                   ptrdiff_t count);
    update_function updates[RULE_COUNT];
    void (*dropout)(void *to, const void *from, ptrdiff_t units, uint32_t step, uint32_t row,
                    const struct dropout *options);
};
#endif
