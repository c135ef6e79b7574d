/* Plain C: any machine. */
#define TARGET scalar
#define VECTOR_BYTES 0
#include "target.h"
