// Which level this CPU has.
#include "kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

bool cpu_is_intel;

#if defined(__x86_64__)

__attribute__((constructor)) static void know_maker(void) {
  uint32_t a, b, c, d;
  cpu_is_intel = __get_cpuid(0, &a, &b, &c, &d) && b == signature_INTEL_ebx &&
                 c == signature_INTEL_ecx && d == signature_INTEL_edx;
}

// Register states that the operating system saves: without them the instructions fault, whatever
// CPUID says of the CPU.
static uint32_t saved_states(void) {
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return 0;
  __asm__("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
  return a;
}

static bool has(cpu_level level) {
  enum { YMM = 0x06, ZMM = 0xe6 };
  uint32_t a, b, c, d, states = saved_states();
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_FMA) || !(c & bit_F16C)) return false;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  bool avx2 = (states & YMM) == YMM && (b & bit_AVX2);
  if (level == CPU_LEVEL_AVX2) return avx2;
  uint32_t foundation = bit_AVX512F | bit_AVX512BW | bit_AVX512VL | bit_AVX512DQ;
  return avx2 && (states & ZMM) == ZMM && (b & foundation) == foundation && (c & bit_AVX512VNNI);
}

#endif

bool cpu_suit_intel(bool does) {
  bool did = cpu_is_intel;
  cpu_is_intel = does;
  return did;
}

const cpu_kernels *cpu_kernels_level(cpu_level level) {
  switch (level) {
  case CPU_LEVEL_PORTABLE: return &cpu_kernels_portable;
#if defined(__x86_64__)
  case CPU_LEVEL_AVX2: return has(level) ? &cpu_kernels_avx2 : NULL;
  case CPU_LEVEL_AVX512: return has(level) ? &cpu_kernels_avx512 : NULL;
#else
  case CPU_LEVEL_AVX2:
  case CPU_LEVEL_AVX512: return NULL;
#endif
  }
  return NULL;
}

const cpu_kernels *cpu_kernels_best(void) {
  for (int level = CPU_LEVELS - 1; level > 0; level--) {
    const cpu_kernels *kernels = cpu_kernels_level((cpu_level)level);
    if (kernels) return kernels;
  }
  return &cpu_kernels_portable;
}

const char *cpu_kernels_name(const cpu_kernels *kernels) { return kernels->name; }

const char *cpu_brand(void) {
#if defined(__x86_64__)
  // Written anew by every call, always with the same text.
  static _Thread_local char brand[49];
  uint32_t words[12], a, b, c, d;
  for (uint32_t i = 0; i < 3; i++) {
    if (!__get_cpuid(0x80000002 + i, &a, &b, &c, &d)) return "x86-64 CPU";
    words[4 * i] = a, words[4 * i + 1] = b, words[4 * i + 2] = c, words[4 * i + 3] = d;
  }
  __builtin_memcpy(brand, words, sizeof words);
  brand[48] = 0;
  const char *start = brand;
  while (*start == ' ') start++;
  return start;
#elif defined(__aarch64__)
  return "arm64 CPU";
#else
  return "CPU";
#endif
}
