/* The passes of the normalisation layers, in one table for each instruction set and element type. Rows lie side by side,
 * `width` elements each; `valid` tells which of them count, NULL for all. What does not count is not read, and its result
 * is zero. */
#ifndef RNNFAST_NORMS_TABLE_H
#define RNNFAST_NORMS_TABLE_H
#include <stddef.h>
#include <stdint.h>

/* Sums over rows run over blocks of this many, counted from the first: the caller adds the blocks' sums in order, so
 * that neither the instruction set nor the number of threads changes a bit. */
#define NORM_BLOCK 64

struct norms {
    /* y = (x - mean) * scale * weight + bias, with each row's own mean and scale = 1 / sqrt(variance + epsilon), which go
     * to statistics (rows, 2) where that is given. */
    void (*layer)(void *y, void *statistics, const void *x, const void *weight, const void *bias, const uint8_t *valid,
                  ptrdiff_t rows, ptrdiff_t width, double epsilon);
    /* dx, where it is given, and the sums over the rows of dy and of dy z: (2, width). */
    void (*layer_back)(void *dx, void *sums, const void *dy, const void *x, const void *statistics, const void *weight,
                       const uint8_t *valid, ptrdiff_t rows, ptrdiff_t width);
    /* The columns' means, and sums of squares about them, of the rows that count: (2, width). Returns how many count. */
    ptrdiff_t (*moments)(void *sums, const void *x, const uint8_t *valid, ptrdiff_t rows, ptrdiff_t width);
    /* y = (x - mean) * factor + bias, by columns. */
    void (*shifted)(void *y, const void *x, const void *mean, const void *factor, const void *bias, const uint8_t *valid,
                    ptrdiff_t rows, ptrdiff_t width);
    /* The sums over the rows of dy and of dy (x - mean): (2, width). */
    void (*batch_sums)(void *sums, const void *dy, const void *x, const void *mean, const uint8_t *valid, ptrdiff_t rows,
                       ptrdiff_t width);
    /* dx = factor * (dy - level - (x - mean) * slope), by columns. */
    void (*batch_back)(void *dx, const void *dy, const void *x, const void *mean, const void *factor, const void *level,
                       const void *slope, const uint8_t *valid, ptrdiff_t rows, ptrdiff_t width);
};
#endif
