/* LSTM with peepholes (Gers and Schmidhuber 2000), input and forget gates coupled (f = 1 - i; Greff et al. 2017, "CIFG"), clips,
 * other activations, the cell state normalised (Ba et al. 2016), zoneout. Slots i f g o; coupled i g o. With a projection
 * (Sak et al. 2014) the result goes to `between`, and the next phase makes h of it.
 * The new c waits in the place of the result until its zoneout and activation have been made of it. */
INLINE void NAME(lstm_row)(const struct step *s, ptrdiff_t r, ptrdiff_t vectors, const int coupled) {
    const struct options *with = s->with;
    const ptrdiff_t stride = (coupled ? 3 : 4) * LANES;
    real *i = AT(s->gates[0], r, 0), *f = coupled ? 0 : i + LANES, *g = i + stride - 2 * LANES, *o = g + LANES;
    real *before = AT(s->c_before, r, 0), *c = AT(s->c, r, 0), *result = AT(s->result, r, 0);
    const real *see_i = (const real *)with->peephole[0], *see_f = (const real *)with->peephole[1], *see_o = (const real *)with->peephole[2];
    if (see_i) multiply_add(i, stride, see_i, before, vectors);
    fire(s, r, 0, &with->gate, i, stride, vectors);
    if (!coupled) {
        if (see_f) multiply_add(f, stride, see_f, before, vectors);
        fire(s, r, 0, &with->gate, f, stride, vectors);
    }
    fire(s, r, 0, &with->candidate, g, stride, vectors);
    for (ptrdiff_t v = 0; v < vectors; v++) {
        vec in = vload(i + v * stride), keep = coupled ? 1 - in : vload(f + v * stride);
        vstore(result + v * LANES, vfma(keep, vload(before + v * LANES), in * vload(g + v * stride)));
    }
    clip_row(with->cell_clip, result, LANES, vectors);
    if (see_o) multiply_add(o, stride, see_o, result, vectors);
    fire(s, r, 0, &with->gate, o, stride, vectors);
    if (s->zone_c.base) {
        const real *zone = (real *)row_at(&s->zone_c, r);
        FOR_EACH_UNIT {
            vec share = vload(zone + k);
            vstore(c + k, vfma(share, vload(before + k), (1 - share) * vload(result + k)));
        }
    } else {
        memcpy(c, result, (size_t)(vectors * LANE_BYTES));
    }
    if (with->norm_c) {
        normalise_row(result, with->units, vectors, 1, 0, 1);
        FOR_EACH_UNIT vstore(result + k, vfma(vload((const real *)with->norm_c + k), vload(result + k), vload((const real *)with->bias_c + k)));
    }
    activate(&with->output, result, LANES, vectors);
    for (ptrdiff_t v = 0; v < vectors; v++) vstore(result + v * LANES, vload(o + v * stride) * vload(result + v * LANES));
    if (!with->projected) zone_row(&s->zone_h, r, AT(s->h_before, r, 0), result, vectors);
}
OPTION_FUNCTION(lstm_options) {
    FOR_EACH_ROW(r) NAME(lstm_row)(s, r, vectors, 0);
}
OPTION_FUNCTION(lstm_coupled) {
    FOR_EACH_ROW(r) NAME(lstm_row)(s, r, vectors, 1);
}

