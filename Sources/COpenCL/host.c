// What the host's processor is and can do, for drivers that run kernels on it but do not say; and what
// tells one build of this code from another.
#define _GNU_SOURCE
#include "COpenCL.h"

#include <string.h>
#include <sys/stat.h>
#if defined __x86_64__ || defined __i386__
#include <cpuid.h>
#endif
#ifdef __linux__
#include <link.h>
#include <sys/auxv.h>
#else
#include <dlfcn.h>
#endif

static const unsigned long long seed = 0xCBF29CE484222325ULL;

// FNV-1a over the bytes of a number.
static unsigned long long mixed(unsigned long long hash, unsigned long long number) {
  for (size_t i = 0; i < sizeof number; i++)
    hash = (hash ^ (number >> (8 * i) & 0xFF)) * 0x100000001B3ULL;
  return hash;
}

unsigned long long apus_cl_host_processor(void) {
  unsigned long long hash = seed;
#if defined __x86_64__ || defined __i386__
  unsigned a, b, c, d;
  // Vendor; model and features, but not the number of the core in b; more features.
  if (__get_cpuid(0, &a, &b, &c, &d)) hash = mixed(mixed(mixed(hash, b), c), d);
  if (__get_cpuid(1, &a, &b, &c, &d)) hash = mixed(mixed(mixed(hash, a), c), d);
  for (unsigned leaf = 0; leaf < 2; leaf++)
    if (__get_cpuid_count(7, leaf, &a, &b, &c, &d))
      hash = mixed(mixed(mixed(mixed(hash, leaf ? a : 0), b), c), d);
#elif defined __linux__
  hash = mixed(mixed(hash, getauxval(AT_HWCAP)), getauxval(AT_HWCAP2));
#endif
  return hash;
}

#ifdef __linux__
// Finds the file that holds this code; the first that is asked about is the program itself, which
// may have been started by a name that leads nowhere.
static int holds(struct dl_phdr_info *image, size_t size, void *result) {
  static const char *const program = "/proc/self/exe";
  const char **found = result;
  int first = !*found;
  if (first) *found = program;
  ElfW(Addr) here = (ElfW(Addr))&apus_cl_build_number;
  for (int i = 0; i < image->dlpi_phnum; i++) {
    const ElfW(Phdr) *part = &image->dlpi_phdr[i];
    ElfW(Addr) start = image->dlpi_addr + part->p_vaddr;
    if (part->p_type != PT_LOAD || here < start || here >= start + part->p_memsz) continue;
    *found = first ? program : image->dlpi_name;
    return 1;
  }
  return 0;
}
#endif

unsigned long long apus_cl_build_number(void) {
  struct stat status;
#ifdef __linux__
  const char *file = NULL;
  if (!dl_iterate_phdr(holds, &file) || stat(file, &status) != 0) return 0;
  unsigned long long time = (unsigned long long)status.st_mtim.tv_nsec;
#else
  Dl_info image;
  if (!dladdr((void *)&apus_cl_build_number, &image) || stat(image.dli_fname, &status) != 0)
    return 0;
  unsigned long long time = 0;
#endif
  unsigned long long hash = mixed(mixed(seed, (unsigned long long)status.st_dev), status.st_ino);
  hash = mixed(mixed(hash, (unsigned long long)status.st_size), time);
  return mixed(hash, (unsigned long long)status.st_mtime);
}

#if defined(__x86_64__)
// Whether the system saves these registers.
static bool saves(unsigned registers) {
  unsigned a, b, c, d, enabled, high;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return false;
  __asm__("xgetbv" : "=a"(enabled), "=d"(high) : "c"(0));
  return (enabled & registers) == registers;
}

bool apus_host_has_vnni(void) {
  unsigned a, b, c, d;
  // All 512 bits of all 32 registers.
  if (!saves(0xE6) || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  return (b & bit_AVX512F) && (b & bit_AVX512BW) && (b & bit_AVX512VL) && (c & bit_AVX512VNNI);
}

bool apus_host_has_avx2(void) {
  unsigned a, b, c, d;
  // 256 bits of 16 registers.
  if (!saves(0x06) || !__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_F16C) || !(c & bit_FMA))
    return false;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_AVX2);
}

bool apus_host_is_intel(void) {
  unsigned a, b, c, d;
  return __get_cpuid(0, &a, &b, &c, &d) && b == signature_INTEL_ebx && c == signature_INTEL_ecx &&
         d == signature_INTEL_edx;
}
#else
bool apus_host_has_vnni(void) { return false; }
bool apus_host_has_avx2(void) { return false; }
bool apus_host_is_intel(void) { return false; }
#endif
