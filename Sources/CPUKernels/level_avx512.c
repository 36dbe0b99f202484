// AVX-512 with byte dot products (VNNI): 16 lanes, 32 registers.
#include "kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define LANES 16
#define HAS_FMA 1
// `vpdpbusd` takes unsigned bytes on one side: signed weights are stored plus 128, and 128 times
// the sum of the activations comes off again.
#define BIAS 128
#define TILE_TOKENS 6
#define F32_TOKENS 12
#define INT8_TOKENS 6
#define INT8_VECTORS 2
// Eight chains of products keep a core of AMD busy, and leave registers for what comes behind a block; Intel's products
// come a cycle later.
#define INT8_SUMS (cpu_is_intel ? 12 : 8)
#define INT8_STREAMS 4
#define STREAMS_SUIT cpu_is_intel // a Zen 5 is faster from one place
#define QUERIES 6
#define TILE_PAGES 4
// Units that do not multiply turn halves into floats.
#define WIDENS_FREELY 1
#define CONVERTS 0

#pragma clang attribute push(                                                                 \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c"))), \
    apply_to = function)

#define HAS_PAIRS 0
#define KEEP_APART(v) __asm__("" : "+v"(v))

#include "levels/lanes.h"

INLINE vf widen(const void *p) {
  return (vf)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i_u *)p));
}
INLINE void narrow(void *p, vf v) {
  _mm256_storeu_si256((__m256i_u *)p, _mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT));
}
INLINE vi dot2(vi sum, vi a, vi b) {
  return (vi)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
}
INLINE vi dot4(vi sum, vb w, vb x) {
  return (vi)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)w, (__m512i)x);
}
// Codes are never negative.
INLINE vi dot4_unsigned(vi sum, vb w, vb x) { return dot4(sum, w, x); }
INLINE vb look_up(b16 table, vb codes) {
  return (vb)_mm512_shuffle_epi8(_mm512_broadcast_i32x4((__m128i)table), (__m512i)codes);
}
#include "levels/level.h"

const cpu_kernels cpu_kernels_avx512 = KERNELS("avx512-vnni");

#pragma clang attribute pop
#endif
