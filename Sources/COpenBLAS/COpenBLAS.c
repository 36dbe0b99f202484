#include "COpenBLAS.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <stdint.h>
#endif

static openblas table;
static const openblas *opened;
static pthread_once_t once = PTHREAD_ONCE_INIT;

// The kernels that OpenBLAS shall use, or NULL where its own choice is good. Releases know CPUs by
// model number and take the kernels of an old one for a model that came later (0.3.21 takes
// `Haswell` on a Zen 5, at half the speed), so the features decide here.
static const char *core_type(void) {
#if defined(__x86_64__)
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return NULL;
  __asm__("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
  if ((a & 0xe6) != 0xe6) return NULL; // the system does not save AVX-512 registers
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return NULL;
  uint32_t needed = bit_AVX512F | bit_AVX512CD | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
  if ((b & needed) != needed) return NULL;
  bool bf16 = __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & bit_AVX512BF16);
  return bf16 ? "Cooperlake" : "SkylakeX";
#else
  return NULL;
#endif
}

static void *open_library(void) {
  static const char *const names[] = {
      "libopenblas.so.0", "libopenblas.so", "libopenblasp.so.0", "libopenblas.0.dylib",
      "libopenblas.dylib", "/opt/homebrew/opt/openblas/lib/libopenblas.dylib",
  };
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    void *library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (library) return library;
  }
  return NULL;
}

// Sets a variable unless the user did; true if it has to be taken back.
static bool lend(const char *name, const char *value) {
  return value && !getenv(name) && setenv(name, value, 1) == 0;
}

static void open_once(void) {
  // Both are read once, while the library is loaded; children of this process shall not see them.
  bool core = lend("OPENBLAS_CORETYPE", core_type());
  bool threads = lend("OPENBLAS_NUM_THREADS", "1");
  void *library = open_library();
  if (core) unsetenv("OPENBLAS_CORETYPE");
  if (threads) unsetenv("OPENBLAS_NUM_THREADS");
  if (!library) return;
  table.sgemm = dlsym(library, "cblas_sgemm");
  table.set_num_threads = dlsym(library, "openblas_set_num_threads");
  table.get_config = dlsym(library, "openblas_get_config");
  table.get_corename = dlsym(library, "openblas_get_corename");
  if (!table.sgemm || !table.set_num_threads || !table.get_config || !table.get_corename) {
    dlclose(library);
    return;
  }
  table.set_num_threads(1);
  opened = &table;
}

const openblas *openblas_open(void) {
  pthread_once(&once, open_once);
  return opened;
}
