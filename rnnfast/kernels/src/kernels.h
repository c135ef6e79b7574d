/* What the compiled core offers, the same for every instruction set and element type.
 *
 * Pointers are untyped: a kernel_table belongs to one element type, and only the functions behind it read elements.
 * All strides are in bytes; `lanes` is the number of elements in a vector. Buffers inside the core hold rows of whole
 * vectors: the units beyond H are zero and stay zero, so no loop has a tail.
 */
#ifndef RNNFAST_KERNELS_H
#define RNNFAST_KERNELS_H
#include <stddef.h>
#include <stdint.h>
#include "attention_table.h"
#include "norms_table.h"
#include "passes_table.h"

#define MAX_PHASES 2
#define MAX_SLOTS 4
/* Vectors in one panel of a matrix that has no gates. */
#define PLAIN_WIDTH 4
/* Independent chains of `fma_chains`. */
#define FMA_CHAINS 12
/* Vectors in a row of `read_vectors`. */
#define READ_LINES 8

/* Rows of a matrix: one pointer each, or a base and a stride where `each` is NULL. */
struct rows {
    char *base;
    ptrdiff_t stride;
    char *const *each;
};

/* An activation and its parameters (activations.h). */
enum {
    FUNCTION_IDENTITY, FUNCTION_TANH, FUNCTION_SIGMOID, FUNCTION_RELU, FUNCTION_LEAKY_RELU, FUNCTION_ELU, FUNCTION_SOFTSIGN,
    FUNCTION_HARD_SIGMOID
};
struct function {
    int kind;
    double alpha, beta;
};

/* What a cell with options has beside its gates. Rows of parameters are whole vectors, zero beyond the units; NULL where
 * there are none. */
struct options {
    struct function gate, candidate, output; /* in the place of sigmoid, of tanh, and of tanh of the LSTM's c */
    double clip, cell_clip;                  /* of pre-activations, and of c; 0: none */
    const char *peephole[3];                 /* for i, f, o */
    const char *recurrent;                   /* IndRNN: a number a unit */
    const char *norm_ih, *norm_hh, *bias;    /* normalised products: factors and biases in the order of the slots */
    const char *norm_c, *bias_c;             /* normalised cell state */
    ptrdiff_t units;
    ptrdiff_t norm_sums; /* byte in a row of sums where those of norm_ih begin; norm_hh's follow */
    int projected;       /* the first phase's result is the second one's operand */
};
#define NORM_EPSILON 1e-5
/* Rows of units that the arithmetic of options wants for itself. */
#define OPTION_ROWS 8

/* One time step of one direction, for some rows of the batch: what the gate arithmetic reads and writes. */
struct step {
    struct rows gates[MAX_PHASES]; /* in: pre-activations; out, in training: activated gates; in backward: their gradients */
    struct rows h_before, h;       /* state before and after the step */
    struct rows c_before, c;       /* LSTM cell state; both may be the same rows */
    struct rows between;           /* the second phase's operand, such as r * h; in backward its gradient */
    struct rows dh, dc;            /* backward: gradient of the state after the step; on return, of the one before */
    ptrdiff_t count;               /* rows */
    ptrdiff_t vectors;             /* vectors of units in a row */
    /* For the cells with options alone. Without a base: none. */
    const struct options *with;
    struct rows operand;          /* what the recurrent product took: h_before, or that times the mask */
    struct rows mask;             /* of recurrent dropout */
    struct rows result, d_result; /* of the first phase: h, or the second phase's operand; and its gradient */
    struct rows zone_h, zone_c;   /* zoneout: the share of the old value */
    struct rows x_gates, h_gates; /* the two products, where each is normalised */
    struct rows stats;            /* two numbers a row: what the two norms divided by, inverted */
    struct rows sums;             /* backward: what gradients of the options' parameters are made of, row by row */
    struct rows traced[MAX_PHASES]; /* where what enters each activation is noted */
    char *scratch;                /* OPTION_ROWS rows of units, or a row of gates */
};

/* Gate arithmetic on the rows [row, row + rows) and the unit vectors [vector, vector + vectors). */
typedef void (*gate_function)(const struct step *step, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t vector, ptrdiff_t vectors);

/* C[r, n] = init[r, n] + sum over k of A[r, k] * B[k, n], as one chain of fused multiply-adds with k ascending;
 * with `add`, C[r, n] += that sum. B is packed in panels of `width` vectors (the last may be narrower). */
struct product {
    struct rows a, init, c;
    ptrdiff_t count;                       /* rows */
    /* k runs over `segments` runs of `depth` elements, segment_step bytes apart, and that `repeats` times, repeat_step
     * bytes apart: through gates slot by slot, an order that does not depend on the vectors' width. */
    ptrdiff_t depth, segments, segment_step, repeats, repeat_step;
    const char *b;
    ptrdiff_t vectors;                     /* vectors in a row of B */
    ptrdiff_t init_panel, c_panel;         /* bytes from one panel's columns to the next one's */
    int width;                             /* vectors in a panel, 1 to 4 */
    int add;
    int descending;                        /* panels from the last to the first */
    gate_function finish;                  /* called for each finished tile; may be NULL */
    const struct step *step;
    int gated;                             /* a panel is the gates of one vector of units; else it is that many vectors of units */
    int only;                              /* only this repeat, counted from 1; 0: all of them */
};

