/* What attention does for one query beside its products, in one table for each instruction set and element type. Rows of
 * scores, and of the hidden units of additive scores, are padded to whole multiples of ATTENTION_LINES numbers. */
#ifndef RNNFAST_ATTENTION_TABLE_H
#define RNNFAST_ATTENTION_TABLE_H
#include <stddef.h>

#define ATTENTION_LINES 16

struct attention {
    /* scores[j] = sum over k of weight[k] tanh(query[k] + keys[j][k] + along[k] coverage[j]); `along` may be NULL. */
    void (*additive)(void *scores, const void *query, const void *keys, const void *weight, const void *along,
                     const void *coverage, ptrdiff_t count, ptrdiff_t width);
    /* From the gradient of the scores: added to those of all that they are made of. */
    void (*additive_back)(void *d_query, void *d_keys, void *d_weight, void *d_along, void *d_coverage, const void *d_scores,
                          const void *query, const void *keys, const void *weight, const void *along,
                          const void *coverage, ptrdiff_t count, ptrdiff_t width);
    /* The softmax of `count` scores in place; and from the gradient of the weights, in place, to that of the scores. */
    void (*softmax)(void *scores, ptrdiff_t count);
    void (*softmax_back)(void *gradient, const void *weights, ptrdiff_t count);
};
#endif
