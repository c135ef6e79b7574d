from libc.stdint cimport int8_t, int64_t

from rnnfast.kernels._attention_table cimport attention
from rnnfast.kernels._norms_table cimport norms
from rnnfast.kernels._passes_table cimport passes


cdef extern from "kernels.h":
    enum: MAX_PHASES
    enum: MAX_SLOTS
    enum: PLAIN_WIDTH
    enum: FMA_CHAINS
    enum: READ_LINES
    enum: CELL_RNN_TANH
    enum: CELL_RNN_RELU
    enum: CELL_RNN_IDENTITY
    enum: CELL_LSTM
    enum: CELL_GRU_AFTER
    enum: CELL_GRU_BEFORE
    enum: CELL_RNN_OPTIONS
    enum: CELL_INDRNN
    enum: CELL_LSTM_OPTIONS
    enum: CELL_LSTM_COUPLED
    enum: CELL_GRU_AFTER_OPTIONS
    enum: CELL_GRU_BEFORE_OPTIONS
    enum: CELL_MGU
    enum: CELL_COUNT
    enum: OPTION_ROWS

    struct rows:
        char *base
        ptrdiff_t stride
        char **each

    struct function:
        int kind
        double alpha, beta

    struct options:
        function gate
        function candidate
        function output
        double clip, cell_clip
        const char *peephole[3]
        const char *recurrent
        const char *norm_ih
        const char *norm_hh
        const char *bias
        const char *norm_c
        const char *bias_c
        ptrdiff_t units, norm_sums
        int projected

    struct step:
        rows gates[MAX_PHASES]
        rows h_before
        rows h
        rows c_before
        rows c
        rows between
        rows dh
        rows dc
        ptrdiff_t count
        ptrdiff_t vectors
        const options *options "with"
        rows operand
        rows mask
        rows result
        rows d_result
        rows zone_h
        rows zone_c
        rows x_gates
        rows h_gates
        rows stats
        rows sums
        rows traced[MAX_PHASES]
        char *scratch

    ctypedef void (*gate_function)(const step *s, ptrdiff_t row, ptrdiff_t count, ptrdiff_t vector,
                                   ptrdiff_t vectors) noexcept nogil

    struct product:
        rows a
        rows init
        rows c
        ptrdiff_t count
        ptrdiff_t depth
        ptrdiff_t segments
        ptrdiff_t segment_step
        ptrdiff_t repeats
        ptrdiff_t repeat_step
        const char *b
        ptrdiff_t vectors
        ptrdiff_t init_panel
        ptrdiff_t c_panel
        int width
        int add
        int descending
        gate_function finish
        const step *step
        int gated
        int only

    struct phase:
        int slots
        int x_first
        int x_count
        int h_first
        int h_count
        int x_gate[MAX_SLOTS]
        int h_gate[MAX_SLOTS]
        gate_function infer
        gate_function train
        gate_function backward
        int backward_adds
        int whole

    struct cell:
        const char *name
        int gates
        int has_c
        int phases
        int negated_gate
        phase phase[MAX_PHASES]

    ctypedef struct kernel_table:
        const char *name
        int itemsize
        int lanes
        const cell *cells[CELL_COUNT]
        const phase *projection
        void multiply(const product *p) noexcept nogil
        void pack_columns(char *panels, const rows *source, ptrdiff_t count, ptrdiff_t depth, ptrdiff_t vectors,
                          int width) noexcept nogil
        void pack_rows(char *panels, const rows *source, ptrdiff_t element_stride, ptrdiff_t depth,
                       ptrdiff_t columns) noexcept nogil
        void transpose(char *target, ptrdiff_t target_stride, const rows *source, ptrdiff_t depth, ptrdiff_t columns,
                       char *sums) noexcept nogil
        void store_rows(const rows *to, ptrdiff_t element_stride, const rows *source, ptrdiff_t count,
                        ptrdiff_t columns) noexcept nogil
        void load_rows(const rows *to, const rows *source, ptrdiff_t element_stride, ptrdiff_t count,
                       ptrdiff_t columns) noexcept nogil
        void add_rows(const rows *to, const rows *source, ptrdiff_t element_stride, ptrdiff_t count,
                      ptrdiff_t columns) noexcept nogil
        void fill_slot(const rows *to, ptrdiff_t count, ptrdiff_t vectors, int slots, int slot,
                       const char *source) noexcept nogil
        void scale_rows(const rows *to, const rows *source, const rows *by, int add, ptrdiff_t count, ptrdiff_t vectors) noexcept nogil
        void normalise(const rows *gates, const rows *stats, int second, ptrdiff_t count, ptrdiff_t units, ptrdiff_t vectors,
                       int slots, int first, int number) noexcept nogil
        void join_norms(const step *s, ptrdiff_t count, ptrdiff_t vectors, int slots) noexcept nogil
        void split_norms(const step *s, ptrdiff_t count, ptrdiff_t units, ptrdiff_t vectors, const phase *p) noexcept nogil
        double fma_chains(ptrdiff_t rounds) noexcept nogil
        double read_vectors(const void *start, ptrdiff_t count) noexcept nogil
        passes passes
        norms norms
        attention attention

    const kernel_table *kernels_for(int itemsize) noexcept nogil
    int kernels_choose(const char *cap) noexcept nogil
    const char *const *kernels_available() noexcept nogil


cdef extern from "fault.h":
    enum: FAULT_NONE
    enum: FAULT_GATES
    enum: FAULT_BIAS
    enum: FAULT_SHIFT
    enum: FAULT_FIRST_STEP
    enum: FAULT_TAIL
    const int built_fault


cdef extern from "denormals.h":
    unsigned denormals_flush() noexcept nogil
    void denormals_restore(unsigned mode) noexcept nogil
