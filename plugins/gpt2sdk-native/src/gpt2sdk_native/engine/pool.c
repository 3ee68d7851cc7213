/* Threads that work on one job together.
 *
 * They are torch's own, of its OpenMP, where the caller names them: those wait for torch's next
 * operation with all their processor's time, for milliseconds, and threads beside them would share
 * it. Else threads are made here, which spin for a moment after a job, and then sleep; so do those
 * of a child after fork(), in which OpenMP has none and makes none.
 *
 * Bits never depend on who computes what. One call at a time has the threads; another one that
 * comes meanwhile works alone.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "native.h"
#if defined(__x86_64__)
#include <immintrin.h>
#define RELAX() _mm_pause()
#elif defined(__aarch64__)
#define RELAX() __asm__ volatile("yield")
#else
#define RELAX() ((void)0)
#endif

enum { MOST = 128, SPINS = 1 << 12, AWAKE_NS = 100000 };

struct team {
    atomic_int members, arrived, round;
};

static struct {
    pthread_mutex_t owner, bed;
    pthread_cond_t alarm;
    int made;
    atomic_ulong call; /* its number times 256, and how many work on it */
    atomic_int asleep, done;
    job work;
    void *argument;
    struct team team;
    struct openmp openmp;
} pool = {.owner = PTHREAD_MUTEX_INITIALIZER,
          .bed = PTHREAD_MUTEX_INITIALIZER,
          .alarm = PTHREAD_COND_INITIALIZER};

static void in_child(void) {
    pthread_mutex_init(&pool.owner, NULL);
    pthread_mutex_init(&pool.bed, NULL);
    pthread_cond_init(&pool.alarm, NULL);
    pool.made = 0;
    pool.openmp.parallel = NULL;
    atomic_store(&pool.call, 0);
    atomic_store(&pool.asleep, 0);
}

__attribute__((constructor)) static void watch_forks(void) { pthread_atfork(NULL, NULL, in_child); }

static void wait_a_bit(int *spins) {
    if (++*spins < SPINS) RELAX();
    else sched_yield();
}

int members(const struct team *team) {
    return atomic_load_explicit(&team->members, memory_order_relaxed);
}

void meet(struct team *team) {
    const int all = members(team);
    if (all == 1) return;
    const int round = atomic_load_explicit(&team->round, memory_order_acquire);
    if (atomic_fetch_add_explicit(&team->arrived, 1, memory_order_acq_rel) + 1 == all) {
        atomic_store_explicit(&team->arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&team->round, round + 1, memory_order_release);
        return;
    }
    for (int spins = 0; atomic_load_explicit(&team->round, memory_order_acquire) == round;)
        wait_a_bit(&spins);
}

/* Numbers are computed as IEEE says, whatever the caller has set for its own thread. */
static void work_as(job work, void *argument, struct team *team, int member) {
#if defined(__x86_64__)
    const unsigned mode = _mm_getcsr();
    _mm_setcsr(0x1f80);
    work(argument, team, member);
    _mm_setcsr(mode);
#elif defined(__aarch64__)
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    __asm__ volatile("msr fpcr, %0" ::"r"((uint64_t)0));
    work(argument, team, member);
    __asm__ volatile("msr fpcr, %0" ::"r"(mode));
#else
    work(argument, team, member);
#endif
}

static long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

static unsigned long next_call(unsigned long last) {
    unsigned long call;
    const long until = now() + AWAKE_NS;
    for (int i = 1;; i++) {
        if ((call = atomic_load(&pool.call)) != last) return call;
        RELAX();
        if (i % 64 == 0 && now() > until) break;
    }
    pthread_mutex_lock(&pool.bed);
    atomic_fetch_add(&pool.asleep, 1);
    while ((call = atomic_load(&pool.call)) == last) pthread_cond_wait(&pool.alarm, &pool.bed);
    atomic_fetch_sub(&pool.asleep, 1);
    pthread_mutex_unlock(&pool.bed);
    return call;
}

static void *worker(void *number) {
    const int member = (int)(intptr_t)number;
    for (unsigned long call = 0;;) {
        call = next_call(call);
        if ((unsigned long)member >= call % 256) continue;
        work_as(pool.work, pool.argument, &pool.team, member);
        atomic_fetch_add_explicit(&pool.done, 1, memory_order_release);
    }
    return NULL;
}

/* Have so many threads, or as many as there can be. */
static int have(int threads) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (pool.made + 1 < threads) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, worker, (void *)(intptr_t)(pool.made + 1))) break;
        pthread_detach(thread);
        pool.made++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pool.made + 1 < threads ? pool.made + 1 : threads;
}

static void of_openmp(void *nothing) {
    (void)nothing;
    const int member = pool.openmp.number(), count = pool.openmp.count();
    /* There may be fewer than were asked for; all write the same before any of them meet. */
    atomic_store_explicit(&pool.team.members, count, memory_order_relaxed);
    work_as(pool.work, pool.argument, &pool.team, member);
}

static void of_our_own(int threads) {
    threads = have(threads);
    atomic_store(&pool.team.members, threads);
    atomic_store(&pool.done, 0);
    const unsigned long number = atomic_load(&pool.call) / 256 + 1;
    atomic_store(&pool.call, number * 256 + (unsigned long)threads);
    if (atomic_load(&pool.asleep)) {
        pthread_mutex_lock(&pool.bed);
        pthread_cond_broadcast(&pool.alarm);
        pthread_mutex_unlock(&pool.bed);
    }
    work_as(pool.work, pool.argument, &pool.team, 0);
    for (int spins = 0; atomic_load_explicit(&pool.done, memory_order_acquire) != threads - 1;)
        wait_a_bit(&spins);
}

void run_together(int threads, job work, void *argument) {
    if (threads > MOST) threads = MOST;
    if (threads <= 1 || pthread_mutex_trylock(&pool.owner)) {
        struct team alone = {.members = 1};
        work_as(work, argument, &alone, 0);
        return;
    }
    pool.work = work;
    pool.argument = argument;
    atomic_store(&pool.team.arrived, 0);
    if (pool.openmp.parallel) pool.openmp.parallel(of_openmp, NULL, (unsigned)threads, 0);
    else of_our_own(threads);
    pthread_mutex_unlock(&pool.owner);
}

void gpt2sdk_use_openmp(const struct openmp *openmp) {
    pthread_mutex_lock(&pool.owner);
    pool.openmp = openmp ? *openmp : (struct openmp){NULL, NULL, NULL};
    pthread_mutex_unlock(&pool.owner);
}
