#if !defined(_WIN32)
#define _POSIX_C_SOURCE 200809L
#endif

#include "pool.h"

#include <stdalign.h>
#include <stdatomic.h>

/* What the two kinds of system call a lock, a condition and a thread. */

#if defined(_WIN32)

#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#include <process.h>

typedef SRWLOCK Lock;
typedef CONDITION_VARIABLE Condition;
typedef HANDLE Thread;
#define LOCK_INIT SRWLOCK_INIT
#define CONDITION_INIT CONDITION_VARIABLE_INIT
#define THREAD_RESULT unsigned __stdcall

static void lock(Lock *l) { AcquireSRWLockExclusive(l); }
static void unlock(Lock *l) { ReleaseSRWLockExclusive(l); }
static void wait_for(Condition *c, Lock *l) { SleepConditionVariableSRW(c, l, INFINITE, 0); }
static void wake_one(Condition *c) { WakeConditionVariable(c); }
static void wake_all(Condition *c) { WakeAllConditionVariable(c); }

static int thread_start(Thread *thread, unsigned(__stdcall *body)(void *)) {
    *thread = (HANDLE)_beginthreadex(NULL, 0, body, NULL, 0, NULL);
    return *thread != NULL;
}

static void thread_join(Thread thread) {
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
}

static void watch_forks(void) {}

static void yield_processor(void) { SwitchToThread(); }

double pool_clock(void) {
    LARGE_INTEGER now, frequency;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&frequency);
    return (double)now.QuadPart / (double)frequency.QuadPart;
}

#else

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

typedef pthread_mutex_t Lock;
typedef pthread_cond_t Condition;
typedef pthread_t Thread;
#define LOCK_INIT PTHREAD_MUTEX_INITIALIZER
#define CONDITION_INIT PTHREAD_COND_INITIALIZER
#define THREAD_RESULT void *

static void lock(Lock *l) { pthread_mutex_lock(l); }
static void unlock(Lock *l) { pthread_mutex_unlock(l); }
static void wait_for(Condition *c, Lock *l) { pthread_cond_wait(c, l); }
static void wake_one(Condition *c) { pthread_cond_signal(c); }
static void wake_all(Condition *c) { pthread_cond_broadcast(c); }

/* A worker inherits the mask of the thread that starts it: with every signal blocked there, the program's handlers
 * (Ctrl-C) run on the program's own threads. The stack's size is set because some systems give 128 KB. */
