/* GRU. Reset after the product (as in cuDNN): slots n r z m, where n holds W_n x + b_n, m holds R_n h + b_hn:
 * candidate = tanh(n + r m). One pass; m is kept for backward.
 * Reset before it (Cho et al. 2014): phase 0 has slots r z and leaves r h in `between`; phase 1 is the candidate.
 * Both: h' = (1 - z) n + z h. The other update convention is this one with the sign of z's weights turned. */
GATE_FUNCTION(gru_after) {
    /* Two short loops, as in the LSTM. */
    FOR_EACH_VECTOR(r, v) {
        real *gates = AT(s->gates[0], r, 4 * v);
        vec reset = vsigmoid(vload(SLOT(gates, 1)));
        vstore(SLOT(gates, 0), vfma(reset, vload(SLOT(gates, 3)), vload(SLOT(gates, 0))));
        vstore(SLOT(gates, 2), vsigmoid(vload(SLOT(gates, 2))));
        if (train) vstore(SLOT(gates, 1), reset);
    }
    FOR_EACH_VECTOR(r, v) {
        real *gates = AT(s->gates[0], r, 4 * v);
        vec candidate = vtanh(vload(SLOT(gates, 0))), update = vload(SLOT(gates, 2));
        vstore(AT(s->h, r, v), vfma(update, vload(AT(s->h_before, r, v)) - candidate, candidate));
        if (train) vstore(SLOT(gates, 0), candidate);
    }
}
INFER_AND_TRAIN(gru_after)

BACKWARD_FUNCTION(gru_after_backward) {
    FOR_EACH_VECTOR(r, v) {
        real *gates = AT(s->gates[0], r, 4 * v), *carry = AT(s->dh, r, v);
        vec candidate = vload(SLOT(gates, 0)), reset = vload(SLOT(gates, 1)), update = vload(SLOT(gates, 2));
        vec dh = vload(carry);
        vec d_candidate = dh * (1 - update) * (1 - candidate * candidate);
        vec d_update = dh * (vload(AT(s->h_before, r, v)) - candidate) * (update * (1 - update));
        vec d_reset = d_candidate * vload(SLOT(gates, 3)) * (reset * (1 - reset));
        vstore(SLOT(gates, 0), d_candidate);
        vstore(SLOT(gates, 1), d_reset);
        vstore(SLOT(gates, 2), d_update);
        vstore(SLOT(gates, 3), d_candidate * reset);
        vstore(carry, dh * update);
    }
}

GATE_FUNCTION(gru_before_gates) {
    FOR_EACH_VECTOR(r, v) {
        real *gates = AT(s->gates[0], r, 2 * v);
        vec reset = vsigmoid(vload(SLOT(gates, 0)));
        vstore(AT(s->between, r, v), reset * vload(AT(s->h_before, r, v)));
        vstore(SLOT(gates, 1), vsigmoid(vload(SLOT(gates, 1))));
        if (train) vstore(SLOT(gates, 0), reset);
    }
}
INFER_AND_TRAIN(gru_before_gates)

GATE_FUNCTION(gru_before_candidate) {
    FOR_EACH_VECTOR(r, v) {
        vec candidate = vtanh(vload(AT(s->gates[1], r, v))), update = vload(SLOT(AT(s->gates[0], r, 2 * v), 1));
        vstore(AT(s->h, r, v), vfma(update, vload(AT(s->h_before, r, v)) - candidate, candidate));
        if (train) vstore(AT(s->gates[1], r, v), candidate);
    }
}
INFER_AND_TRAIN(gru_before_candidate)

/* First in backward: the gradients of candidate and update; dh keeps what z lets through. */
BACKWARD_FUNCTION(gru_before_candidate_backward) {
    FOR_EACH_VECTOR(r, v) {
        real *candidates = AT(s->gates[1], r, v), *updates = SLOT(AT(s->gates[0], r, 2 * v), 1), *carry = AT(s->dh, r, v);
        vec candidate = vload(candidates), update = vload(updates), dh = vload(carry);
        vstore(candidates, dh * (1 - update) * (1 - candidate * candidate));
        vstore(updates, dh * (vload(AT(s->h_before, r, v)) - candidate) * (update * (1 - update)));
        vstore(carry, dh * update);
    }
}

/* Then, with the gradient of r h in `between`: the reset gate's, and the share of h in r h. */
BACKWARD_FUNCTION(gru_before_gates_backward) {
    FOR_EACH_VECTOR(r, v) {
        real *resets = AT(s->gates[0], r, 2 * v), *carry = AT(s->dh, r, v);
        vec reset = vload(resets), d_product = vload(AT(s->between, r, v));
        vstore(resets, d_product * vload(AT(s->h_before, r, v)) * (reset * (1 - reset)));
        vstore(carry, vfma(d_product, reset, vload(carry)));
    }
}
