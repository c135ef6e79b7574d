/* GRU with other activations, a clip and zoneout, and the minimal gated unit (Zhou et al. 2016), whose one gate f stands for
 * both: n = tanh(W x + R (f h) + b), h' = (1 - f) h + f n. Slots as in gru.h. */
#define GRU_END(update_expression) \
    FOR_EACH_UNIT { \
        vec candidate = vload(n + k * (N_STRIDE / LANES)), update = vload(z + k * (Z_STRIDE / LANES)), before = vload(h_before + k); \
        vstore(h + k, update_expression); \
    } \
    zone_row(&s->zone_h, r, h_before, h, vectors)
#define KEEP vfma(update, before - candidate, candidate)
#define RENEW vfma(update, candidate - before, before)

OPTION_FUNCTION(gru_after_options) {
    enum { N_STRIDE = 4 * LANES, Z_STRIDE = 4 * LANES };
    FOR_EACH_ROW(r) {
        real *n = AT(s->gates[0], r, 0), *reset = n + LANES, *z = n + 2 * LANES, *m = n + 3 * LANES;
        real *h_before = AT(s->h_before, r, 0), *h = AT(s->h, r, 0);
        fire(s, r, 0, &s->with->gate, reset, N_STRIDE, vectors);
        fire(s, r, 0, &s->with->gate, z, N_STRIDE, vectors);
        for (ptrdiff_t k = 0; k < vectors * N_STRIDE; k += N_STRIDE)
            vstore(n + k, vfma(vload(reset + k), vload(m + k), vload(n + k)));
        fire(s, r, 0, &s->with->candidate, n, N_STRIDE, vectors);
        GRU_END(KEEP);
    }
}

OPTION_FUNCTION(gru_after_options_backward) {
    const ptrdiff_t stride = 4 * LANES;
    FOR_EACH_ROW(r) {
        real *n = AT(s->gates[0], r, 0), *reset = n + LANES, *z = n + 2 * LANES, *m = n + 3 * LANES, *carry = AT(s->dh, r, 0);
        const real *h_before = AT(s->h_before, r, 0);
        real *d = UNITS(0), *dn = UNITS(1), *dz = UNITS(2);
        memcpy(d, carry, (size_t)(vectors * LANE_BYTES));
        zone_row_back(&s->zone_h, r, d, carry, vectors);
        for (ptrdiff_t v = 0; v < vectors; v++) {
            const ptrdiff_t k = v * LANES;
            vec dh = vload(d + k), update = vload(z + v * stride);
            vstore(dn + k, dh * (1 - update));
            vstore(dz + k, dh * (vload(h_before + k) - vload(n + v * stride)));
            vstore(carry + k, vfma(dh, update, vload(carry + k)));
        }
        differentiate(&s->with->candidate, s->with->clip, n, stride, dn, vectors);
        differentiate(&s->with->gate, s->with->clip, z, stride, dz, vectors);
        for (ptrdiff_t v = 0; v < vectors; v++) {
            vec gradient = vload(n + v * stride), gate = vload(reset + v * stride);
            vstore(d + v * LANES, gradient * vload(m + v * stride));
            vstore(m + v * stride, gradient * gate);
        }
        differentiate(&s->with->gate, s->with->clip, reset, stride, d, vectors);
    }
}

OPTION_FUNCTION(gru_before_gates_options) {
    FOR_EACH_ROW(r) {
        real *reset = AT(s->gates[0], r, 0), *between = AT(s->between, r, 0), *operand = AT(s->operand, r, 0);
        for (int slot = 0; slot < 2; slot++) {
            fire(s, r, 0, &s->with->gate, SLOT(reset, slot), 2 * LANES, vectors);
        }
        FOR_EACH_UNIT vstore(between + k, vload(reset + 2 * k) * vload(operand + k));
    }
}

OPTION_FUNCTION(gru_before_candidate_options) {
    enum { N_STRIDE = LANES, Z_STRIDE = 2 * LANES };
    FOR_EACH_ROW(r) {
        real *n = AT(s->gates[1], r, 0), *z = SLOT(AT(s->gates[0], r, 0), 1);
        real *h_before = AT(s->h_before, r, 0), *h = AT(s->h, r, 0);
        fire(s, r, 1, &s->with->candidate, n, LANES, vectors);
        GRU_END(KEEP);
    }
}

