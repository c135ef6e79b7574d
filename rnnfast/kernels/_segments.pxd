from rnnfast.kernels._plan cimport Plan

# Let a call in training go through its steps so many at a time, and keep the state before each of these segments alone;
# 0: all at once.
cdef void divide_steps(Plan *plan, ptrdiff_t steps) noexcept nogil
# Let the plan speak of segment k.
cdef void open_segment(Plan *plan, ptrdiff_t k) noexcept nogil
# Bytes of the states before all segments.
cdef ptrdiff_t kept_bytes(const Plan *plan) noexcept nogil
# Bytes of what one segment saves.
cdef ptrdiff_t saved_bytes(const Plan *plan) noexcept nogil
# Where the states and gates of the open segment are saved.
cdef void lay_out(Plan *plan, char *at) noexcept nogil
# From one segment to the next, in the same memory: it starts from the states where the last one ended.
cdef void go_on(Plan *plan, ptrdiff_t k, char *at) noexcept nogil
# Copy the states before the open segment to `kept`. Returns how many bytes.
cdef ptrdiff_t keep_states(const Plan *plan, char *kept) noexcept nogil
# From one segment to the one before it, in the same memory: its states come from where `kept` ends. Returns their bytes.
cdef ptrdiff_t go_back(Plan *plan, ptrdiff_t k, char *at, const char *kept_end) noexcept nogil
# The first row of the weight gradients' blocks that the open segment completes.
cdef ptrdiff_t first_block(const Plan *plan) noexcept nogil
# Leave the rows before that block to the segment before.
cdef void leave_rest(Plan *plan) noexcept nogil
# Whether recurrent dropout has a mask in this call.
cdef bint is_masked(const Plan *plan) noexcept nogil
