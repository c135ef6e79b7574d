/* Memory for a call's workspace and for packed weights, from a cache line's start on. */
#ifndef RNNFAST_MEMORY_H
#define RNNFAST_MEMORY_H
#include <stdlib.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

enum { CACHE_LINE = 64, HUGE_PAGE = 2 << 20, LARGE = 32 << 20 };

/* *start is what to use, the result what to free(); NULL where there is no memory. Up to LARGE, glibc comes to serve a
 * loop of calls from the same pages; larger blocks come new from the system every time, and huge pages make that cheap:
 * one page fault for 2 MB, not 512. */
static inline void *allocate(size_t size, char **start) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (size >= LARGE) {
        size_t whole = (size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
        void *block = aligned_alloc(HUGE_PAGE, whole);
        if (block) madvise(block, whole, MADV_HUGEPAGE); /* It may refuse: then the pages are small. */
        *start = block;
        return block;
    }
#endif
    void *block = malloc(size + CACHE_LINE);
    *start = (char *)(((size_t)block + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
    return block;
}
#endif
