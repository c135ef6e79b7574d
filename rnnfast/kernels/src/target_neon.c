/* NEON on arm64: 128-bit vectors with fused multiply-add. */
#define TARGET neon
#define VECTOR_BYTES 16
#include "target.h"
