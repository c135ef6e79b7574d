/* Chooses the instruction set once, from what was compiled, what the CPU has and what RNNFAST_ISA allows. */
#include "kernels.h"
#include <string.h>

#define DECLARE(target) extern const kernel_table target##_kernels_f32, target##_kernels_f64;
DECLARE(generic)
#if defined(RNNFAST_X86)
DECLARE(sse2)
DECLARE(avx2)
DECLARE(avx512)
static int has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
static int has_avx512(void) {
#if defined(RNNFAST_EMULATE_AVX512)
    return has_avx2();
#else
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
#endif
}
#elif defined(RNNFAST_ARM64)
DECLARE(neon)
#endif
static int always(void) { return 1; }

/* Best first. A name as a cap allows that set and those after it. */
static const struct {
    const char *name;
    int (*here)(void);
    const kernel_table *f32, *f64;
} sets[] = {
#if defined(RNNFAST_X86)
    {"avx512", has_avx512, &avx512_kernels_f32, &avx512_kernels_f64},
    {"avx2", has_avx2, &avx2_kernels_f32, &avx2_kernels_f64},
    {"sse2", always, &sse2_kernels_f32, &sse2_kernels_f64},
#elif defined(RNNFAST_ARM64)
    {"neon", always, &neon_kernels_f32, &neon_kernels_f64},
#endif
    {"generic", always, &generic_kernels_f32, &generic_kernels_f64},
};
#define SETS ((int)(sizeof sets / sizeof *sets))

static int chosen = SETS - 1;
static const char *available[SETS + 1];

const kernel_table *kernels_for(int itemsize) { return itemsize == 4 ? sets[chosen].f32 : sets[chosen].f64; }

int kernels_choose(const char *cap) {
    int first = 0;
    if (cap && *cap) {
        while (first < SETS && strcmp(sets[first].name, cap)) first++;
        if (first == SETS) return -1;
    }
    while (!sets[first].here()) first++;
    chosen = first;
    return 0;
}

const char *const *kernels_available(void) {
    int count = 0;
    for (int i = 0; i < SETS; i++)
        if (sets[i].here()) available[count++] = sets[i].name;
    available[count] = NULL;
    return available;
}