static int thread_start(Thread *thread, void *(*body)(void *)) {
    sigset_t all, before;
    pthread_attr_t attributes;
    sigfillset(&all);
    if (pthread_attr_init(&attributes) != 0) return 0;
    pthread_attr_setstacksize(&attributes, (size_t)1 << 20);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(thread, &attributes, body, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return !failed;
}

static void thread_join(Thread thread) { pthread_join(thread, NULL); }

static void yield_processor(void) { sched_yield(); }

static void forget_workers(void);

static void watch_forks(void) {
    static int watching;
    if (!watching) watching = pthread_atfork(NULL, NULL, forget_workers) == 0;
}

double pool_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

#endif

#if defined(__x86_64__) || defined(__i386__) || defined(_M_X64)
#include <immintrin.h>
static void spin_pause(void) { _mm_pause(); }
#elif defined(__aarch64__)
static void spin_pause(void) { __asm__ volatile("yield"); }
#else
static void spin_pause(void) {}
#endif

/* A wake-up costs tens of microseconds; so long does a thread look for work, or for the others' end, before it
 * sleeps. Longer would burn the processor between two calls of a program that does other things as well. */
static const double SPIN_SECONDS = 40e-6;

/* The task on hand. Written by the caller while nobody can have claimed an index of it. */
static struct {
    pool_task task;
    void *context;
    int count;
} job;

/* Indices not claimed yet. A claim takes one off, and holds `job` as it is until `unfinished` is counted down. */
static alignas(64) atomic_int unclaimed;
static alignas(64) atomic_int unfinished;

static alignas(64) Lock sleep_lock = LOCK_INIT;
static Condition work_is_there = CONDITION_INIT;
static Condition work_is_done = CONDITION_INIT;
static atomic_int sleeping_workers;
static atomic_int caller_sleeps;
static atomic_int stopping;

/* Held by the thread that uses the pool, which alone touches the three below. A task that calls pool_run finds it held. */
static atomic_flag in_use = ATOMIC_FLAG_INIT;
static Thread workers[POOL_MAX_THREADS];
static int num_workers;
static int wanted_workers;

static atomic_int num_threads = 1;
static atomic_int num_processors = 1;

int pool_has_processors(void) { return atomic_load(&num_threads) <= atomic_load(&num_processors); }

/* True as soon as the number is zero (or, for `until_zero` false, is not), false when the time is up. */
static int spin(atomic_int *number, int until_zero) {
    if (!pool_has_processors()) return 0;
    double end = pool_clock() + SPIN_SECONDS;
    do {
        for (int i = 0; i < 16; i++) {
            if ((atomic_load_explicit(number, memory_order_acquire) == 0) == until_zero) return 1;
            spin_pause();
        }
    } while (pool_clock() < end);
    return 0;
}

static void finish_one(void) {
    if (atomic_fetch_sub(&unfinished, 1) == 1 && atomic_load(&caller_sleeps)) {
        lock(&sleep_lock);
        wake_one(&work_is_done);
        unlock(&sleep_lock);
    }
}

static void take_part(void) {
    int left = atomic_load(&unclaimed);
    while (left > 0) {
        if (!atomic_compare_exchange_weak(&unclaimed, &left, left - 1)) continue;
        job.task(job.context, job.count - left);
        finish_one();
        left = atomic_load(&unclaimed);
    }
}

static THREAD_RESULT worker(void *unused) {
    (void)unused;
    for (;;) {
        if (!spin(&unclaimed, 0)) {
            lock(&sleep_lock);
            atomic_fetch_add(&sleeping_workers, 1);
            while (atomic_load(&unclaimed) == 0 && !atomic_load(&stopping)) wait_for(&work_is_there, &sleep_lock);
            atomic_fetch_sub(&sleeping_workers, 1);
            unlock(&sleep_lock);
        }
        if (atomic_load(&stopping)) return 0;
        take_part();
    }
}

static void stop_workers(void) {
    lock(&sleep_lock);
    atomic_store(&stopping, 1);
    wake_all(&work_is_there);
    unlock(&sleep_lock);
    for (int i = 0; i < num_workers; i++) thread_join(workers[i]);
    num_workers = 0;
    atomic_store(&stopping, 0);
}

/* Fewer workers than wanted, where the system gives no more, is slower but right. */
static void start_workers(int number) {
    stop_workers();
    watch_forks();
    wanted_workers = number;
    while (num_workers < number && thread_start(&workers[num_workers], worker)) num_workers++;
}

#if !defined(_WIN32)
/* A forked child has the forking thread alone, and copies of locks that threads left behind may hold. */
static void forget_workers(void) {
    sleep_lock = (Lock)LOCK_INIT;
    work_is_there = (Condition)CONDITION_INIT;
    work_is_done = (Condition)CONDITION_INIT;
    atomic_store(&unclaimed, 0);
    atomic_store(&unfinished, 0);
    atomic_store(&sleeping_workers, 0);
    atomic_store(&caller_sleeps, 0);
    atomic_store(&stopping, 0);
    num_workers = 0;
    wanted_workers = 0;
    atomic_flag_clear(&in_use);
}
#endif

static void wake_workers(int number) {
    if (atomic_load(&sleeping_workers) == 0) return;
    lock(&sleep_lock);
    if (number >= num_workers) {
        wake_all(&work_is_there);
    } else {
        for (int i = 0; i < number; i++) wake_one(&work_is_there);
    }
    unlock(&sleep_lock);
}

static void wait_until_done(void) {
    if (spin(&unfinished, 1)) return;
    lock(&sleep_lock);
    atomic_store(&caller_sleeps, 1);
    while (atomic_load(&unfinished) > 0) wait_for(&work_is_done, &sleep_lock);
    atomic_store(&caller_sleeps, 0);
    unlock(&sleep_lock);
}

/* Take the pool, with as many workers as can be had. */
static int take_pool(void) {
    int others = atomic_load(&num_threads) - 1;
    if (others == 0 || atomic_flag_test_and_set(&in_use)) return 0;
    if (wanted_workers != others) start_workers(others);
    return 1;
}

static void run_on_pool(pool_task task, void *context, int count) {
    job.task = task;
    job.context = context;
    job.count = count;
    atomic_store(&unfinished, count);
    atomic_store(&unclaimed, count - 1);
    wake_workers(count - 1);
    task(context, 0);
    finish_one();
    take_part();
    wait_until_done();
    atomic_flag_clear(&in_use);
}

void pool_run(pool_task task, void *context, int count) {
    if (count > 1 && take_pool()) {
        run_on_pool(task, context, count);
        return;
    }
    for (int index = 0; index < count; index++) task(context, index);
}

int pool_run_together(pool_task task, void *context, int count) {
    if (!take_pool()) return 0;
    if (num_workers + 1 < count) {
        atomic_flag_clear(&in_use);
        return 0;
    }
    run_on_pool(task, context, count);
    return 1;
}

/* The last to come turns the number; the others look for that, and after a while let whoever is late have the processor. */
int pool_meet(struct meeting *meeting, int count, const int *stop) {
    int number = __atomic_load_n(&meeting->number, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&meeting->arrived, 1, __ATOMIC_ACQ_REL) == count) {
        __atomic_store_n(&meeting->arrived, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&meeting->number, number + 1, __ATOMIC_RELEASE);
        return 1;
    }
    for (int looks = 0; __atomic_load_n(&meeting->number, __ATOMIC_ACQUIRE) == number; looks++) {
        if (__atomic_load_n(stop, __ATOMIC_RELAXED)) return 0;
        if (looks < 4000)
            spin_pause();
        else
            yield_processor();
    }
    return 1;
}

void pool_set_threads(int threads) {
    if (threads < 1) threads = 1;
    atomic_store(&num_threads, threads < POOL_MAX_THREADS ? threads : POOL_MAX_THREADS);
}

int pool_get_threads(void) { return atomic_load(&num_threads); }

void pool_set_processors(int processors) { atomic_store(&num_processors, processors); }
