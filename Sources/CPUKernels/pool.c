// Threads that take tasks by an atomic ticket.
//
// A ticket holds a generation in its upper half and the number of tasks left to take in its lower
// half. Whoever lowers it owns a task, and as long as a task is owned and not done the caller does
// not touch the job, so a thread that comes late finds either a task of the present job or none.
// The affinity mask is a GNU extension.
#define _GNU_SOURCE
#include "include/CPUKernels.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

// How long a thread looks for work before it sleeps. To wake it costs the caller a system call, and it is
// there some 30 microseconds later on a virtual machine: more than most operations of a step for one
// token take. So it stays awake across what the steps of a generation do between operations, and no longer,
// as another process may wait for the core. The caller looks that long for the end of tasks that others run.
enum { AWAKE_NANOSECONDS = 200000, WAIT_NANOSECONDS = 50000 };

// Kernels keep their tiles on the stack, up to some 200 KiB; the default of a small C library is
// less than that. And no machine has more threads than this to offer.
enum { STACK = 1 << 20, MOST_THREADS = 1024 };

struct cpu_pool {
  // Written by all threads: each on a cache line of its own.
  _Alignas(64) _Atomic uint64_t ticket;
  _Alignas(64) _Atomic size_t pending;
  _Alignas(64) pthread_mutex_t mutex;
  pthread_cond_t work;
  pthread_cond_t done;
  _Atomic int sleepers; // changed under the mutex
  bool caller_waits;    // under the mutex
  bool stop;            // under the mutex
  // The job; it stays as it is while a task of it is pending.
  void (*task)(void *, size_t);
  void *context;
  size_t tasks;
  int workers;
  pthread_t threads[];
};

