// Threads that take tasks by atomic tickets.
//
// The tasks of a job are shared out: each thread has neighbours of its own, since it wrote most of what they read,
// and takes others' when these are gone. A share's ticket holds the job's number in its upper half and the number of
// tasks left to take in its lower half. Whoever lowers it owns a task, and as long as a task is owned and not done
// the caller does not touch the job, so a thread that comes late finds either a task of the present job or none.
//
// The affinity mask is a GNU extension.
#define _GNU_SOURCE
#include "include/CPUKernels.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
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

// A thread's place: its share, and what it knows.
typedef struct {
  _Alignas(64) _Atomic uint64_t ticket;
  cpu_pool *pool;
  pthread_t thread;
  uint32_t seen; // the last job that it looked at
} seat;

struct cpu_pool {
  // Written by all threads: each on a cache line of its own.
  _Alignas(64) _Atomic uint32_t job;
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
  size_t tasks, share;
  size_t threads; // the caller's, which has the first seat, among them
  seat seats[];
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

static bool has_work(const seat *s) {
  return atomic_load_explicit(&s->pool->job, memory_order_relaxed) != s->seen;
}

static bool is_done(const seat *s) {
  return atomic_load_explicit(&s->pool->pending, memory_order_acquire) == 0;
}

// Looks until `is_over` says so or the time is up. Every now and then another thread may have the core: it
// may be the one that this one waits for.
static bool look(const seat *s, bool (*is_over)(const seat *), int64_t limit) {
  enum { ROUNDS = 64 };
  if (is_over(s)) return true;
  for (int64_t end = nanoseconds() + limit; nanoseconds() < end; sched_yield())
    for (int i = 0; i < ROUNDS; i++) {
      if (is_over(s)) return true;
      relax();
    }
  return is_over(s);
}

// Takes and runs tasks of a share until none is left; returns how many.
static size_t run_share(cpu_pool *pool, size_t owner) {
  _Atomic uint64_t *place = &pool->seats[owner].ticket;
  uint64_t ticket = atomic_load_explicit(place, memory_order_relaxed);
  size_t ran = 0;
  while ((uint32_t)ticket != 0) {
    if (!atomic_compare_exchange_weak_explicit(place, &ticket, ticket - 1, memory_order_acquire,
                                               memory_order_relaxed))
      continue;
    size_t begin = owner * pool->share, end = begin + pool->share;
    pool->task(pool->context, (end < pool->tasks ? end : pool->tasks) - (uint32_t)ticket);
    ran++;
    ticket = atomic_load_explicit(place, memory_order_relaxed);
  }
  return ran;
}

// Takes and runs tasks until none is left, first those of its own share.
static void work(seat *s) {
  cpu_pool *pool = s->pool;
  s->seen = atomic_load_explicit(&pool->job, memory_order_acquire);
  size_t own = (size_t)(s - pool->seats), ran = 0;
  for (size_t i = 0; i < pool->threads; i++) ran += run_share(pool, (own + i) % pool->threads);
  // Told at the end and not task by task: `pending` cannot reach zero before, so all tasks that
  // were run here belong to one job.
  if (ran == 0 || atomic_fetch_sub_explicit(&pool->pending, ran, memory_order_acq_rel) != ran)
    return;
  pthread_mutex_lock(&pool->mutex);
  if (pool->caller_waits) pthread_cond_signal(&pool->done);
  pthread_mutex_unlock(&pool->mutex);
}

static void *worker(void *argument) {
  seat *s = argument;
  cpu_pool *pool = s->pool;
  for (;;) {
    if (!look(s, has_work, AWAKE_NANOSECONDS)) {
      pthread_mutex_lock(&pool->mutex);
      atomic_fetch_add(&pool->sleepers, 1);
      // In one order with what the caller does: it writes the job, then looks for sleepers.
      while (atomic_load(&pool->job) == s->seen && !pool->stop)
        pthread_cond_wait(&pool->work, &pool->mutex);
      atomic_fetch_sub(&pool->sleepers, 1);
      bool stop = pool->stop;
      pthread_mutex_unlock(&pool->mutex);
      if (stop) return NULL;
    }
    work(s);
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
  size_t wanted = (size_t)(threads < 1 ? 1 : threads > MOST_THREADS ? MOST_THREADS : threads);
  size_t bytes = sizeof(cpu_pool) + wanted * sizeof(seat);
  cpu_pool *pool = NULL;
  if (posix_memalign((void **)&pool, 64, bytes) != 0) return NULL;
  memset(pool, 0, bytes);
  pthread_mutex_init(&pool->mutex, NULL);
  pthread_cond_init(&pool->work, NULL);
  pthread_cond_init(&pool->done, NULL);
  for (size_t i = 0; i < wanted; i++) pool->seats[i].pool = pool;
  pool->threads = 1;
  pthread_attr_t attributes;
  if (wanted == 1 || pthread_attr_init(&attributes) != 0) return pool;
  pthread_attr_setstacksize(&attributes, STACK);
  size_t made = 1;
  while (made < wanted && pthread_create(&pool->seats[made].thread, &attributes, worker,
                                         &pool->seats[made]) == 0)
    made++;
  pthread_attr_destroy(&attributes);
  // Before the first job nobody reads it.
  pool->threads = made;
  return pool;
}

void cpu_pool_destroy(cpu_pool *pool) {
  if (!pool) return;
  pthread_mutex_lock(&pool->mutex);
  pool->stop = true;
  pthread_cond_broadcast(&pool->work);
  pthread_mutex_unlock(&pool->mutex);
  for (size_t i = 1; i < pool->threads; i++) pthread_join(pool->seats[i].thread, NULL);
  pthread_cond_destroy(&pool->work);
  pthread_cond_destroy(&pool->done);
  pthread_mutex_destroy(&pool->mutex);
  free(pool);
}

int cpu_pool_threads(const cpu_pool *pool) { return pool ? (int)pool->threads : 1; }

size_t cpu_pool_share(const cpu_pool *pool, size_t tasks) {
  size_t threads = (size_t)cpu_pool_threads(pool);
  return (tasks + threads - 1) / threads;
}

void cpu_pool_run(cpu_pool *pool, size_t tasks, bool wakes, void (*task)(void *, size_t),
                  void *context) {
  if (!pool || pool->threads == 1 || tasks <= 1 || tasks > UINT32_MAX) {
    for (size_t i = 0; i < tasks; i++) task(context, i);
    return;
  }
  pool->task = task;
  pool->context = context;
  pool->tasks = tasks;
  pool->share = cpu_pool_share(pool, tasks);
  atomic_store_explicit(&pool->pending, tasks, memory_order_relaxed);
  uint32_t job = atomic_load_explicit(&pool->job, memory_order_relaxed) + 1;
  for (size_t i = 0, left = tasks; i < pool->threads; i++) {
    size_t some = left < pool->share ? left : pool->share;
    left -= some;
    atomic_store_explicit(&pool->seats[i].ticket, (uint64_t)job << 32 | some, memory_order_release);
  }
  atomic_store(&pool->job, job);
  // Threads that sleep take no part, unless the job is worth their wake: the caller can do all of it.
  if (wakes && atomic_load(&pool->sleepers) > 0) {
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->mutex);
  }

  work(&pool->seats[0]);
  if (look(&pool->seats[0], is_done, WAIT_NANOSECONDS)) return;
  // The core of a thread that still works may be gone to another process: sleep until it is back. That
  // frees this core, and the system may move the thread here.
  pthread_mutex_lock(&pool->mutex);
  pool->caller_waits = true;
  while (!is_done(&pool->seats[0])) pthread_cond_wait(&pool->done, &pool->mutex);
  pool->caller_waits = false;
  pthread_mutex_unlock(&pool->mutex);
}
