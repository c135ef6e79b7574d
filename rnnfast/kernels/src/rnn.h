/* RNN: h' = f(W x + R h + b), f = tanh, relu or the identity. The derivative is had from h' itself. */
#define RNN_FUNCTIONS(name, f, derivative) \
    static void NAME(name##_forward)(const struct step *s, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t vector, ptrdiff_t vectors) { \
        FOR_EACH_VECTOR(r, v) { \
            vec a = vload(AT(s->gates[0], r, v)); \
            vstore(AT(s->h, r, v), f); \
        } \
    } \
    BACKWARD_FUNCTION(name##_backward) { \
        FOR_EACH_VECTOR(r, v) { \
            vec h = vload(AT(s->h, r, v)), dh = vload(AT(s->dh, r, v)); \
            vstore(AT(s->gates[0], r, v), derivative); \
        } \
    }
#define RNN_PHASE(name) \
    {1, 0, 1, 0, 1, {0}, {0}, NAME(name##_forward), NAME(name##_forward), NAME(name##_backward), 0, 0}

RNN_FUNCTIONS(rnn_tanh, vtanh(a), dh * (1 - h * h))
/* A NaN goes through, as in NumPy: it is not below zero. */
RNN_FUNCTIONS(rnn_relu, vselect(a < (vec){}, (vec){}, a), vselect(h > (vec){}, dh, (vec){}))
RNN_FUNCTIONS(rnn_identity, a, (h = dh))