OPTION_FUNCTION(mgu_gate) {
    FOR_EACH_ROW(r) {
        real *gate = AT(s->gates[0], r, 0), *between = AT(s->between, r, 0), *operand = AT(s->operand, r, 0);
        fire(s, r, 0, &s->with->gate, gate, 2 * LANES, vectors);
        FOR_EACH_UNIT vstore(between + k, vload(gate + 2 * k) * vload(operand + k));
    }
}

OPTION_FUNCTION(mgu_candidate) {
    enum { N_STRIDE = LANES, Z_STRIDE = 2 * LANES };
    FOR_EACH_ROW(r) {
        real *n = AT(s->gates[1], r, 0), *z = AT(s->gates[0], r, 0);
        real *h_before = AT(s->h_before, r, 0), *h = AT(s->h, r, 0);
        fire(s, r, 1, &s->with->candidate, n, LANES, vectors);
        GRU_END(RENEW);
    }
}
#undef GRU_END
#undef KEEP
#undef RENEW

/* The candidate's gradient, the update gate's (the minimal unit's waits in the spare slot), the old state's share. */
INLINE void NAME(candidate_back)(const struct step *s, ptrdiff_t r, ptrdiff_t vectors, const int minimal) {
    real *n = AT(s->gates[1], r, 0), *first = AT(s->gates[0], r, 0), *z = SLOT(first, 1), *carry = AT(s->dh, r, 0);
    const real *h_before = AT(s->h_before, r, 0);
    real *d = UNITS(0), *dn = UNITS(1), *dz = UNITS(2);
    memcpy(d, carry, (size_t)(vectors * LANE_BYTES));
    zone_row_back(&s->zone_h, r, d, carry, vectors);
    FOR_EACH_UNIT {
        vec dh = vload(d + k), update = minimal ? 1 - vload(first + 2 * k) : vload(z + 2 * k), difference = vload(h_before + k) - vload(n + k);
        vstore(dn + k, dh * (1 - update));
        vstore(dz + k, minimal ? -dh * difference : dh * difference);
        vstore(carry + k, vfma(dh, update, vload(carry + k)));
    }
    differentiate(&s->with->candidate, s->with->clip, n, LANES, dn, vectors);
    if (minimal)
        FOR_EACH_UNIT vstore(z + 2 * k, vload(dz + k));
    else
        differentiate(&s->with->gate, s->with->clip, z, 2 * LANES, dz, vectors);
}
OPTION_FUNCTION(gru_before_candidate_options_backward) {
    FOR_EACH_ROW(r) NAME(candidate_back)(s, r, vectors, 0);
}
OPTION_FUNCTION(mgu_candidate_backward) {
    FOR_EACH_ROW(r) NAME(candidate_back)(s, r, vectors, 1);
}

/* Then, with the gradient of the candidate's operand in `between`: the gate's, and the share of h in the operand. */
INLINE void NAME(gates_back)(const struct step *s, ptrdiff_t r, ptrdiff_t vectors, const int minimal) {
    real *gate = AT(s->gates[0], r, 0), *spare = SLOT(gate, 1), *carry = AT(s->dh, r, 0), *d = UNITS(0);
    const real *between = AT(s->between, r, 0), *operand = AT(s->operand, r, 0), *mask = s->mask.base ? AT(s->mask, r, 0) : 0;
    FOR_EACH_UNIT {
        vec gradient = vload(between + k), share = gradient * vload(gate + 2 * k);
        vec of_gate = gradient * vload(operand + k);
        vstore(d + k, minimal ? of_gate + vload(spare + 2 * k) : of_gate);
        vstore(carry + k, vload(carry + k) + (mask ? share * vload(mask + k) : share));
        if (minimal) vstore(spare + 2 * k, (vec){});
    }
    differentiate(&s->with->gate, s->with->clip, gate, 2 * LANES, d, vectors);
}
OPTION_FUNCTION(gru_before_gates_options_backward) {
    FOR_EACH_ROW(r) NAME(gates_back)(s, r, vectors, 0);
}
OPTION_FUNCTION(mgu_gate_backward) {
    FOR_EACH_ROW(r) NAME(gates_back)(s, r, vectors, 1);
}
