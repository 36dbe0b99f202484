// What every CPU has, by the compiler's vectors: SSE2 on x86-64, NEON on arm64.
#include "kernels.h"

// A vector of 8 lanes is two registers here. It is never passed to a function that is not inlined.
#pragma clang diagnostic ignored "-Wpsabi"

#define LANES 8
#if defined(__aarch64__) || defined(__FMA__)
#define HAS_FMA 1
#else
#define HAS_FMA 0
#endif
#define BIAS 0
#define INT8_VECTORS 1
#define INT8_SUMS INT8_TOKENS
#define INT8_STREAMS 1
#define STREAMS_SUIT false
#if defined(__aarch64__) // 32 registers, or else 16
#define TILE_TOKENS 2
#define F32_TOKENS 4
#define INT8_TOKENS 4
#define QUERIES 6
#define TILE_PAGES 1
#else
#define TILE_TOKENS 1
#define F32_TOKENS 2
#define INT8_TOKENS 2
#define QUERIES 3
#define TILE_PAGES 1
#endif

#define WIDENS_FREELY 0

#define HAS_PAIRS 0
#define CONVERTS 0

#include "levels/lanes.h"

#if defined(__aarch64__)
#include <arm_neon.h>

typedef VECTOR(__fp16, 8) halves;
UNALIGNED(halves, halves_any);
INLINE vf widen(const void *p) {
  return __builtin_convertvector(*(const halves_any *)p, vf);
}
INLINE void narrow(void *p, vf v) { *(halves_any *)p = __builtin_convertvector(v, halves); }

#else

// The exponent of a half is rebased by one multiplication, which also makes its denormals normal;
// infinity and NaN keep all exponent bits.
INLINE vf widen(const void *p) {
  vu h = __builtin_convertvector(*(const vh_any *)p, vu);
  vu bits = (h & 0x7fff) << 13;
  vf scaled = (vf)bits * 0x1p112f;
  vu special = (vu)(bits >= (0x7c00u << 13)) & 0x7f800000u;
  return (vf)((vu)scaled | special | (h & 0x8000) << 16);
}

// To the nearest, ties to even: normal numbers by adding half an ulp less one plus the last bit
// kept, denormals by the addition of a number whose ulp is that of the smallest half.
INLINE void narrow(void *p, vf v) {
  vu bits = (vu)v & 0x7fffffffu;
  vu sign = (vu)v >> 16 & 0x8000u;
  vu normal = (bits + (0xc8000fffu + (bits >> 13 & 1u))) >> 13;
  vu denormal = (vu)((vf)bits + 0.5f) - (126u << 23);
  vu infinite = ((vu)(bits > 0x7f800000u) & 0x200u) | 0x7c00u;
  vu is_small = (vu)(bits < (113u << 23));
  vu is_large = (vu)(bits >= (143u << 23));
  vu half = (is_small & denormal) | (~is_small & normal);
  half = (is_large & infinite) | (~is_large & half);
  *(vh_any *)p = __builtin_convertvector(half | sign, vh);
}

#endif

#define EVEN(v) \
  __builtin_shufflevector(v, v, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)
#define ODD(v) \
  __builtin_shufflevector(v, v, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)

INLINE vi dot2(vi sum, vi a, vi b) {
  vu even = (vu)(a << 16 >> 16) * (vu)(b << 16 >> 16), odd = (vu)(a >> 16) * (vu)(b >> 16);
  return (vi)((vu)sum + even + odd);
}
// Products of words are added in pairs, and pairs in pairs. In this shape the compiler sees one
// instruction in the first step (`pmaddwd`) on x86.
INLINE vi dot4(vi sum, vb w, vb x) {
  typedef VECTOR(int8_t, 32) signed_bytes;
  typedef VECTOR(int16_t, 32) words;
  typedef VECTOR(int32_t, 16) pairs;
  words a = __builtin_convertvector((signed_bytes)w, words);
  words b = __builtin_convertvector((signed_bytes)x, words);
  pairs p = __builtin_convertvector(EVEN(a), pairs) * __builtin_convertvector(EVEN(b), pairs) +
            __builtin_convertvector(ODD(a), pairs) * __builtin_convertvector(ODD(b), pairs);
  return sum + __builtin_shufflevector(p, p, 0, 2, 4, 6, 8, 10, 12, 14) +
         __builtin_shufflevector(p, p, 1, 3, 5, 7, 9, 11, 13, 15);
}
INLINE vi dot4_unsigned(vi sum, vb w, vb x) { return dot4(sum, w, x); }

#if defined(__aarch64__)

INLINE vb look_up(b16 table, vb codes) {
  uint8x16x2_t v;
  __builtin_memcpy(&v, &codes, sizeof v);
  for (int i = 0; i < 2; i++) v.val[i] = vqtbl1q_u8((uint8x16_t)table, v.val[i]);
  __builtin_memcpy(&codes, &v, sizeof v);
  return codes;
}

#else

INLINE vb look_up(b16 table, vb codes) {
  uint8_t from[16], bytes[sizeof codes];
  __builtin_memcpy(from, &table, sizeof from);
  __builtin_memcpy(bytes, &codes, sizeof bytes);
  for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = from[bytes[i]];
  __builtin_memcpy(&codes, bytes, sizeof bytes);
  return codes;
}

#endif

#include "levels/level.h"

const cpu_kernels cpu_kernels_portable = KERNELS("portable");
