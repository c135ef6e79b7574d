from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t


cdef extern from "passes_table.h" nogil:
    enum: PASS_BLOCK

    enum:
        UPDATE_STATES
        UPDATE_NUMBERS
        RULE_SGD
        RULE_MOMENTUM
        RULE_NESTEROV
        RULE_RMSPROP
        RULE_RMSPROP_MOMENTUM
        RULE_RMSPROP_CENTERED
        RULE_RMSPROP_CENTERED_MOMENTUM
        RULE_ADAGRAD
        RULE_ADADELTA
        RULE_ADAM
        RULE_AMSGRAD
        RULE_NADAM
        RULE_ADAMAX
        RULE_LION
        RULE_RPROP
        RULE_ASGD
        RULE_AVERAGE

    ctypedef struct update_options "struct update":
        double scale, clip_value, decay, shrink
        double numbers[UPDATE_NUMBERS]

    ctypedef struct dropout_options "struct dropout":
        uint64_t key
        uint32_t stream, threshold
        double scale

    ctypedef void (*map_function)(void *to, const void *source, Py_ssize_t count) noexcept nogil

    ctypedef void (*update_function)(void *params, const void *grads, void *const *states, Py_ssize_t count,
                                     const update_options *options) noexcept nogil

    ctypedef struct passes "struct passes":
        map_function exp, tanh, sigmoid, accumulate
        double (*sum_of_squares)(const void *source, Py_ssize_t count) noexcept nogil
        double (*squared_error)(void *gradient, const void *predictions, const void *targets, const uint8_t *mask,
                                Py_ssize_t count) noexcept nogil
        void (*cross_entropy)(void *gradient, double *losses, const void *logits, const int64_t *targets,
                              const uint8_t *mask, Py_ssize_t rows, Py_ssize_t classes) noexcept nogil
        double (*binary_cross_entropy)(void *gradient, const void *logits, const void *yes, const void *no,
                                       Py_ssize_t count) noexcept nogil
        update_function *updates
        void (*dropout)(void *to, const void *source, Py_ssize_t units, uint32_t step, uint32_t row,
                        const dropout_options *options) noexcept nogil
