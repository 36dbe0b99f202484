// What the host's processor can do, for drivers that run kernels on it but do not say.
#include "COpenCL.h"

#if defined(__x86_64__)
#include <cpuid.h>

bool apus_host_has_vnni(void) {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return false;
  // The system saves all 512 bits of all 32 registers.
  unsigned enabled, high;
  __asm__("xgetbv" : "=a"(enabled), "=d"(high) : "c"(0));
  if ((enabled & 0xE6) != 0xE6) return false;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  return (b & bit_AVX512F) && (b & bit_AVX512BW) && (b & bit_AVX512VL) && (c & bit_AVX512VNNI);
}
#else
bool apus_host_has_vnni(void) { return false; }
#endif
