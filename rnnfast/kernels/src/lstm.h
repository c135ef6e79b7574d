/* LSTM (Hochreiter and Schmidhuber 1997; Gers, Schmidhuber and Cummins 2000): slots i f g o.
 * c' = f c + i g, h' = o tanh(c'). tanh(c') is computed again in backward: cheaper than storing it. */
GATE_FUNCTION(lstm) {
    /* Two short loops: the chain through sigmoid, c and tanh is too long for a processor to overlap three of them. */
    FOR_EACH_VECTOR(r, v) {
        real *gates = AT(s->gates[0], r, 4 * v);
        vec i = vsigmoid(vload(SLOT(gates, 0))), f = vsigmoid(vload(SLOT(gates, 1))), g = vtanh(vload(SLOT(gates, 2)));
        vstore(AT(s->c, r, v), vfma(f, vload(AT(s->c_before, r, v)), i * g));
        if (train) {
            vstore(SLOT(gates, 0), i);
            vstore(SLOT(gates, 1), f);
            vstore(SLOT(gates, 2), g);
        }
    }
    FOR_EACH_VECTOR(r, v) {
        real *gates = AT(s->gates[0], r, 4 * v);
        vec o = vsigmoid(vload(SLOT(gates, 3)));
        vstore(AT(s->h, r, v), o * vtanh(vload(AT(s->c, r, v))));
        if (train) vstore(SLOT(gates, 3), o);
    }
}
INFER_AND_TRAIN(lstm)

BACKWARD_FUNCTION(lstm_backward) {
    FOR_EACH_VECTOR(r, v) {
        real *gates = AT(s->gates[0], r, 4 * v), *carry = AT(s->dc, r, v);
        vec i = vload(SLOT(gates, 0)), f = vload(SLOT(gates, 1)), g = vload(SLOT(gates, 2)), o = vload(SLOT(gates, 3));
        vec tanh_c = vtanh(vload(AT(s->c, r, v)));
        vec dh = vload(AT(s->dh, r, v));
        vec dc = vfma(dh * o, 1 - tanh_c * tanh_c, vload(carry));
        vstore(SLOT(gates, 0), dc * g * (i * (1 - i)));
        vstore(SLOT(gates, 1), dc * vload(AT(s->c_before, r, v)) * (f * (1 - f)));
        vstore(SLOT(gates, 2), dc * i * (1 - g * g));
        vstore(SLOT(gates, 3), dh * tanh_c * (o * (1 - o)));
        vstore(carry, dc * f);
    }
}
