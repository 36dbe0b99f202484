// What tools/peers measures the machine's memory with: how soon bytes come that only have to be read.
//
//   memory BYTES COUNT THREADS
//     finds out in which way this machine reads fastest, prints "ready", and then for each line on its input
//     reads BYTES COUNT times, shared by THREADS threads, and prints nanoseconds.
//
// A way is how many places of its part a thread reads from in turns, and how far ahead it asks for bytes.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { STEP = 128, MOST_THREADS = 64, TRIALS = 3 };

typedef unsigned long long words __attribute__((vector_size(64)));

typedef struct {
  size_t streams, ahead;
} way;

typedef struct {
  const char *begin;
  size_t bytes, count;
  way way;
  words sum;
  pthread_t thread;
} part;

static long long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000ll + time.tv_nsec;
}

static void *read_part(void *argument) {
  part *p = argument;
  size_t streams = p->way.streams, ahead = p->way.ahead, length = p->bytes / streams / STEP * STEP;
  words sum = p->sum;
  for (size_t n = 0; n < p->count; n++)
    for (size_t i = 0; i < length; i += STEP)
      for (size_t s = 0; s < streams; s++) {
        const char *at = p->begin + s * length + i;
        if (ahead > 0)
          for (size_t line = 0; line < STEP; line += 64) __builtin_prefetch(at + ahead + line);
        for (size_t line = 0; line < STEP; line += sizeof(words)) sum ^= *(const words *)(at + line);
      }
  p->sum = sum;
  return NULL;
}

// Nanoseconds that it takes to read all of it so many times.
static long long read_all(const char *bytes, size_t size, size_t count, size_t threads, way way) {
  static part parts[MOST_THREADS];
  size_t share = size / threads / 4096 * 4096;
  long long start = now();
  for (size_t t = 0; t < threads; t++) {
    parts[t] = (part){.begin = bytes + t * share, .bytes = share, .count = count, .way = way, .sum = parts[t].sum};
    if (t > 0 && pthread_create(&parts[t].thread, NULL, read_part, &parts[t]) != 0) exit(1);
  }
  read_part(&parts[0]);
  for (size_t t = 1; t < threads; t++) pthread_join(parts[t].thread, NULL);
  return now() - start;
}

static way fastest(const char *bytes, size_t size, size_t threads) {
  static const size_t streams[] = {1, 2, 4, 8, 16}, aheads[] = {0, 1024, 2048, 4096, 8192};
  way best = {1, 0};
  long long least = 0;
  for (size_t s = 0; s < sizeof streams / sizeof *streams; s++)
    for (size_t a = 0; a < sizeof aheads / sizeof *aheads; a++)
      for (int trial = 0; trial < TRIALS; trial++) {
        way way = {streams[s], aheads[a]};
        long long took = read_all(bytes, size, 1, threads, way);
        if (least == 0 || took < least) least = took, best = way;
      }
  return best;
}

int main(int count, char **arguments) {
  size_t numbers[3] = {0};
  for (int i = 0; i < 3 && count == 4; i++) numbers[i] = strtoull(arguments[i + 1], NULL, 10);
  size_t size = numbers[0], times = numbers[1], threads = numbers[2];
  if (size < 1 << 20 || times == 0 || threads == 0 || threads > MOST_THREADS) {
    fprintf(stderr, "usage: memory BYTES COUNT THREADS, with a MiB or more and 64 threads at most\n");
    return 64;
  }
  // Room behind the end for what is asked for ahead.
  char *bytes = mmap(NULL, size + (1 << 16), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (bytes == MAP_FAILED) return 1;
#ifdef MADV_HUGEPAGE
  madvise(bytes, size, MADV_HUGEPAGE);
#endif
  memset(bytes, 1, size);
  way way = fastest(bytes, size, threads);
  fprintf(stderr, "memory: %zu places in turns, %zu bytes ahead\n", way.streams, way.ahead);
  printf("ready\n"), fflush(stdout);
  for (char line[64]; fgets(line, sizeof line, stdin);)
    printf("%lld\n", read_all(bytes, size, times, threads, way)), fflush(stdout);
}