/* One matrix product of a cell's step, with its gate arithmetic. A stored row holds, for each vector of units, `slots`
 * vectors side by side. The input product fills x_count of them from x_first, the recurrent product adds to h_count
 * of them from h_first. *_gate name the gate (block of rows of the weight matrix) that a slot holds. */
struct phase {
    int slots;
    int x_first, x_count, h_first, h_count;
    int x_gate[MAX_SLOTS], h_gate[MAX_SLOTS];
    gate_function infer, train;
    gate_function backward;
    int backward_adds; /* backward product adds to what `backward` left in its target, or overwrites it */
    int whole;         /* the arithmetic runs on whole rows after the product, not on each finished tile */
};

struct cell {
    const char *name;
    int gates;
    int has_c;
    int phases;
    int negated_gate; /* for the other update convention of the GRU: the gate whose sign turns; -1: none */
    struct phase phase[MAX_PHASES];
};

enum {
    CELL_RNN_TANH, CELL_RNN_RELU, CELL_RNN_IDENTITY, CELL_LSTM, CELL_GRU_AFTER, CELL_GRU_BEFORE,
    CELL_RNN_OPTIONS, CELL_INDRNN, CELL_LSTM_OPTIONS, CELL_LSTM_COUPLED, CELL_GRU_AFTER_OPTIONS, CELL_GRU_BEFORE_OPTIONS, CELL_MGU,
    CELL_COUNT
};

typedef struct kernel_table {
    const char *name; /* instruction set */
    int itemsize, lanes;
    const struct cell *cells[CELL_COUNT];
    const struct phase *projection; /* appended to an LSTM */
    void (*multiply)(const struct product *product);
    /* Panels of the matrix whose column n is rows[n], `depth` elements; zero from column `count` on. NULL rows are zero. */
    void (*pack_columns)(char *panels, const struct rows *rows, ptrdiff_t count, ptrdiff_t depth, ptrdiff_t vectors, int width);
    /* Plain panels of the matrix whose row k is rows[k], `columns` elements that lie element_stride bytes apart. */
    void (*pack_rows)(char *panels, const struct rows *rows, ptrdiff_t element_stride, ptrdiff_t depth, ptrdiff_t columns);
    /* target[j][k] = rows[k][j] for j < columns (k contiguous, target rows target_stride bytes apart);
     * sums[j] += the sum over k, where sums is given. columns is a whole number of vectors. */
    void (*transpose)(char *target, ptrdiff_t target_stride, const struct rows *rows, ptrdiff_t depth, ptrdiff_t columns,
                      char *sums);
    /* Copy between whole-vector rows and a user's rows of `columns` elements, element_stride bytes apart. */
    void (*store_rows)(const struct rows *to, ptrdiff_t element_stride, const struct rows *from, ptrdiff_t count, ptrdiff_t columns);
    void (*load_rows)(const struct rows *to, const struct rows *from, ptrdiff_t element_stride, ptrdiff_t count, ptrdiff_t columns);
    void (*add_rows)(const struct rows *to, const struct rows *from, ptrdiff_t element_stride, ptrdiff_t count, ptrdiff_t columns);
    /* One slot of each vector of units = the same slot of a packed row of biases. */
    void (*fill_slot)(const struct rows *to, ptrdiff_t count, ptrdiff_t vectors, int slots, int slot, const char *from);
    /* to = from * by, or with `add` to += from * by: rows of whole vectors. */
    void (*scale_rows)(const struct rows *to, const struct rows *from, const struct rows *by, int add, ptrdiff_t count, ptrdiff_t vectors);
    /* norm.h */
    void (*normalise)(const struct rows *gates, const struct rows *stats, int second, ptrdiff_t count, ptrdiff_t units,
                      ptrdiff_t vectors, int slots, int first, int number);
    void (*join_norms)(const struct step *step, ptrdiff_t count, ptrdiff_t vectors, int slots);
    void (*split_norms)(const struct step *step, ptrdiff_t count, ptrdiff_t units, ptrdiff_t vectors, const struct phase *phase);
    /* `rounds` vector multiply-adds in each of FMA_CHAINS chains, in registers. */
    double (*fma_chains)(ptrdiff_t rounds);
    /* The sum of count * READ_LINES vectors, which lie one after the other. */
    double (*read_vectors)(const void *start, ptrdiff_t count);
    struct passes passes;
    struct norms norms;
    struct attention attention;
} kernel_table;

/* The tables of this process, chosen once from the CPU and RNNFAST_ISA; itemsize is 4 or 8. */
const kernel_table *kernels_for(int itemsize);
/* Choose the best set that this machine has, no better than `cap` (NULL or "": the best of all). Returns 0, or -1 where
 * the name is unknown. */
int kernels_choose(const char *cap);
/* Names of the sets this build and this machine have, best first; NULL ends them. */
const char *const *kernels_available(void);
#endif
