// Blocks of a file taken apart. Sources/Tensors/Formats draws each layout.
#pragma once

#include "include/WeightTiles.h"

#include <string.h>

#define INLINE static inline __attribute__((always_inline))

// One instance of a function for each format.
#define EACH_FORMAT(instance)                                                                       \
  instance(WEIGHT_Q4_0) instance(WEIGHT_Q4_1) instance(WEIGHT_Q5_0) instance(WEIGHT_Q5_1)           \
      instance(WEIGHT_Q8_0) instance(WEIGHT_Q2_K) instance(WEIGHT_Q3_K) instance(WEIGHT_Q4_K)       \
          instance(WEIGHT_Q5_K) instance(WEIGHT_Q6_K) instance(WEIGHT_IQ4_NL)                       \
              instance(WEIGHT_IQ4_XS) instance(WEIGHT_MXFP4)

// Elements that share a scale of int8 activations.
enum { BLOCK = 32 };

// What the blocks of a format consist of.
typedef struct {
  size_t length, bytes; // of a file's block
  size_t group;         // elements that share s and n
  int low_bits, high_bits;
  bool has_minimum, has_group_scales, has_group_minima, has_power_scale;
  int zero;
  const int8_t *codebook; // in place of code - zero, or NULL
} structure;

static const int8_t levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                  1,    13,   25,  38,  53,  69,  89,  113};
static const int8_t small_floats[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

INLINE structure structure_of(weight_type type) {
  switch (type) {
  case WEIGHT_Q4_0: return (structure){32, 18, 32, 4, 0, .zero = 8};
  case WEIGHT_Q4_1: return (structure){32, 20, 32, 4, 0, .has_minimum = true};
  case WEIGHT_Q5_0: return (structure){32, 22, 32, 4, 1, .zero = 16};
  case WEIGHT_Q5_1: return (structure){32, 24, 32, 4, 1, .has_minimum = true};
  case WEIGHT_Q8_0: return (structure){32, 34, 32, 8, 0, .zero = 128};
  case WEIGHT_Q2_K: return (structure){256, 84, 16, 2, 0, true, true, true};
  case WEIGHT_Q3_K: return (structure){256, 110, 16, 2, 1, .has_group_scales = true, .zero = 4};
  case WEIGHT_Q4_K: return (structure){256, 144, 32, 4, 0, true, true, true};
  case WEIGHT_Q5_K: return (structure){256, 176, 32, 4, 1, true, true, true};
  case WEIGHT_Q6_K: return (structure){256, 210, 16, 4, 2, .has_group_scales = true, .zero = 32};
  case WEIGHT_IQ4_NL: return (structure){32, 18, 32, 4, 0, .codebook = levels};
  case WEIGHT_IQ4_XS:
    return (structure){256, 136, 32, 4, 0, .has_group_scales = true, .codebook = levels};
  case WEIGHT_MXFP4:
    return (structure){32, 17, 32, 4, 0, .has_power_scale = true, .codebook = small_floats};
  }
}

// One block: bits of d (of MXFP4 its byte) and m, and s, n and the codes one by one. What a format
// lacks is left as it is.
typedef struct {
  uint16_t d, m;
  int8_t scales[16];
  uint8_t minima[16];
  uint8_t codes[256];
} parts;

INLINE uint16_t read_16(const uint8_t *p) {
  uint16_t v;
  memcpy(&v, p, sizeof v);
  return v;
}
INLINE uint32_t read_32(const uint8_t *p) {
  uint32_t v;
  memcpy(&v, p, sizeof v);
  return v;
}

// Byte j holds element j low, and element j + 16 high.
INLINE void nibble_pairs(const uint8_t *bytes, uint8_t *codes) {
  for (int j = 0; j < 16; j++) {
    codes[j] = bytes[j] & 15;
    codes[j + 16] = bytes[j] >> 4;
  }
}

// Bit j of a word belongs to element j.
INLINE void fifth_bits(const uint8_t *bytes, uint8_t *codes) {
  for (int j = 0; j < 32; j++) codes[j] |= (uint8_t)((bytes[j / 8] >> (j % 8) & 1) << 4);
}

// Element 128 h + 32 p + l lies in byte 32 h + l, at bit 2 p; its bits become bit `to` and the next.
INLINE void two_bit_planes(const uint8_t *bytes, int to, uint8_t *codes) {
  for (int b = 0; b < 8; b++)
    for (int l = 0; l < 32; l++)
      codes[32 * b + l] |= (uint8_t)((bytes[b / 4 * 32 + l] >> (b % 4 * 2) & 3) << to);
}

// Element 32 b + l is bit b of byte l; it becomes bit `to`.
INLINE void bit_planes(const uint8_t *bytes, int to, uint8_t *codes) {
  for (int b = 0; b < 8; b++)
    for (int l = 0; l < 32; l++) codes[32 * b + l] |= (uint8_t)((bytes[l] >> b & 1) << to);
}

// Byte 32 i + l holds element 64 i + l low, and 64 i + 32 + l high.
INLINE void nibble_planes(const uint8_t *bytes, uint8_t *codes) {
  for (int i = 0; i < 4; i++)
    for (int l = 0; l < 32; l++) {
      codes[64 * i + l] = bytes[32 * i + l] & 15;
      codes[64 * i + 32 + l] = bytes[32 * i + l] >> 4;
    }
}

// Eight s and eight n of six bits in 12 bytes.
INLINE void six_bit_pairs(const uint8_t *bytes, parts *out) {
  for (int i = 0; i < 4; i++) {
    out->scales[i] = (int8_t)(bytes[i] & 63);
    out->minima[i] = bytes[4 + i] & 63;
    out->scales[4 + i] = (int8_t)((bytes[8 + i] & 15) | bytes[i] >> 6 << 4);
    out->minima[4 + i] = (uint8_t)(bytes[8 + i] >> 4 | bytes[4 + i] >> 6 << 4);
  }
}

// `dmin` is taken off, so m is what it is with the other sign.
INLINE uint16_t negated(uint16_t half) { return half ^ 0x8000; }

INLINE void unpack(weight_type type, const uint8_t *block, parts *out) {
  switch (type) {
  case WEIGHT_Q4_0:
    out->d = read_16(block);
    nibble_pairs(block + 2, out->codes);
    break;
  case WEIGHT_Q4_1:
    out->d = read_16(block), out->m = read_16(block + 2);
    nibble_pairs(block + 4, out->codes);
    break;
  case WEIGHT_Q5_0:
    out->d = read_16(block);
    nibble_pairs(block + 6, out->codes);
    fifth_bits(block + 2, out->codes);
    break;
  case WEIGHT_Q5_1:
    out->d = read_16(block), out->m = read_16(block + 2);
    nibble_pairs(block + 8, out->codes);
    fifth_bits(block + 4, out->codes);
    break;
  case WEIGHT_Q8_0:
    out->d = read_16(block);
    for (int j = 0; j < 32; j++) out->codes[j] = block[2 + j] ^ 128;
    break;
  case WEIGHT_Q2_K:
    out->d = read_16(block + 80), out->m = negated(read_16(block + 82));
    for (int g = 0; g < 16; g++) {
      out->scales[g] = (int8_t)(block[g] & 15);
      out->minima[g] = block[g] >> 4;
    }
    memset(out->codes, 0, sizeof out->codes);
    two_bit_planes(block + 16, 0, out->codes);
    break;
  case WEIGHT_Q3_K:
    out->d = read_16(block + 108);
    // The low four bits of s g are a nibble of byte g % 8, the high two lie in byte 8 + g % 4.
    for (int g = 0; g < 16; g++) {
      int low = block[96 + g % 8] >> (g / 8 * 4) & 15;
      int high = block[104 + g % 4] >> (g / 4 * 2) & 3;
      out->scales[g] = (int8_t)((high << 4 | low) - 32);
    }
    memset(out->codes, 0, sizeof out->codes);
    two_bit_planes(block + 32, 0, out->codes);
    bit_planes(block, 2, out->codes);
    break;
  case WEIGHT_Q4_K:
    out->d = read_16(block), out->m = negated(read_16(block + 2));
    six_bit_pairs(block + 4, out);
    nibble_planes(block + 16, out->codes);
    break;
  case WEIGHT_Q5_K:
    out->d = read_16(block), out->m = negated(read_16(block + 2));
    six_bit_pairs(block + 4, out);
    nibble_planes(block + 48, out->codes);
    bit_planes(block + 16, 4, out->codes);
    break;
  case WEIGHT_Q6_K:
    out->d = read_16(block + 208);
    memcpy(out->scales, block + 192, 16);
    // The nibble of element 128 h + 32 p + l lies in byte 64 h + 32 (p % 2) + l, low for p < 2.
    for (int b = 0; b < 8; b++)
      for (int l = 0; l < 32; l++)
        out->codes[32 * b + l] = block[b / 4 * 64 + b % 2 * 32 + l] >> (b % 4 / 2 * 4) & 15;
    two_bit_planes(block + 128, 4, out->codes);
    break;
  case WEIGHT_IQ4_NL:
    out->d = read_16(block);
    nibble_pairs(block + 2, out->codes);
    break;
  case WEIGHT_IQ4_XS: {
    out->d = read_16(block);
    int high = read_16(block + 2);
    for (int g = 0; g < 8; g++) {
      int low = block[4 + g / 2] >> (g % 2 * 4) & 15;
      out->scales[g] = (int8_t)(((high >> (2 * g) & 3) << 4 | low) - 32);
      nibble_pairs(block + 8 + 16 * g, out->codes + 32 * g);
    }
    break;
  }
  case WEIGHT_MXFP4:
    out->d = block[0];
    nibble_pairs(block + 1, out->codes);
    break;
  }
}

// A half as a float.
INLINE float widened(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16, magnitude = half & 0x7fff;
  float value;
  if (magnitude >= 0x7c00) { // infinity, or not a number
    uint32_t bits = sign | 0x7f800000 | (magnitude & 0x3ff) << 13;
    memcpy(&value, &bits, sizeof value);
    return value;
  }
  uint32_t bits = magnitude << 13;
  memcpy(&value, &bits, sizeof value);
  value *= 0x1p112f; // exact, for subnormal numbers too
  return sign ? -value : value;
}

INLINE float scale_of(weight_type type, uint16_t d) {
  if (!structure_of(type).has_power_scale) return widened(d);
  // 2^(d - 128): the two smallest are subnormal.
  uint32_t bits = d < 2 ? 0x00200000u << d : (uint32_t)(d - 1) << 23;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// What element j of a block stands for.
INLINE float element(weight_type type, const parts *block, size_t j) {
  structure s = structure_of(type);
  size_t g = j / s.group;
  int code = block->codes[j], integer = s.codebook ? s.codebook[code] : code - s.zero;
  float scale = scale_of(type, block->d);
  if (s.has_group_scales) scale *= block->scales[g];
  float product = scale * (float)integer; // exact
  if (!s.has_minimum) return product;
  float minimum = widened(block->m);
  return product + (s.has_group_minima ? minimum * block->minima[g] : minimum);
}
