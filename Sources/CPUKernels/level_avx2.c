// AVX2 with FMA and half conversion: 8 lanes, 16 registers.
#include "kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define LANES 8
#define HAS_FMA 1
#define BIAS 0
#define TILE_TOKENS 3
#define F32_TOKENS 6
#define INT8_TOKENS 4
#define INT8_VECTORS 2
#define INT8_SUMS 4
#define INT8_STREAMS 4
#define STREAMS_SUIT true
#define QUERIES 6
#define TILE_PAGES 1
// Units that do not multiply turn halves into floats.
#define WIDENS_FREELY 1
#define HAS_PAIRS 1
// Nor do those that convert whole numbers, and registers are few.
#define CONVERTS 1
#define IN_TURN(v) __asm__("" : "+x"(v))
#define LOADS_IN_TURN __asm__ volatile("" ::: "memory")

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

#include "levels/lanes.h"

INLINE vf widen(const void *p) {
  return (vf)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i_u *)p));
}
INLINE void narrow(void *p, vf v) {
  _mm_storeu_si128((__m128i_u *)p, _mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT));
}
// Sums of two products of a weight of up to 7 bits and an int8 activation, and what four add up to.
INLINE vi dot2(vi sum, vi a, vi b) {
  return sum + (vi)_mm256_madd_epi16((__m256i)a, (__m256i)b);
}
typedef VECTOR(int16_t, 16) vp;
INLINE vp pairs_of(vb w, vb x) { return (vp)_mm256_maddubs_epi16((__m256i)w, (__m256i)x); }
INLINE vi add_pairs(vi sum, vp pairs) {
  return sum + (vi)_mm256_madd_epi16((__m256i)pairs, _mm256_set1_epi16(1));
}
INLINE vi dot4_unsigned(vi sum, vb w, vb x) { return add_pairs(sum, pairs_of(w, x)); }
// The weight's sign moves to the activation; 2 * 128 * 127 still fits 16 bits.
INLINE vi dot4(vi sum, vb w, vb x) {
  __m256i moved = _mm256_sign_epi8((__m256i)x, (__m256i)w);
  return dot4_unsigned(sum, (vb)_mm256_abs_epi8((__m256i)w), (vb)moved);
}
INLINE vb look_up(b16 table, vb codes) {
  return (vb)_mm256_shuffle_epi8(_mm256_broadcastsi128_si256((__m128i)table), (__m256i)codes);
}

#include "levels/level.h"

const cpu_kernels cpu_kernels_avx2 = KERNELS("avx2");

#pragma clang attribute pop
#endif
