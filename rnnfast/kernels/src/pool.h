/* A small pool of threads: the caller and its workers share the indices of one task. */
#ifndef RNNFAST_POOL_H
#define RNNFAST_POOL_H

#define POOL_MAX_THREADS 1024

typedef void (*pool_task)(void *context, int index);

/* Runs task(context, 0) ... task(context, count - 1), each once, on the caller and the workers, and returns when
 * all are done. Which thread runs which index is not determined. Allocates nothing.
 * On the caller alone, in order, where there is one index or one thread, inside a task, and while another thread
 * of the program has the pool: nobody waits for anybody else's work. */
void pool_run(pool_task task, void *context, int count);

/* Threads that share a task, the caller among them: 1 to POOL_MAX_THREADS. The next pool_run acts on a new number. */
void pool_set_threads(int threads);
int pool_get_threads(void);

/* Processors this process may use. Threads that have one each spin for a moment before they sleep. */
void pool_set_processors(int processors);

/* A clock that never goes back, in seconds. */
double pool_clock(void);

#endif
