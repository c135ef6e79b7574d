/* Any machine: the compiler makes of four numbers at once what it can. */
#define TARGET generic
#define VECTOR_BYTES 16
#define NO_INTRINSICS 1
#include "target.h"
