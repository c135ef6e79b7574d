/* Everything that is compiled once for each instruction set, for both element types.
 * The including target_*.c defines TARGET (its name) and VECTOR_BYTES. */
#include <stddef.h>
#include "kernels.h"

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)

#define TARGET_NAME_(x) #x
#define TARGET_NAME__(x) TARGET_NAME_(x)
#define TARGET_NAME TARGET_NAME__(TARGET)

#define REAL_IS_FLOAT 1
#define real float
#define NAME(x) JOIN(x, f32)
#include "target_real.h"
#undef NAME
#undef real
#undef REAL_IS_FLOAT

#define REAL_IS_FLOAT 0
#define real double
#define NAME(x) JOIN(x, f64)
#include "target_real.h"
#undef NAME
#undef real
#undef REAL_IS_FLOAT
