/* Subnormal numbers as zeros: they make a matrix product an order of magnitude slower.
 *
 * The mode belongs to a thread. Each thread that takes part in a kernel calls denormals_flush() on entry and
 * denormals_restore() on exit, with the arithmetic between them in functions that are not inlined into the caller:
 * compilers do not know that arithmetic depends on the mode and may move it across. */
#ifndef RNNFAST_DENORMALS_H
#define RNNFAST_DENORMALS_H

#if defined(__SSE__) || defined(__x86_64__) || defined(_M_X64)

#include <xmmintrin.h>

/* Flush results (bit 15) and read operands as zero (bit 6). Returns the mode found. */
static inline unsigned denormals_flush(void) {
    unsigned mode = _mm_getcsr();
    _mm_setcsr(mode | 0x8040u);
    return mode;
}

static inline void denormals_restore(unsigned mode) { _mm_setcsr(mode); }

#elif defined(__aarch64__)

/* FZ (bit 24) does both. Returns the mode found. */
static inline unsigned denormals_flush(void) {
    unsigned long long mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode) : : "memory");
    __asm__ volatile("msr fpcr, %0" : : "r"(mode | (1ull << 24)) : "memory");
    return (unsigned)mode;
}

static inline void denormals_restore(unsigned mode) {
    __asm__ volatile("msr fpcr, %0" : : "r"((unsigned long long)mode) : "memory");
}

#else

static inline unsigned denormals_flush(void) { return 0; }

static inline void denormals_restore(unsigned mode) { (void)mode; }

#endif

#endif
