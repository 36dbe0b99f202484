// Opens libOpenCL and fills the table of entry points.
#include "entry_points.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

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

static void load(void) {
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
