/* RNN with any activation: h' = f(W x + R h + b); IndRNN (Li et al. 2018): h' = f(W x + u h + b), u one number a unit.
 * In training the new value stays in the gate: zoneout makes the state another. */
#define RNN_FORWARD(independent) \
    FOR_EACH_ROW(r) { \
        real *gate = AT(s->gates[0], r, 0), *h = AT(s->h, r, 0); \
        if (independent) multiply_add(gate, LANES, (const real *)s->with->recurrent, AT(s->operand, r, 0), vectors); \
        fire(s, r, 0, &s->with->candidate, gate, LANES, vectors); \
        memcpy(h, gate, (size_t)(vectors * LANE_BYTES)); \
        zone_row(&s->zone_h, r, AT(s->h_before, r, 0), h, vectors); \
    }
OPTION_FUNCTION(rnn_options) { RNN_FORWARD(0) }
OPTION_FUNCTION(indrnn) { RNN_FORWARD(1) }
#undef RNN_FORWARD

OPTION_FUNCTION(rnn_options_backward) {
    FOR_EACH_ROW(r) {
        real *dh = AT(s->dh, r, 0), *d = UNITS(0);
        memcpy(d, dh, (size_t)(vectors * LANE_BYTES));
        zone_row_back(&s->zone_h, r, d, dh, vectors);
        differentiate(&s->with->candidate, s->with->clip, AT(s->gates[0], r, 0), LANES, d, vectors);
    }
}

OPTION_FUNCTION(indrnn_backward) {
    NAME(rnn_options_backward)(s, row, rows, vector, vectors);
    FOR_EACH_ROW(r) {
        const real *d = AT(s->gates[0], r, 0), *mask = s->mask.base ? AT(s->mask, r, 0) : 0;
        real *dh = AT(s->dh, r, 0);
        multiply_add(AT(s->sums, r, 0), LANES, d, AT(s->operand, r, 0), vectors);
        FOR_EACH_UNIT {
            vec share = vload(d + k) * vload((const real *)s->with->recurrent + k);
            vstore(dh + k, vload(dh + k) + (mask ? share * vload(mask + k) : share));
        }
    }
}
