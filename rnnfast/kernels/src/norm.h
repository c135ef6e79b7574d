/* Layer normalization (Ba, Kiros and Hinton 2016) of rows of gates or states: x^ = (x - mean) / sqrt(variance + eps).
 *
 * A row holds, for each vector of units, `slots` vectors; a norm runs over `number` of them from `first`, and over the
 * `units` alone, not over the lanes beyond them. Sums run in WIDE chains, unit u in chain u % WIDE, which a fixed tree adds
 * up: the vectors' width changes no bit.
 */
#define WIDE ((int)(64 / sizeof(real)))
#define CHAINS (WIDE / LANES)
#define live_lanes NAME(live_lanes)
#define add_chains NAME(add_chains)
#define normalise_row NAME(normalise_row)
#define normalise_back NAME(normalise_back)
#define normalise NAME(normalise)
#define join_norms NAME(join_norms)
#define split_norms NAME(split_norms)

/* True in the lanes of the last vector that hold units: whatever lies beyond, an infinity too, counts for nothing. */
INLINE ivec live_lanes(ptrdiff_t units, ptrdiff_t vectors) {
    ivec live = {};
    for (ptrdiff_t k = 0; k < units - (vectors - 1) * LANES; k++) live[k] = -1;
    return live;
}
#define LIVE(x) (v == vectors - 1 ? vselect(live, x, (vec){}) : (x))

INLINE real add_chains(const vec *chains) {
    real lines[WIDE];
    for (int j = 0; j < CHAINS; j++) vstore(lines + j * LANES, chains[j]);
    for (int half = WIDE / 2; half; half /= 2)
        for (int j = 0; j < half; j++) lines[j] += lines[j + half];
    return lines[0];
}

/* In place; returns 1 / sqrt(variance + eps). */
static real normalise_row(real *row, ptrdiff_t units, ptrdiff_t vectors, int slots, int first, int number) {
    const ivec live = live_lanes(units, vectors);
    vec sums[CHAINS] = {};
    for (ptrdiff_t v = 0; v < vectors; v++)
        for (int k = first; k < first + number; k++) sums[v % CHAINS] += LIVE(vload(row + (v * slots + k) * LANES));
    const vec mean = vset(add_chains(sums) / (real)(units * number));
    vec squares[CHAINS] = {};
    for (ptrdiff_t v = 0; v < vectors; v++)
        for (int k = first; k < first + number; k++) {
            real *at = row + (v * slots + k) * LANES;
            vec x = LIVE(vload(at) - mean);
            vstore(at, x);
            squares[v % CHAINS] = vfma(x, x, squares[v % CHAINS]);
        }
    const real variance = add_chains(squares) / (real)(units * number) + (real)NORM_EPSILON;
    const real scale = 1 / (sizeof(real) == 4 ? (real)__builtin_sqrtf((float)variance) : (real)__builtin_sqrt((double)variance));
    const vec scales = vset(scale);
    for (ptrdiff_t v = 0; v < vectors; v++)
        for (int k = first; k < first + number; k++) {
            real *at = row + (v * slots + k) * LANES;
            vstore(at, vload(at) * scales);
        }
    return scale;
}

/* row = x^ becomes the gradient of x; d is that of x^. */
static void normalise_back(real *row, const real *d, real scale, ptrdiff_t units, ptrdiff_t vectors, int slots, int first, int number) {
    const ivec live = live_lanes(units, vectors);
    vec sums[CHAINS] = {}, products[CHAINS] = {};
    for (ptrdiff_t v = 0; v < vectors; v++)
        for (int k = first; k < first + number; k++) {
            const ptrdiff_t at = (v * slots + k) * LANES;
            const vec gradient = LIVE(vload(d + at));
            sums[v % CHAINS] += gradient;
            products[v % CHAINS] = vfma(gradient, vload(row + at), products[v % CHAINS]);
        }
    const vec mean = vset(add_chains(sums) / (real)(units * number)), share = vset(add_chains(products) / (real)(units * number));
    const vec scales = vset(scale);
    for (ptrdiff_t v = 0; v < vectors; v++)
        for (int k = first; k < first + number; k++) {
            const ptrdiff_t at = (v * slots + k) * LANES;
            vstore(row + at, LIVE(scales * (vload(d + at) - mean - vload(row + at) * share)));
        }
}

/* The gates' part of each row in place; its scale goes to the first (or, of the recurrent product, second) number of stats. */
static void normalise(const struct rows *gates, const struct rows *stats, int second, ptrdiff_t count, ptrdiff_t units,
                      ptrdiff_t vectors, int slots, int first, int number) {
    for (ptrdiff_t r = 0; r < count; r++)
        ((real *)row_at(stats, r))[second] = normalise_row((real *)row_at(gates, r), units, vectors, slots, first, number);
}

/* Pre-activations of whole rows: norm_ih x^ + norm_hh h^ + bias. */
static void join_norms(const struct step *s, ptrdiff_t count, ptrdiff_t vectors, int slots) {
    const struct options *with = s->with;
    for (ptrdiff_t r = 0; r < count; r++) {
        const real *x = (real *)row_at(&s->x_gates, r), *h = (real *)row_at(&s->h_gates, r);
        const real *norm_ih = (const real *)with->norm_ih, *norm_hh = (const real *)with->norm_hh, *bias = (const real *)with->bias;
        real *to = (real *)row_at(&s->gates[0], r);
        for (ptrdiff_t k = 0; k < vectors * slots * LANES; k += LANES)
            vstore(to + k, vfma(vload(norm_hh + k), vload(h + k), vfma(vload(norm_ih + k), vload(x + k), vload(bias + k))));
    }
}

/* And back: from the gradients of the pre-activations those of W x and R h, where x^ and h^ were; what the norms' own
 * gradients are made of is added to `sums`. */
static void split_norms(const struct step *s, ptrdiff_t count, ptrdiff_t units, ptrdiff_t vectors, const struct phase *phase) {
    const struct options *with = s->with;
    const ptrdiff_t row_vectors = vectors * phase->slots;
    for (ptrdiff_t r = 0; r < count; r++) {
        const real *gates = (real *)row_at(&s->gates[0], r), *stats = (real *)row_at(&s->stats, r);
        real *sums = (real *)(row_at(&s->sums, r) + with->norm_sums), *d = (real *)s->scratch;
        for (int hidden = 0; hidden < 2; hidden++, sums += row_vectors * LANES) {
            real *row = (real *)row_at(hidden ? &s->h_gates : &s->x_gates, r);
            const real *norm = (const real *)(hidden ? with->norm_hh : with->norm_ih);
            for (ptrdiff_t k = 0; k < row_vectors * LANES; k += LANES) {
                vec gradient = vload(gates + k);
                vstore(sums + k, vfma(gradient, vload(row + k), vload(sums + k)));
                vstore(d + k, gradient * vload(norm + k));
            }
            normalise_back(row, d, stats[hidden], units, vectors, phase->slots, hidden ? phase->h_first : phase->x_first,
                           hidden ? phase->h_count : phase->x_count);
        }
    }
}
#undef LIVE
