#define _GNU_SOURCE
#include "AllocationCounter.h"

#include <stdlib.h>

#ifdef __GLIBC__
#include <errno.h>
#include <link.h>
#include <stdint.h>
#include <string.h>

// The allocator's own names, under which it stays reachable where a program has a malloc of its own.
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

// Where the program and Swift's libraries lie: calls from elsewhere do not count.
enum { MOST_RANGES = 64 };
static _Thread_local struct {
  bool counts;
  long count;
  int ranges;
  uintptr_t from[MOST_RANGES], to[MOST_RANGES];
} counter;

static int note_library(struct dl_phdr_info *library, size_t size, void *unused) {
  (void)size, (void)unused;
  const char *name = library->dlpi_name;
  if (name[0] != 0 && !strstr(name, "libswift") && !strstr(name, "oundation")) return 0;
  for (int i = 0; i < library->dlpi_phnum && counter.ranges < MOST_RANGES; i++) {
    const ElfW(Phdr) *part = &library->dlpi_phdr[i];
    if (part->p_type != PT_LOAD || !(part->p_flags & PF_X)) continue;
    counter.from[counter.ranges] = library->dlpi_addr + part->p_vaddr;
    counter.to[counter.ranges++] = library->dlpi_addr + part->p_vaddr + part->p_memsz;
  }
  return 0;
}

static void note(const void *caller) {
  if (!counter.counts) return;
  uintptr_t place = (uintptr_t)caller;
  for (int i = 0; i < counter.ranges; i++)
    if (place >= counter.from[i] && place < counter.to[i]) {
      counter.count++;
      return;
    }
}

void *malloc(size_t size) {
  note(__builtin_return_address(0));
  return __libc_malloc(size);
}
void *calloc(size_t count, size_t size) {
  note(__builtin_return_address(0));
  return __libc_calloc(count, size);
}
void *realloc(void *memory, size_t size) {
  note(__builtin_return_address(0));
  return __libc_realloc(memory, size);
}
void *aligned_alloc(size_t alignment, size_t size) {
  note(__builtin_return_address(0));
  return __libc_memalign(alignment, size);
}
int posix_memalign(void **memory, size_t alignment, size_t size) {
  note(__builtin_return_address(0));
  *memory = __libc_memalign(alignment, size);
  return *memory ? 0 : ENOMEM;
}

int allocations_are_counted(void) { return 1; }

void start_counting_allocations(void) {
  counter.counts = false;
  counter.ranges = 0;
  dl_iterate_phdr(note_library, NULL);
  counter.count = 0;
  counter.counts = true;
}

long counted_allocations(void) { return counter.count; }

#else

int allocations_are_counted(void) { return 0; }
void start_counting_allocations(void) {}
long counted_allocations(void) { return 0; }

#endif
