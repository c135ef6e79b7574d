/* The rates that registers and caches alone allow: what every speed is a fraction of. */

/* `rounds` multiply-adds in each of FMA_CHAINS independent chains: enough chains to hide the latency of two units, and
 * few enough for the sixteen registers of AVX2. The operands are volatile, so that no compiler knows them or finds two
 * chains equal; the values tend to one, so that none is denormal. Returns the sum of all, for which all are needed. */
static double NAME(fma_chains)(ptrdiff_t rounds) {
    static const volatile real half = (real)0.5;
    const vec factor = vset(half), term = vset(half);
    vec chain[FMA_CHAINS];
    for (int j = 0; j < FMA_CHAINS; j++) chain[j] = vset(half);
    for (ptrdiff_t i = 0; i < rounds; i++)
        _Pragma("GCC unroll 16")
        for (int j = 0; j < FMA_CHAINS; j++) chain[j] = vfma(factor, chain[j], term);
    double sum = 0;
    for (int j = 0; j < FMA_CHAINS; j++)
        for (int k = 0; k < LANES; k++) sum += (double)chain[j][k];
    return sum;
}

/* Reads READ_LINES vectors after each other, `count` times, from where whole vectors lie. Returns the sum of all. */
static double NAME(read_vectors)(const void *start, ptrdiff_t count) {
    const real *at = start;
    vec sums[READ_LINES] = {};
    for (ptrdiff_t i = 0; i < count; i++, at += READ_LINES * LANES)
        _Pragma("GCC unroll 16")
        for (int j = 0; j < READ_LINES; j++) sums[j] += vload(at + j * LANES);
    double sum = 0;
    for (int j = 0; j < READ_LINES; j++)
        for (int k = 0; k < LANES; k++) sum += (double)sums[j][k];
    return sum;
}
