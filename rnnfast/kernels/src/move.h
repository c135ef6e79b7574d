/* Packing, transposing, and copying between a user's rows and the core's rows of whole vectors. */
#define pack NAME(pack)
#define pack_rows NAME(pack_rows)
#define transpose NAME(transpose)
#define store_rows NAME(store_rows)
#define load_rows NAME(load_rows)
#define add_rows NAME(add_rows)
#define fill_slot NAME(fill_slot)

static void pack(char *panels, const char *source, ptrdiff_t depth, const int64_t *offset_k, const int8_t *sign_k,
                 ptrdiff_t vectors, const int64_t *offset_n, const int8_t *sign_n, int width) {
    real *to = (real *)panels;
    const real *from = (const real *)source;
    for (ptrdiff_t first = 0; first < vectors; first += width) {
        ptrdiff_t columns = (vectors - first < width ? vectors - first : width) * LANES;
        const int64_t *offset = offset_n + first * LANES;
        const int8_t *sign = sign_n + first * LANES;
        for (ptrdiff_t k = 0; k < depth; k++, to += columns)
            for (ptrdiff_t n = 0; n < columns; n++)
                to[n] = offset_k[k] < 0 || offset[n] < 0 ? 0 : from[offset_k[k] + offset[n]] * (sign_k[k] * sign[n]);
    }
}

static void pack_rows(char *panels, const struct rows *rows, ptrdiff_t element_stride, ptrdiff_t depth, ptrdiff_t columns) {
    real *to = (real *)panels;
    for (ptrdiff_t first = 0; first < columns; first += PLAIN_WIDTH * LANES) {
        ptrdiff_t here = columns - first < PLAIN_WIDTH * LANES ? columns - first : PLAIN_WIDTH * LANES;
        ptrdiff_t padded = (here + LANES - 1) / LANES * LANES;
        for (ptrdiff_t k = 0; k < depth; k++, to += padded) {
            const char *from = row_at(rows, k) + first * element_stride;
            if (element_stride == sizeof(real))
                memcpy(to, from, here * sizeof(real));
            else
                for (ptrdiff_t n = 0; n < here; n++) memcpy(to + n, from + n * element_stride, sizeof(real));
            for (ptrdiff_t n = here; n < padded; n++) to[n] = 0;
        }
    }
}

static void transpose(char *target, ptrdiff_t target_stride, const struct rows *rows, ptrdiff_t depth, ptrdiff_t columns,
                      char *sums) {
    /* Blocks of 8 by one vector: reads and writes both stay within a few lines. */
    for (ptrdiff_t n = 0; n < columns; n += LANES) {
        vec sum = {};
        for (ptrdiff_t k = 0; k < depth; k += 8) {
            ptrdiff_t here = depth - k < 8 ? depth - k : 8;
            const real *from[8];
            for (ptrdiff_t j = 0; j < here; j++) {
                from[j] = (const real *)row_at(rows, k + j) + n;
                sum += vload(from[j]);
            }
            for (int lane = 0; lane < LANES; lane++) {
                real *to = (real *)(target + (n + lane) * target_stride) + k;
                for (ptrdiff_t j = 0; j < here; j++) to[j] = from[j][lane];
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
