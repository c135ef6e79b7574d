/* Gate arithmetic of every cell, forward and backward, one vector of units at a time.
 *
 * The forward functions run on a tile of pre-activations that the product has just written and that is still in the
 * first cache. Equations: rnnfast/reference.py. In backward the gates of a step are overwritten by their gradients.
 */
#define AT(rows, r, vector) ((real *)row_at(&(rows), r) + (vector) * LANES)
#define SLOT(base, s) ((base) + (s) * LANES)
#define FOR_EACH_VECTOR(r, v) \
    for (ptrdiff_t r = row; r < row + rows; r++) \
        for (ptrdiff_t v = vector; v < vector + vectors; v++)
#define GATE_FUNCTION(name) \
    INLINE void NAME(name)(const struct step *s, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t vector, ptrdiff_t vectors, const int train)
#define BACKWARD_FUNCTION(name) \
    static void NAME(name)(const struct step *s, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t vector, ptrdiff_t vectors)
/* The same arithmetic with and without what training saves. */
#define INFER_AND_TRAIN(name) \
    static void NAME(name##_infer)(const struct step *s, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t vector, ptrdiff_t vectors) { \
        NAME(name)(s, row, rows, vector, vectors, 0); \
    } \
    static void NAME(name##_train)(const struct step *s, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t vector, ptrdiff_t vectors) { \
        NAME(name)(s, row, rows, vector, vectors, 1); \
    }

#define WHOLE(name) NAME(name), NAME(name), NAME(name##_backward)

#include "rnn.h"
#include "lstm.h"
#include "gru.h"
#include "options.h"

#define cells NAME(cells)
static const struct cell cells[CELL_COUNT] = {
    [CELL_RNN_TANH] = {"rnn_tanh", 1, 0, 1, -1, {RNN_PHASE(rnn_tanh)}},
    [CELL_RNN_RELU] = {"rnn_relu", 1, 0, 1, -1, {RNN_PHASE(rnn_relu)}},
    [CELL_RNN_IDENTITY] = {"rnn_identity", 1, 0, 1, -1, {RNN_PHASE(rnn_identity)}},
    [CELL_LSTM] = {"lstm", 4, 1, 1, -1,
        {{4, 0, 4, 0, 4, {0, 1, 2, 3}, {0, 1, 2, 3}, NAME(lstm_infer), NAME(lstm_train), NAME(lstm_backward), 0, 0}}},
    [CELL_GRU_AFTER] = {"gru_after", 3, 0, 1, 1,
        {{4, 0, 3, 1, 3, {2, 0, 1}, {0, 1, 2}, NAME(gru_after_infer), NAME(gru_after_train), NAME(gru_after_backward), 1, 0}}},
    [CELL_GRU_BEFORE] = {"gru_before", 3, 0, 2, 1,
        {{2, 0, 2, 0, 2, {0, 1}, {0, 1}, NAME(gru_before_gates_infer), NAME(gru_before_gates_train), NAME(gru_before_gates_backward), 1, 0},
         {1, 0, 1, 0, 1, {2}, {2}, NAME(gru_before_candidate_infer), NAME(gru_before_candidate_train), NAME(gru_before_candidate_backward), 0, 0}}},
    [CELL_RNN_OPTIONS] = {"rnn", 1, 0, 1, -1, {{1, 0, 1, 0, 1, {0}, {0}, WHOLE(rnn_options), 1, 1}}},
    [CELL_INDRNN] = {"indrnn", 1, 0, 1, -1, {{1, 0, 1, 0, 0, {0}, {0}, WHOLE(indrnn), 1, 1}}},
    [CELL_LSTM_OPTIONS] = {"lstm", 4, 1, 1, -1, {{4, 0, 4, 0, 4, {0, 1, 2, 3}, {0, 1, 2, 3}, WHOLE(lstm_options), 1, 1}}},
    [CELL_LSTM_COUPLED] = {"lstm_coupled", 3, 1, 1, -1, {{3, 0, 3, 0, 3, {0, 1, 2}, {0, 1, 2}, WHOLE(lstm_coupled), 1, 1}}},
    [CELL_GRU_AFTER_OPTIONS] = {"gru_after", 3, 0, 1, 1, {{4, 0, 3, 1, 3, {2, 0, 1}, {0, 1, 2}, WHOLE(gru_after_options), 1, 1}}},
    [CELL_GRU_BEFORE_OPTIONS] = {"gru_before", 3, 0, 2, 1,
        {{2, 0, 2, 0, 2, {0, 1}, {0, 1}, WHOLE(gru_before_gates_options), 1, 1},
         {1, 0, 1, 0, 1, {2}, {2}, WHOLE(gru_before_candidate_options), 0, 1}}},
    [CELL_MGU] = {"mgu", 2, 0, 2, -1,
        {{2, 0, 1, 0, 1, {0}, {0}, WHOLE(mgu_gate), 1, 1}, {1, 0, 1, 0, 1, {1}, {1}, WHOLE(mgu_candidate), 0, 1}}},
};
static const struct phase NAME(projection_phase) = {1, 0, 0, 0, 1, {0}, {0}, WHOLE(projection), 0, 1};

#undef AT
#undef SLOT
#undef FOR_EACH_VECTOR
#undef GATE_FUNCTION
#undef BACKWARD_FUNCTION
#undef INFER_AND_TRAIN
#undef RNN_PHASE
#undef WHOLE
#undef RNN_FUNCTIONS
