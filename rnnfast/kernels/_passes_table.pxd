from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t


cdef extern from "passes_table.h" nogil:
    enum: PASS_BLOCK

    ctypedef struct sgd_options "struct sgd":
        double learning_rate, momentum, weight_decay, scale
        int nesterov

    ctypedef struct adam_options "struct adam":
        double learning_rate, beta1, beta2, epsilon, weight_decay, scale, correction1, correction2
        int decoupled

    ctypedef struct dropout_options "struct dropout":
        uint64_t key
        uint32_t stream, threshold
        double scale

    ctypedef void (*map_function)(void *to, const void *source, Py_ssize_t count) noexcept nogil

    ctypedef struct passes "struct passes":
        map_function exp, tanh, sigmoid, accumulate
        double (*sum_of_squares)(const void *source, Py_ssize_t count) noexcept nogil
        double (*squared_error)(void *gradient, const void *predictions, const void *targets, const uint8_t *mask,
                                Py_ssize_t count) noexcept nogil
        void (*cross_entropy)(void *gradient, double *losses, const void *logits, const int64_t *targets,
                              const uint8_t *mask, Py_ssize_t rows, Py_ssize_t classes) noexcept nogil
        double (*binary_cross_entropy)(void *gradient, const void *logits, const void *yes, const void *no,
                                       Py_ssize_t count) noexcept nogil
        void (*sgd_step)(void *params, const void *grads, void *velocity, Py_ssize_t count,
                         const sgd_options *options) noexcept nogil
        void (*adam_step)(void *params, const void *grads, void *m, void *v, Py_ssize_t count,
                          const adam_options *options) noexcept nogil
        void (*dropout)(void *to, const void *source, Py_ssize_t units, uint32_t step, uint32_t row,
                        const dropout_options *options) noexcept nogil
