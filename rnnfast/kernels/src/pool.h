/* A small pool of threads: the caller and its workers share the indices of one task. */
#ifndef RNNFAST_POOL_H
#define RNNFAST_POOL_H

#define POOL_MAX_THREADS 1024

typedef void (*pool_task)(void *context, int index);

/* Runs task(context, 0) ... task(context, count - 1), each once, on the caller and the workers, and returns when
 * all are done. The caller runs index 0; which thread runs another is not determined. Allocates nothing.
 * On the caller alone, in order, where there is one index or one thread, inside a task, and while another thread
 * of the program has the pool: nobody waits for anybody else's work. */
void pool_run(pool_task task, void *context, int count);

/* The same with each index on a thread of its own, so that tasks may wait for each other. Returns 0, and runs nothing,
 * where there are not so many threads to be had at once. */
int pool_run_together(pool_task task, void *context, int count);

/* Where the tasks of one pool_run_together wait until all have come, over and over. Zero at first. */
struct meeting {
    int arrived, number;
    char apart[56]; /* from the next meeting's cache line */
};

/* Wait for the others of `count`. Returns 0 as soon as *stop is not zero: then not all may have come. */
int pool_meet(struct meeting *meeting, int count, const int *stop);

/* Threads that share a task, the caller among them: 1 to POOL_MAX_THREADS. The next pool_run acts on a new number. */
void pool_set_threads(int threads);
int pool_get_threads(void);

/* Processors this process may use. Threads that have one each spin for a moment before they sleep. */
void pool_set_processors(int processors);

/* Whether each thread has a processor of its own. */
int pool_has_processors(void);

/* A clock that never goes back, in seconds. */
double pool_clock(void);

#endif
