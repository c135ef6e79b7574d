/* The packed matrix product: one microkernel for every cell, layer and direction of the gradient.
 *
 * A tile of M rows by W vectors stays in registers over the whole of k. Each element of C is one chain of fused
 * multiply-adds from its initial value with k ascending, so that neither tiling nor the vector width changes a bit.
 */
#ifndef RNNFAST_GEMM_ONCE
#define RNNFAST_GEMM_ONCE
/* Accumulators that leave registers for a row of B and the broadcasts. */
#if VECTOR_BYTES == 64 || defined(__aarch64__)
#define ACCUMULATORS 24
#elif VECTOR_BYTES == 32
#define ACCUMULATORS 12
#else
#define ACCUMULATORS 8
#endif
#define MAX_ROWS 8
/* Elements of a row of A that are multiplied at once. */
#define MOST_K 512
#define ROWS_OF_TILE(W) (ACCUMULATORS / (W) < MAX_ROWS ? ACCUMULATORS / (W) : MAX_ROWS)
INLINE char *row_at(const struct rows *m, ptrdiff_t r) { return m->each ? m->each[r] : m->base + r * m->stride; }
#endif

#define tile NAME(tile)
#define tile_function NAME(tile_function)
#define finish_tile NAME(finish_tile)
#define multiply_panels NAME(multiply_panels)
#define multiply_all NAME(multiply_all)
#define multiply NAME(multiply)

/* M rows by P neighbouring panels of W vectors. All three are constants where this is inlined. */
INLINE void tile(const struct product *p, ptrdiff_t row, ptrdiff_t panel, const int M, const int W, const int P) {
    const real *a[MAX_ROWS];
    vec sum[MAX_ROWS][9];
    const ptrdiff_t per_repeat = p->depth * p->segments, panel_bytes = per_repeat * p->repeats * p->width * LANE_BYTES;
    const ptrdiff_t skipped = p->only ? p->only - 1 : 0;
    const char *b = p->b + panel * panel_bytes + skipped * per_repeat * W * LANE_BYTES;

#pragma GCC unroll 9
    for (int m = 0; m < M; m++) {
        a[m] = (const real *)(row_at(&p->a, row + m) + skipped * p->repeat_step);
        const char *from = row_at(&p->init, row + m) + panel * p->init_panel;
#pragma GCC unroll 9
        for (int q = 0; q < P; q++)
#pragma GCC unroll 4
            for (int w = 0; w < W; w++) sum[m][q * W + w] = vload((const real *)(from + q * p->init_panel) + w * LANES);
    }
    const ptrdiff_t depth = p->depth, runs = p->segments * (p->only ? 1 : p->repeats), back = p->repeat_step - p->segments * p->segment_step;
    for (ptrdiff_t run = runs, left = p->segments; run > 0; run--) {
        for (ptrdiff_t k = 0; k < depth; k++) {
            if (M <= W && P == 1) {
                vec s[MAX_ROWS];
#pragma GCC unroll 9
                for (int m = 0; m < M; m++) s[m] = vset(a[m][k]);
#pragma GCC unroll 4
                for (int w = 0; w < W; w++) {
                    vec column = vload((const real *)b + w * LANES);
#pragma GCC unroll 9
                    for (int m = 0; m < M; m++) sum[m][w] = vfma(s[m], column, sum[m][w]);
                }
            } else {
                vec column[9];
#pragma GCC unroll 9
                for (int q = 0; q < P; q++)
#pragma GCC unroll 4
                    for (int w = 0; w < W; w++)
                        column[q * W + w] = vload((const real *)(b + q * panel_bytes) + w * LANES);
#pragma GCC unroll 9
                for (int m = 0; m < M; m++) {
                    vec s = vset(a[m][k]);
#pragma GCC unroll 9
                    for (int j = 0; j < P * W; j++) sum[m][j] = vfma(s, column[j], sum[m][j]);
                }
            }
            b += W * LANE_BYTES;
        }
#pragma GCC unroll 9
        for (int m = 0; m < M; m++) a[m] = (const real *)((const char *)a[m] + p->segment_step);
        if (--left == 0) {
            left = p->segments;
#pragma GCC unroll 9
            for (int m = 0; m < M; m++) a[m] = (const real *)((const char *)a[m] + back);
        }
    }
#pragma GCC unroll 9
    for (int m = 0; m < M; m++) {
        char *to = row_at(&p->c, row + m) + panel * p->c_panel;
#pragma GCC unroll 9
        for (int q = 0; q < P; q++)
#pragma GCC unroll 4
            for (int w = 0; w < W; w++) {
                real *c = (real *)(to + q * p->c_panel) + w * LANES;
                vstore(c, p->add ? vload(c) + sum[m][q * W + w] : sum[m][q * W + w]);
            }
    }
}

