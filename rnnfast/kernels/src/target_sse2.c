/* The x86-64 baseline: 128-bit vectors, no fused multiply-add. */
#define TARGET sse2
#define VECTOR_BYTES 16
#include "target.h"
