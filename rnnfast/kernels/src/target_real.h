/* One instruction set, one element type: the headers in order, and the table of what they define. */
#include "simd.h"
#include "functions.h"
#include "gemm.h"
#include "move.h"
#include "peak.h"
#include "cells.h"
#include "passes.h"

/* By position: the names of the members are macros here. */
const kernel_table JOIN(TARGET, NAME(kernels)) = {
    TARGET_NAME, sizeof(real), LANES, {&cells[0], &cells[1], &cells[2], &cells[3], &cells[4], &cells[5]},
    multiply, pack_columns, pack_rows, transpose, store_rows, load_rows, add_rows, fill_slot,
    NAME(fma_chains), PASSES_TABLE,
};
#undef LANES
#undef LANE_BYTES
