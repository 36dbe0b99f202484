// Opens libOpenCL and fills the table of entry points.
#define _GNU_SOURCE
#include "entry_points.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#endif

apus_cl_entry_points apus_cl_entries;

static const char *const libraries[] = {
#ifdef __APPLE__
    "/System/Library/Frameworks/OpenCL.framework/OpenCL",
#else
    "libOpenCL.so.1", "libOpenCL.so",
#endif
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const char *trouble;
static char missing[128];

int apus_cl_host_processors(void) {
#ifdef __linux__
  cpu_set_t usable;
  if (sched_getaffinity(0, sizeof usable, &usable) == 0 && CPU_COUNT(&usable) > 0)
    return CPU_COUNT(&usable);
#endif
  long count = sysconf(_SC_NPROCESSORS_ONLN);
  return count > 0 ? (int)count : 1;
}

// PoCL starts a thread for each processor of the machine. Where this process may run on fewer, they
// take turns at every launch, which costs more than many a launch: tell it how many there are. What the
// user has set stays.
static void tell_processors(void) {
#ifdef __linux__
  int usable = apus_cl_host_processors();
  if (usable >= sysconf(_SC_NPROCESSORS_ONLN)) return;
  char count[16];
  snprintf(count, sizeof count, "%d", usable);
  setenv("POCL_MAX_PTHREAD_COUNT", count, 0);
#endif
}

static void load(void) {
  tell_processors();
  void *library = NULL;
  for (size_t i = 0; i < sizeof libraries / sizeof *libraries && !library; i++)
    library = dlopen(libraries[i], RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    trouble = "no OpenCL loader: install ocl-icd-libopencl1, or a driver that brings libOpenCL";
    return;
  }
#define ENTRY(name)                                                                   \
  apus_cl_entries.name = (__typeof__(&name))dlsym(library, #name);                    \
  if (!apus_cl_entries.name) {                                                        \
    snprintf(missing, sizeof missing, "the OpenCL loader is too old: no %s", #name);  \
    trouble = missing;                                                                \
    return;                                                                           \
  }
  APUS_CL_ENTRY_POINTS(ENTRY)
#undef ENTRY
}

const char *apus_cl_load(void) {
  pthread_once(&once, load);
  return trouble;
}
