/* A few blocks that were given back are kept for the next call of the same kind: fresh memory costs a page fault for
 * every 4 KB, a tenth of the time of a small model's training step. */
#include "memory.h"

#include <stdlib.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

enum {
    CACHE_LINE = 64,
    HUGE_PAGE = 2 << 20,
    KEPT_BLOCKS = 16,
    LEAST_KEPT = 16 << 10, /* bytes; the C library is as quick with smaller blocks */
    MOST_KEPT = 64 << 20,  /* all kept blocks together */
};

static struct memory kept[KEPT_BLOCKS];
static size_t kept_bytes;
static char kept_taken;

static int take_kept(void) { return !__atomic_test_and_set(&kept_taken, __ATOMIC_ACQUIRE); }
static void leave_kept(void) { __atomic_clear(&kept_taken, __ATOMIC_RELEASE); }

struct memory memory_take(size_t size) {
    struct memory made = {0};
    if (size >= LEAST_KEPT && take_kept()) {
        int best = -1;
        for (int k = 0; k < KEPT_BLOCKS; k++)
            if (kept[k].block && kept[k].size >= size && kept[k].size / 2 <= size && (best < 0 || kept[k].size < kept[best].size))
                best = k;
        if (best >= 0) {
            made = kept[best];
            kept[best].block = NULL;
            kept_bytes -= made.size;
        }
        leave_kept();
        if (made.block) return made;
    }
    made.size = size;
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (size >= 2 * HUGE_PAGE) {
        size_t whole = (size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
        made.block = aligned_alloc(HUGE_PAGE, whole);
        made.start = made.block;
        if (made.block) madvise(made.block, whole, MADV_HUGEPAGE); /* It may refuse: then the pages are small. */
        return made;
    }
#endif
    made.block = malloc(size + CACHE_LINE);
    made.start = (char *)(((size_t)made.block + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
    return made;
}

void memory_leave(struct memory given) {
    if (given.block && given.size >= LEAST_KEPT && given.size <= MOST_KEPT && take_kept()) {
        for (int k = 0; k < KEPT_BLOCKS && given.block; k++)
            if (!kept[k].block && kept_bytes + given.size <= MOST_KEPT) {
                kept[k] = given;
                kept_bytes += given.size;
                given.block = NULL;
            }
        leave_kept();
    }
    free(given.block);
}

void memory_release(void) {
    if (!take_kept()) return;
    for (int k = 0; k < KEPT_BLOCKS; k++) {
        free(kept[k].block);
        kept[k].block = NULL;
    }
    kept_bytes = 0;
    leave_kept();
}
