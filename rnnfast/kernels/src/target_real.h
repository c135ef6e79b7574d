/* One instruction set, one element type: the headers in order, and the table of what they define. */
#include "simd.h"
#include "functions.h"
#include "gemm.h"
#include "move.h"
#include "peak.h"
#include "activations.h"
#include "norm.h"
#include "norm_passes.h"
#include "cells.h"
#include "optimizers.h"
#include "passes.h"
#include "attention.h"

/* By position: the names of the members are macros here. */
const kernel_table JOIN(TARGET, NAME(kernels)) = {
    TARGET_NAME, sizeof(real), LANES, {&cells[0], &cells[1], &cells[2], &cells[3], &cells[4], &cells[5], &cells[6],
    &cells[7], &cells[8], &cells[9], &cells[10], &cells[11], &cells[12]}, &NAME(projection_phase),
    multiply, pack_columns, pack_rows, transpose, store_rows, load_rows, add_rows, fill_slot, scale_rows,
    normalise, join_norms, split_norms,
    NAME(fma_chains), NAME(read_vectors), PASSES_TABLE, NORMS_TABLE, ATTENTION_TABLE,
};
#undef ATTENTION_TABLE
#undef LANES
#undef LANE_BYTES
