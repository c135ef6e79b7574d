/* AVX-512 (F, BW, DQ, VL): 512-bit vectors. */
#define TARGET avx512
#define VECTOR_BYTES 64
#include "target.h"
