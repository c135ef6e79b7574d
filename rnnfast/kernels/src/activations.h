/* The activations that a cell may have in the place of sigmoid and tanh: on one row of one gate, whose vectors lie
 * `stride` elements apart. Which one is asked once a row. A NaN stays NaN. */
#define activate NAME(activate)
#define differentiate NAME(differentiate)
#define clip_row NAME(clip_row)
#define vclip NAME(vclip)

/* The smaller of `high` and the greater of `low` and x. */
INLINE vec vclip(vec x, vec low, vec high) { return vmin(high, vmax(low, x)); }

#define EACH_VECTOR(expression) \
    for (ptrdiff_t v = 0; v < vectors; v++, at += stride) { \
        vec x = vload(at); \
        vstore(at, expression); \
    } \
    break
static void activate(const struct function *f, real *at, ptrdiff_t stride, ptrdiff_t vectors) {
    const vec alpha = vset((real)f->alpha), beta = vset((real)f->beta), zero = {}, one = vset(1);
    switch (f->kind) {
    case FUNCTION_TANH: EACH_VECTOR(vtanh(x));
    case FUNCTION_SIGMOID: EACH_VECTOR(vsigmoid(x));
    case FUNCTION_RELU: EACH_VECTOR(vselect(x < zero, zero, x));
    case FUNCTION_LEAKY_RELU: EACH_VECTOR(vselect(x < zero, alpha * x, x));
    case FUNCTION_ELU: EACH_VECTOR(vselect(x < zero, alpha * (vexp(x) - 1), x));
    case FUNCTION_SOFTSIGN: EACH_VECTOR(x / (1 + vabs(x)));
    case FUNCTION_HARD_SIGMOID: EACH_VECTOR(vclip(vfma(alpha, x, beta), zero, one));
    default: break;
    }
}
#undef EACH_VECTOR

static void clip_row(double clip, real *at, ptrdiff_t stride, ptrdiff_t vectors) {
    const vec high = vset((real)clip), low = -high;
    if (clip)
        for (ptrdiff_t v = 0; v < vectors; v++, at += stride) vstore(at, vclip(vload(at), low, high));
}

/* y = d f'(x), where y = f(x) and x was clipped: the slope is had from y, and is zero where x lay beyond the clip.
 * `gradient`, which is d, is written to. */
#define EACH_VECTOR(expression) \
    for (ptrdiff_t v = 0; v < vectors; v++) { \
        vec y = vload(at + v * stride), d = vload(gradient + v * LANES); \
        (void)y; \
        vstore(at + v * stride, expression); \
    } \
    break
static void differentiate(const struct function *f, double clip, real *at, ptrdiff_t stride, real *gradient, ptrdiff_t vectors) {
    const vec alpha = vset((real)f->alpha), zero = {}, one = vset(1);
    if (clip && __builtin_isfinite((real)clip)) {
        real bounds[2][LANES];
        vstore(bounds[0], vset(-(real)clip));
        vstore(bounds[1], vset((real)clip));
        activate(f, bounds[0], LANES, 2);
        const vec low = vload(bounds[0]), high = vload(bounds[1]);
        for (ptrdiff_t v = 0; v < vectors; v++) {
            vec y = vload(at + v * stride);
            vstore(gradient + v * LANES, vselect((y <= low) | (y >= high), zero, vload(gradient + v * LANES)));
        }
    }
    switch (f->kind) {
    case FUNCTION_TANH: EACH_VECTOR(d * (1 - y * y));
    case FUNCTION_SIGMOID: EACH_VECTOR(d * (y * (1 - y)));
    case FUNCTION_RELU: EACH_VECTOR(vselect(y > zero, d, zero));
    case FUNCTION_LEAKY_RELU: EACH_VECTOR(vselect(y > zero, d, alpha * d));
    case FUNCTION_ELU: EACH_VECTOR(vselect(y > zero, d, d * (y + alpha)));
    case FUNCTION_SOFTSIGN: EACH_VECTOR(d * (1 - vabs(y)) * (1 - vabs(y)));
    case FUNCTION_HARD_SIGMOID: EACH_VECTOR(vselect((y > zero) & (y < one), alpha * d, zero));
    default: EACH_VECTOR(d);
    }
}
#undef EACH_VECTOR