static inline void relax(void) {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static int64_t nanoseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool has_work(const cpu_pool *pool) {
  return (uint32_t)atomic_load_explicit(&pool->ticket, memory_order_relaxed) != 0;
}

static bool is_done(const cpu_pool *pool) {
  return atomic_load_explicit(&pool->pending, memory_order_acquire) == 0;
}

// Looks until `is_over` says so or the time is up. Every now and then another thread may have the core: it
// may be the one that this one waits for.
static bool look(const cpu_pool *pool, bool (*is_over)(const cpu_pool *), int64_t limit) {
  enum { ROUNDS = 64 };
  if (is_over(pool)) return true;
  for (int64_t end = nanoseconds() + limit; nanoseconds() < end; sched_yield())
    for (int i = 0; i < ROUNDS; i++) {
      if (is_over(pool)) return true;
      relax();
    }
  return is_over(pool);
}

// Takes and runs tasks until none is left.
static void work(cpu_pool *pool) {
  uint64_t ticket = atomic_load_explicit(&pool->ticket, memory_order_relaxed);
  size_t ran = 0;
  while ((uint32_t)ticket != 0) {
    if (!atomic_compare_exchange_weak_explicit(&pool->ticket, &ticket, ticket - 1,
                                               memory_order_acquire, memory_order_relaxed))
      continue;
    pool->task(pool->context, pool->tasks - (uint32_t)ticket);
    ran++;
    ticket = atomic_load_explicit(&pool->ticket, memory_order_relaxed);
  }
  // Told at the end and not task by task: `pending` cannot reach zero before, so all tasks that
  // were run here belong to one job.
  if (ran == 0 || atomic_fetch_sub_explicit(&pool->pending, ran, memory_order_acq_rel) != ran)
    return;
  pthread_mutex_lock(&pool->mutex);
  if (pool->caller_waits) pthread_cond_signal(&pool->done);
  pthread_mutex_unlock(&pool->mutex);
}

static void *worker(void *argument) {
  cpu_pool *pool = argument;
  for (;;) {
    if (!look(pool, has_work, AWAKE_NANOSECONDS)) {
      pthread_mutex_lock(&pool->mutex);
      atomic_fetch_add(&pool->sleepers, 1);
      // In one order with what the caller does: it writes the ticket, then looks for sleepers.
      while ((uint32_t)atomic_load(&pool->ticket) == 0 && !pool->stop)
        pthread_cond_wait(&pool->work, &pool->mutex);
      atomic_fetch_sub(&pool->sleepers, 1);
      bool stop = pool->stop;
      pthread_mutex_unlock(&pool->mutex);
      if (stop) return NULL;
    }
    work(pool);
  }
}

int cpu_online(void) {
#if defined(__linux__)
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
#endif
  long count = sysconf(_SC_NPROCESSORS_ONLN);
  return count > 0 ? (int)count : 1;
}

cpu_pool *cpu_pool_create(int threads) {
  int workers = (threads < 1 ? 1 : threads > MOST_THREADS ? MOST_THREADS : threads) - 1;
  size_t bytes = sizeof(cpu_pool) + (size_t)workers * sizeof(pthread_t);
  cpu_pool *pool = NULL;
  if (posix_memalign((void **)&pool, 64, bytes) != 0) return NULL;
  atomic_init(&pool->ticket, 0);
  atomic_init(&pool->pending, 0);
  pthread_mutex_init(&pool->mutex, NULL);
  pthread_cond_init(&pool->work, NULL);
  pthread_cond_init(&pool->done, NULL);
  atomic_init(&pool->sleepers, 0);
  pool->caller_waits = false;
  pool->stop = false;
  pool->workers = 0;
  pthread_attr_t attributes;
  if (workers == 0 || pthread_attr_init(&attributes) != 0) return pool;
  pthread_attr_setstacksize(&attributes, STACK);
  while (pool->workers < workers &&
         pthread_create(&pool->threads[pool->workers], &attributes, worker, pool) == 0)
    pool->workers++;
  pthread_attr_destroy(&attributes);
  return pool;
}

void cpu_pool_destroy(cpu_pool *pool) {
  if (!pool) return;
  pthread_mutex_lock(&pool->mutex);
  pool->stop = true;
  pthread_cond_broadcast(&pool->work);
  pthread_mutex_unlock(&pool->mutex);
  for (int i = 0; i < pool->workers; i++) pthread_join(pool->threads[i], NULL);
  pthread_cond_destroy(&pool->done);
  pthread_cond_destroy(&pool->work);
  pthread_mutex_destroy(&pool->mutex);
  free(pool);
}

int cpu_pool_threads(const cpu_pool *pool) { return pool ? pool->workers + 1 : 1; }

void cpu_pool_run(cpu_pool *pool, size_t tasks, bool wakes, void (*task)(void *, size_t),
                  void *context) {
  if (!pool || pool->workers == 0 || tasks <= 1 || tasks > UINT32_MAX) {
    for (size_t i = 0; i < tasks; i++) task(context, i);
    return;
  }
  pool->task = task;
  pool->context = context;
  pool->tasks = tasks;
  atomic_store_explicit(&pool->pending, tasks, memory_order_relaxed);
  uint64_t ticket = atomic_load_explicit(&pool->ticket, memory_order_relaxed);
  uint64_t next = ((ticket >> 32) + 1) << 32 | tasks;
  atomic_store(&pool->ticket, next);
  // Threads that sleep take no part, unless the job is worth their wake: the caller can do all of it.
  if (wakes && atomic_load(&pool->sleepers) > 0) {
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->mutex);
  }

  work(pool);
  if (look(pool, is_done, WAIT_NANOSECONDS)) return;
  // The core of a thread that still works may be gone to another process: sleep until it is back. That
  // frees this core, and the system may move the thread here.
  pthread_mutex_lock(&pool->mutex);
  pool->caller_waits = true;
  while (!is_done(pool)) pthread_cond_wait(&pool->done, &pool->mutex);
  pool->caller_waits = false;
  pthread_mutex_unlock(&pool->mutex);
}
