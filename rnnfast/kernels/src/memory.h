/* Memory for a call's workspace and for packed weights, from a cache line's start on. */
#ifndef RNNFAST_MEMORY_H
#define RNNFAST_MEMORY_H
#include <stddef.h>

/* `start` is what to use; `block` is what the C library knows. */
struct memory {
    char *start;
    void *block;
    size_t size;
};

/* A block of at least this size; its `block` is NULL where there is no memory. */
struct memory memory_take(size_t size);

/* Give it back, as memory_take returned it. */
void memory_leave(struct memory given);

/* Give the kept blocks back to the C library. */
void memory_release(void);

#endif