typedef void (*tile_function)(const struct product *, ptrdiff_t row, ptrdiff_t panel);
#define TILE(M, W, P) NAME(tile_##M##_##W##_##P)
#define DEFINE_TILE(M, W, P) \
    static void TILE(M, W, P)(const struct product *p, ptrdiff_t row, ptrdiff_t panel) { tile(p, row, panel, M, W, P); }
DEFINE_TILE(1, 1, 1) DEFINE_TILE(2, 1, 1) DEFINE_TILE(3, 1, 1) DEFINE_TILE(4, 1, 1) DEFINE_TILE(5, 1, 1) DEFINE_TILE(6, 1, 1)
DEFINE_TILE(7, 1, 1) DEFINE_TILE(8, 1, 1)
DEFINE_TILE(1, 2, 1) DEFINE_TILE(2, 2, 1) DEFINE_TILE(3, 2, 1) DEFINE_TILE(4, 2, 1)
DEFINE_TILE(1, 3, 1) DEFINE_TILE(2, 3, 1) DEFINE_TILE(1, 4, 1) DEFINE_TILE(2, 4, 1)
/* One or two rows alone leave the multipliers waiting for each other: take several panels at once. */
DEFINE_TILE(1, 2, 4) DEFINE_TILE(1, 3, 3) DEFINE_TILE(1, 4, 2)
#if ACCUMULATORS >= 12
DEFINE_TILE(5, 2, 1) DEFINE_TILE(6, 2, 1) DEFINE_TILE(3, 3, 1) DEFINE_TILE(4, 3, 1) DEFINE_TILE(3, 4, 1)
#endif
#if ACCUMULATORS >= 24
DEFINE_TILE(7, 2, 1) DEFINE_TILE(8, 2, 1) DEFINE_TILE(5, 3, 1) DEFINE_TILE(6, 3, 1) DEFINE_TILE(7, 3, 1) DEFINE_TILE(8, 3, 1)
DEFINE_TILE(4, 4, 1) DEFINE_TILE(5, 4, 1) DEFINE_TILE(6, 4, 1)
#endif

#define tiles NAME(tiles)
static const tile_function tiles[PLAIN_WIDTH + 1][MAX_ROWS + 1] = {
    [1] = {0, TILE(1, 1, 1), TILE(2, 1, 1), TILE(3, 1, 1), TILE(4, 1, 1), TILE(5, 1, 1), TILE(6, 1, 1), TILE(7, 1, 1), TILE(8, 1, 1)},
#if ACCUMULATORS == 8
    [2] = {0, TILE(1, 2, 1), TILE(2, 2, 1), TILE(3, 2, 1), TILE(4, 2, 1)},
    [3] = {0, TILE(1, 3, 1), TILE(2, 3, 1)},
    [4] = {0, TILE(1, 4, 1), TILE(2, 4, 1)},
#elif ACCUMULATORS == 12
    [2] = {0, TILE(1, 2, 1), TILE(2, 2, 1), TILE(3, 2, 1), TILE(4, 2, 1), TILE(5, 2, 1), TILE(6, 2, 1)},
    [3] = {0, TILE(1, 3, 1), TILE(2, 3, 1), TILE(3, 3, 1), TILE(4, 3, 1)},
    [4] = {0, TILE(1, 4, 1), TILE(2, 4, 1), TILE(3, 4, 1)},
#else
    [2] = {0, TILE(1, 2, 1), TILE(2, 2, 1), TILE(3, 2, 1), TILE(4, 2, 1), TILE(5, 2, 1), TILE(6, 2, 1), TILE(7, 2, 1), TILE(8, 2, 1)},
    [3] = {0, TILE(1, 3, 1), TILE(2, 3, 1), TILE(3, 3, 1), TILE(4, 3, 1), TILE(5, 3, 1), TILE(6, 3, 1), TILE(7, 3, 1), TILE(8, 3, 1)},
    [4] = {0, TILE(1, 4, 1), TILE(2, 4, 1), TILE(3, 4, 1), TILE(4, 4, 1), TILE(5, 4, 1), TILE(6, 4, 1)},
#endif
};

