/* Packing, transposing, and copying between a user's rows and the core's rows of whole vectors. */
#define load_some NAME(load_some)
#define store_some NAME(store_some)
#define pack_columns NAME(pack_columns)
#define pack_rows NAME(pack_rows)
#define transpose NAME(transpose)
#define store_rows NAME(store_rows)
#define load_rows NAME(load_rows)
#define add_rows NAME(add_rows)
#define fill_slot NAME(fill_slot)
#define scale_rows NAME(scale_rows)

/* The first `count` elements of a vector, the others `rest`. */
INLINE vec load_some(const real *p, ptrdiff_t count, real rest) {
    vec v = vset(rest);
    memcpy(&v, p, (size_t)count * sizeof(real));
    return v;
}
INLINE void store_some(real *p, vec v, ptrdiff_t count) { memcpy(p, &v, (size_t)(count < LANES ? count : LANES) * sizeof(real)); }

static void pack_columns(char *panels, const struct rows *rows, ptrdiff_t count, ptrdiff_t depth, ptrdiff_t vectors, int width) {
    static const real zeros[LANES];
    real *to = (real *)panels;
    for (ptrdiff_t first = 0; first < vectors; first += width) {
        const ptrdiff_t wide = vectors - first < width ? vectors - first : width;
        for (ptrdiff_t w = 0; w < wide; w++) {
            const real *from[LANES];
            ptrdiff_t advance[LANES];
            for (int lane = 0; lane < LANES; lane++) {
                const ptrdiff_t n = (first + w) * LANES + lane;
                const char *row = n < count ? row_at(rows, n) : 0;
                from[lane] = row ? (const real *)row : zeros;
                advance[lane] = row ? LANES : 0;
            }
            for (ptrdiff_t k = 0; k < depth; k += LANES) {
                vec block[LANES];
#pragma GCC unroll 16
                for (int lane = 0; lane < LANES; lane++) {
                    block[lane] = k + LANES <= depth ? vload(from[lane]) : load_some(from[lane], depth - k, 0);
                    from[lane] += advance[lane];
                }
                vtranspose(block);
#pragma GCC unroll 16
                for (int j = 0; j < LANES; j++)
                    if (k + j < depth) vstore(to + ((k + j) * wide + w) * LANES, block[j]);
            }
        }
        to += depth * wide * LANES;
    }
}

static void pack_rows(char *panels, const struct rows *rows, ptrdiff_t element_stride, ptrdiff_t depth, ptrdiff_t columns) {
    real *to = (real *)panels;
    for (ptrdiff_t first = 0; first < columns; first += PLAIN_WIDTH * LANES) {
        ptrdiff_t here = columns - first < PLAIN_WIDTH * LANES ? columns - first : PLAIN_WIDTH * LANES;
        ptrdiff_t padded = (here + LANES - 1) / LANES * LANES;
        for (ptrdiff_t k = 0; k < depth; k++, to += padded) {
            const char *row = row_at(rows, k), *from = row + first * element_stride;
            if (!row || here < padded) memset(to, 0, padded * sizeof(real));
            if (!row) continue;
            if (element_stride != sizeof(real))
                for (ptrdiff_t n = 0; n < here; n++) memcpy(to + n, from + n * element_stride, sizeof(real));
            else if (here == PLAIN_WIDTH * LANES)
#pragma GCC unroll 4
                for (int w = 0; w < PLAIN_WIDTH; w++) vstore(to + w * LANES, vload((const real *)from + w * LANES));
            else
                memcpy(to, from, here * sizeof(real));
        }
    }
}

static void transpose(char *target, ptrdiff_t target_stride, const struct rows *rows, ptrdiff_t depth, ptrdiff_t columns,
                      char *sums) {
    for (ptrdiff_t n = 0; n < columns; n += LANES) {
        vec sum = {};
        for (ptrdiff_t k = 0; k < depth; k += LANES) {
            const int here = depth - k < LANES ? (int)(depth - k) : LANES;
            vec block[LANES];
#pragma GCC unroll 16
            for (int j = 0; j < LANES; j++) {
                block[j] = j < here ? vload((const real *)row_at(rows, k + j) + n) : (vec){};
                sum += block[j];
            }
            vtranspose(block);
            real *to = (real *)(target + n * target_stride) + k;
#pragma GCC unroll 16
            for (int lane = 0; lane < LANES; lane++) {
                if (here == LANES)
                    vstore(to, block[lane]);
                else
                    store_some(to, block[lane], here);
                to = (real *)((char *)to + target_stride);
            }
        }
        if (sums) vstore((real *)sums + n, vload((real *)sums + n) + sum);
    }
}

/* A user's elements may lie at any address: memcpy, which compiles to a plain load or store. */
static void store_rows(const struct rows *to, ptrdiff_t element_stride, const struct rows *from, ptrdiff_t count, ptrdiff_t columns) {
    for (ptrdiff_t r = 0; r < count; r++) {
        char *target = row_at(to, r);
        const char *source = row_at(from, r);
        if (element_stride == sizeof(real))
            memcpy(target, source, columns * sizeof(real));
        else
            for (ptrdiff_t n = 0; n < columns; n++) memcpy(target + n * element_stride, source + n * sizeof(real), sizeof(real));
    }
}

static void load_rows(const struct rows *to, const struct rows *from, ptrdiff_t element_stride, ptrdiff_t count, ptrdiff_t columns) {
    const ptrdiff_t padded = (columns + LANES - 1) / LANES * LANES;
    for (ptrdiff_t r = 0; r < count; r++) {
        real *target = (real *)row_at(to, r);
        const char *source = row_at(from, r);
        if (element_stride == sizeof(real))
            memcpy(target, source, columns * sizeof(real));
        else
            for (ptrdiff_t n = 0; n < columns; n++) memcpy(target + n, source + n * element_stride, sizeof(real));
        for (ptrdiff_t n = columns; n < padded; n++) target[n] = 0;
    }
}

static void add_rows(const struct rows *to, const struct rows *from, ptrdiff_t element_stride, ptrdiff_t count, ptrdiff_t columns) {
    for (ptrdiff_t r = 0; r < count; r++) {
        real *target = (real *)row_at(to, r);
        const char *source = row_at(from, r);
        ptrdiff_t n = 0;
        if (element_stride == sizeof(real))
            for (; n + LANES <= columns; n += LANES)
                vstore(target + n, vload(target + n) + vload((const real *)source + n));
        for (; n < columns; n++) {
            real value;
            memcpy(&value, source + n * element_stride, sizeof(real));
            target[n] += value;
        }
    }
}

static void fill_slot(const struct rows *to, ptrdiff_t count, ptrdiff_t vectors, int slots, int slot, const char *from) {
    for (ptrdiff_t r = 0; r < count; r++) {
        real *target = (real *)row_at(to, r);
        for (ptrdiff_t v = 0; v < vectors; v++)
            vstore(target + (v * slots + slot) * LANES, vload((const real *)from + (v * slots + slot) * LANES));
    }
}

static void scale_rows(const struct rows *to, const struct rows *from, const struct rows *by, int add, ptrdiff_t count, ptrdiff_t vectors) {
    for (ptrdiff_t r = 0; r < count; r++) {
        real *target = (real *)row_at(to, r);
        const real *source = (real *)row_at(from, r), *factor = (real *)row_at(by, r);
        for (ptrdiff_t k = 0; k < vectors * LANES; k += LANES) {
            vec scaled = vload(source + k) * vload(factor + k);
            vstore(target + k, add ? vload(target + k) + scaled : scaled);
        }
    }
}