INLINE void NAME(lstm_row_back)(const struct step *s, ptrdiff_t r, ptrdiff_t vectors, const int coupled) {
    const struct options *with = s->with;
    const ptrdiff_t stride = (coupled ? 3 : 4) * LANES;
    real *i = AT(s->gates[0], r, 0), *f = coupled ? 0 : i + LANES, *g = i + stride - 2 * LANES, *o = g + LANES;
    const real *before = AT(s->c_before, r, 0);
    real *carry = AT(s->dc, r, 0), *sums = s->sums.base ? AT(s->sums, r, 0) : 0;
    const real *see_i = (const real *)with->peephole[0], *see_f = (const real *)with->peephole[1], *see_o = (const real *)with->peephole[2];
    real *d = UNITS(0), *new = UNITS(1), *normal = UNITS(2), *out = UNITS(3), *dc = UNITS(4), *di = UNITS(5), *df = UNITS(6), *dg = UNITS(7);

    memcpy(d, AT(s->d_result, r, 0), (size_t)(vectors * LANE_BYTES));
    if (!with->projected) zone_row_back(&s->zone_h, r, d, AT(s->dh, r, 0), vectors);
    for (ptrdiff_t v = 0; v < vectors; v++) {
        vec in = vload(i + v * stride), keep = coupled ? 1 - in : vload(f + v * stride);
        vstore(new + v * LANES, vfma(keep, vload(before + v * LANES), in * vload(g + v * stride)));
    }
    clip_row(with->cell_clip, new, LANES, vectors);
    memcpy(out, new, (size_t)(vectors * LANE_BYTES));
    real scale = 1;
    if (with->norm_c) {
        memcpy(normal, new, (size_t)(vectors * LANE_BYTES));
        scale = normalise_row(normal, with->units, vectors, 1, 0, 1);
        FOR_EACH_UNIT vstore(out + k, vfma(vload((const real *)with->norm_c + k), vload(normal + k), vload((const real *)with->bias_c + k)));
    }
    activate(&with->output, out, LANES, vectors);
    /* dc: here what comes through h; di: the gradient of o. */
    for (ptrdiff_t v = 0; v < vectors; v++) {
        vec dh = vload(d + v * LANES);
        vstore(dc + v * LANES, dh * vload(o + v * stride));
        vstore(di + v * LANES, dh * vload(out + v * LANES));
    }
    differentiate(&with->output, 0, out, LANES, dc, vectors);
    differentiate(&with->gate, with->clip, o, stride, di, vectors);
    if (with->norm_c) {
        real *norm_sums = sums + 3 * vectors * LANES, *bias_sums = norm_sums + vectors * LANES;
        FOR_EACH_UNIT {
            vec gradient = vload(out + k);
            vstore(norm_sums + k, vfma(gradient, vload(normal + k), vload(norm_sums + k)));
            vstore(bias_sums + k, vload(bias_sums + k) + gradient);
            vstore(out + k, gradient * vload((const real *)with->norm_c + k));
        }
        normalise_back(normal, out, scale, with->units, vectors, 1, 0, 1);
        memcpy(out, normal, (size_t)(vectors * LANE_BYTES));
    }
    /* The state's gradient divides into that of the old c, which stays in `carry`, and that of the new one. */
    memcpy(dc, carry, (size_t)(vectors * LANE_BYTES));
    zone_row_back(&s->zone_c, r, dc, carry, vectors);
    FOR_EACH_UNIT vstore(dc + k, vload(dc + k) + vload(out + k));
    if (see_o)
        for (ptrdiff_t v = 0; v < vectors; v++) {
            const ptrdiff_t k = v * LANES;
            vec gradient = vload(o + v * stride);
            vstore(dc + k, vfma(gradient, vload(see_o + k), vload(dc + k)));
            vstore(sums + 2 * vectors * LANES + k, vfma(gradient, vload(new + k), vload(sums + 2 * vectors * LANES + k)));
        }
    if (with->cell_clip) {
        const vec most = vset((real)with->cell_clip);
        FOR_EACH_UNIT vstore(dc + k, vselect(vabs(vload(new + k)) >= most, (vec){}, vload(dc + k)));
    }
    for (ptrdiff_t v = 0; v < vectors; v++) {
        const ptrdiff_t k = v * LANES;
        vec gradient = vload(dc + k), in = vload(i + v * stride), candidate = vload(g + v * stride), old = vload(before + k);
        vec keep = coupled ? 1 - in : vload(f + v * stride);
        vstore(di + k, gradient * (coupled ? candidate - old : candidate));
        if (!coupled) vstore(df + k, gradient * old);
        vstore(dg + k, gradient * in);
        vstore(carry + k, vfma(gradient, keep, vload(carry + k)));
    }
    differentiate(&with->gate, with->clip, i, stride, di, vectors);
    if (!coupled) differentiate(&with->gate, with->clip, f, stride, df, vectors);
    differentiate(&with->candidate, with->clip, g, stride, dg, vectors);
    for (int gate = 0; gate < (coupled ? 1 : 2); gate++) {
        const real *see = gate ? see_f : see_i, *gradients = gate ? f : i;
        if (!see) continue;
        for (ptrdiff_t v = 0; v < vectors; v++) {
            const ptrdiff_t k = v * LANES;
            vec gradient = vload(gradients + v * stride);
            vstore(carry + k, vfma(gradient, vload(see + k), vload(carry + k)));
            vstore(sums + gate * vectors * LANES + k, vfma(gradient, vload(before + k), vload(sums + gate * vectors * LANES + k)));
        }
    }
}
OPTION_FUNCTION(lstm_options_backward) {
    FOR_EACH_ROW(r) NAME(lstm_row_back)(s, r, vectors, 0);
}
OPTION_FUNCTION(lstm_coupled_backward) {
    FOR_EACH_ROW(r) NAME(lstm_row_back)(s, r, vectors, 1);
}

/* h = P (o f(c)): the product lies in the gate of this phase, whose `vectors` are those of h. */
OPTION_FUNCTION(projection) {
    FOR_EACH_ROW(r) {
        real *h = AT(s->h, r, 0);
        memcpy(h, AT(s->gates[1], r, 0), (size_t)(vectors * LANE_BYTES));
        zone_row(&s->zone_h, r, AT(s->h_before, r, 0), h, vectors);
    }
}

OPTION_FUNCTION(projection_backward) {
    FOR_EACH_ROW(r) {
        real *d = AT(s->gates[1], r, 0), *dh = AT(s->dh, r, 0);
        memcpy(d, dh, (size_t)(vectors * LANE_BYTES));
        zone_row_back(&s->zone_h, r, d, dh, vectors);
    }
}