INLINE void finish_tile(const struct product *p, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t panel, ptrdiff_t panels, int width) {
    if (!p->finish) return;
    /* A panel covers one vector of units where it holds gates, and as many as it is wide where it does not. */
    ptrdiff_t each = p->gated ? 1 : p->width;
    p->finish(p->step, row, rows, panel * each, p->gated ? panels : (panels - 1) * p->width + width);
}

/* The panels [first, last), all `width` wide, times every row. */
INLINE void multiply_panels(const struct product *p, ptrdiff_t first, ptrdiff_t last, int width) {
    const int most = ROWS_OF_TILE(width);
    if (p->count == 1) {
        const int group = width == 2 ? 4 : width == 3 ? 3 : width == 4 ? 2 : 1;
        const tile_function several = width == 2 ? TILE(1, 2, 4) : width == 3 ? TILE(1, 3, 3) : TILE(1, 4, 2);
        const ptrdiff_t groups = group > 1 ? (last - first) / group : 0, tasks = groups + (last - first - groups * group);
        for (ptrdiff_t j = 0; j < tasks; j++) {
            const ptrdiff_t task = p->descending ? tasks - 1 - j : j;
            if (task < groups) {
                several(p, 0, first + task * group);
                finish_tile(p, 0, 1, first + task * group, group, width);
            } else {
                const ptrdiff_t panel = first + groups * (group - 1) + task;
                tiles[width][1](p, 0, panel);
                finish_tile(p, 0, 1, panel, 1, width);
            }
        }
        return;
    }
    /* Blocks of rows as equal as they can be: a last block of one row would cost as much as a full one. */
    const ptrdiff_t blocks = (p->count + most - 1) / most, less = p->count / blocks, more = p->count % blocks;
    for (ptrdiff_t j = first; j < last; j++) {
        ptrdiff_t panel = p->descending ? first + last - 1 - j : j, row = 0;
        for (ptrdiff_t block = 0; block < blocks; block++) {
            ptrdiff_t rows = less + (block < more);
            tiles[width][rows](p, row, panel);
            finish_tile(p, row, rows, panel, 1, width);
            row += rows;
        }
    }
}

INLINE void multiply_all(const struct product *p) {
    ptrdiff_t full = p->vectors / p->width;
    int rest = (int)(p->vectors % p->width);
    multiply_panels(p, 0, full, p->width);
    if (rest) multiply_panels(p, full, full + 1, rest);
}

static void multiply(const struct product *p) {
    if (p->count <= 0) return;
    if (p->repeats == 1 || p->add || p->depth * p->segments * p->repeats <= MOST_K) {
        multiply_all(p);
        return;
    }
    /* The rows of A would push each other out of the second cache: C waits in memory for the next repeat. */
    struct product part = *p;
    for (part.only = 1; part.only <= p->repeats; part.only++) {
        part.finish = part.only == p->repeats ? p->finish : 0;
        multiply_all(&part);
        part.init = p->c;
        part.init_panel = p->c_panel;
    }
}
