// Blocks of weights, taken apart in vectors. Sources/Tensors/Formats draws each layout. An element is
//
//   d * (scale of its group) * (code - zero) + m * (minimum of its group)
//
// where a code is a few bits, or an index into a table of signed numbers. A file's block has 32 or
// 256 elements; kernels take 32 at a time, as many as share a scale of int8 activations. Functions of
// a `type` are inlined with a constant one. Nothing is read beyond the block.

// One instance of a function for each type.
#define EACH_QUANTIZED(instance)                                                                 \
  instance(CPU_Q4_0) instance(CPU_Q4_1) instance(CPU_Q5_0) instance(CPU_Q5_1) instance(CPU_Q8_0) \
      instance(CPU_Q2_K) instance(CPU_Q3_K) instance(CPU_Q4_K) instance(CPU_Q5_K)                \
          instance(CPU_Q6_K) instance(CPU_IQ4_NL) instance(CPU_IQ4_XS) instance(CPU_MXFP4)
#define EACH_TYPE(instance) \
  instance(CPU_F32) instance(CPU_F16) instance(CPU_BF16) EACH_QUANTIZED(instance)

INLINE bool is_float(cpu_type type) {
  return type == CPU_F32 || type == CPU_F16 || type == CPU_BF16;
}

// Elements that are worked on together, in UNIT vectors of floats.
enum { BLOCK = 32, UNIT = BLOCK / LANES };

// Bytes of a file's block; of 32 elements for float types.
INLINE size_t block_bytes(cpu_type type) {
  switch (type) {
  case CPU_F32: return 4 * BLOCK;
  case CPU_F16: return 2 * BLOCK;
  case CPU_BF16: return 2 * BLOCK;
  case CPU_Q4_0: return 18;
  case CPU_Q4_1: return 20;
  case CPU_Q5_0: return 22;
  case CPU_Q5_1: return 24;
  case CPU_Q8_0: return 34;
  case CPU_Q2_K: return 84;
  case CPU_Q3_K: return 110;
  case CPU_Q4_K: return 144;
  case CPU_Q5_K: return 176;
  case CPU_Q6_K: return 210;
  case CPU_IQ4_NL: return 18;
  case CPU_IQ4_XS: return 136;
  case CPU_MXFP4: return 17;
  }
}

// Blocks of 32 in a file's block.
INLINE size_t span(cpu_type type) {
  switch (type) {
  case CPU_Q2_K:
  case CPU_Q3_K:
  case CPU_Q4_K:
  case CPU_Q5_K:
  case CPU_Q6_K:
  case CPU_IQ4_XS: return 8;
  default: return 1;
  }
}

// Groups in 32 elements.
INLINE int groups(cpu_type type) {
  return type == CPU_Q2_K || type == CPU_Q3_K || type == CPU_Q6_K ? 2 : 1;
}

INLINE bool has_minima(cpu_type type) {
  switch (type) {
  case CPU_Q4_1:
  case CPU_Q5_1:
  case CPU_Q2_K:
  case CPU_Q4_K:
  case CPU_Q5_K: return true;
  default: return false;
  }
}

// Whether codes stand for signed numbers that are not code - zero.
INLINE bool is_signed(cpu_type type) {
  switch (type) {
  case CPU_Q8_0:
  case CPU_IQ4_NL:
  case CPU_IQ4_XS:
  case CPU_MXFP4: return true;
  default: return false;
  }
}

// What `codes` adds to the numbers that it returns; `bias` is what it is asked to add to signed ones.
INLINE int zero_of(cpu_type type, int bias) {
  switch (type) {
  case CPU_Q4_0: return 8;
  case CPU_Q5_0: return 16;
  case CPU_Q3_K: return 4;
  case CPU_Q6_K: return 32;
  default: return is_signed(type) ? bias : 0;
  }
}

// ---------------------------------------------------------------------------------- codes

// 32 bytes at p, and at q in the second half of a vector of two blocks.
INLINE vb bytes_at(const uint8_t *p, const uint8_t *q) {
#if LANES == 16
  b32 a = *(const b32_any *)p, b = *(const b32_any *)q;
  return __builtin_shufflevector(
      a, b, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24,
      25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48,
      49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63);
#else
  (void)q;
  return *(const b32_any *)p;
#endif
}

// 16 bytes at p to 32 nibbles, the low ones first; likewise those at q where n is 2.
INLINE vb nibbles(int n, const uint8_t *p, const uint8_t *q) {
#if LANES == 16
  if (n == 2) return nibble_pair(p, q);
#endif
  (void)n, (void)q;
  b16 a = *(const b16_any *)p;
  b32 v = __builtin_shufflevector(a & 15, a >> 4, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
                                  15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31);
  return bytes_at((const uint8_t *)&v, (const uint8_t *)&v);
}

// Byte j is 16 where bit j of the word at p is set; the second half likewise for q.
INLINE vb fifth_bits(const uint8_t *p, const uint8_t *q) {
#if LANES == 16
  return fifth_bit_pair(*(const u32_any *)p | (uint64_t)*(const u32_any *)q << 32);
#else
  (void)q;
  VECTOR(uint8_t, 4) w;
  __builtin_memcpy(&w, p, sizeof w);
  b32 bytes = __builtin_shufflevector(w, w, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2,
                                      2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
  const b32 bits = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128,
                    1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  return (b32)((bytes & bits) == bits) & 16;
#endif
}

// 32 bytes at p, of which bit `shift` becomes the lowest; in the second half bit `shift` + `step`.
// The bits above come from the byte's neighbour.
INLINE vb plane(const uint8_t *p, size_t shift, size_t step) {
  uint32_t low = (uint32_t)shift;
#if LANES == 16
  uint32_t high = low + (uint32_t)step;
  vu shifts = {low,  low,  low,  low,  low,  low,  low,  low,
               high, high, high, high, high, high, high, high};
  return (vb)((vu)bytes_at(p, p) >> shifts);
#else
  (void)step;
  return (vb)((vu)bytes_at(p, p) >> low);
#endif
}

// `value` where bit b of the 32 bytes at p is set; in the second half where bit b + 1 is.
INLINE vb bit_plane(const uint8_t *p, size_t b, uint32_t value) {
  return (vb)((vu)(plane(p, b, 1) & 1) * value);
}

// The numbers behind 32 codes, plus `zero_of`: of block b of a file's block; where n is 2 (it is
// constant, and LANES is 16) of the next block too, which is b + 1, or lies at `second` for formats
// of 32. Otherwise the second half is anything.
INLINE vb codes(cpu_type type, int n, int bias, const uint8_t *block, const uint8_t *second,
                size_t b) {
  const b16 signs = (b16)(uint8_t)bias;
  const b16 levels = {129, 152, 173, 191, 207, 221, 234, 246, 1, 13, 25, 38, 53, 69, 89, 113};
  const b16 floats = {0, 1, 2, 3, 4, 6, 8, 12, 0, 255, 254, 253, 252, 250, 248, 244};
  switch (type) {
  case CPU_Q4_0: return nibbles(n, block + 2, second + 2);
  case CPU_Q4_1: return nibbles(n, block + 4, second + 4);
  case CPU_Q5_0:
    return nibbles(n, block + 6, second + 6) | fifth_bits(block + 2, second + 2);
  case CPU_Q5_1:
    return nibbles(n, block + 8, second + 8) | fifth_bits(block + 4, second + 4);
  case CPU_Q8_0: return bytes_at(block + 2, second + 2) ^ (uint8_t)bias;
  case CPU_Q2_K: return plane(block + 16 + b / 4 * 32, b % 4 * 2, 2) & 3;
  case CPU_Q3_K:
    return (plane(block + 32 + b / 4 * 32, b % 4 * 2, 2) & 3) | bit_plane(block, b, 4);
  case CPU_Q4_K: return plane(block + 16 + b / 2 * 32, b % 2 * 4, 4) & 15;
  case CPU_Q5_K:
    return (plane(block + 48 + b / 2 * 32, b % 2 * 4, 4) & 15) | bit_plane(block + 16, b, 16);
  case CPU_Q6_K: {
    const uint8_t *p = block + b / 4 * 64 + b % 2 * 32;
    vb low = (vb)((vu)bytes_at(p, p + 32) >> (uint32_t)(b % 4 / 2 * 4)) & 15;
    vu high = (vu)(plane(block + 128 + b / 4 * 32, b % 4 * 2, 2) & 3);
    return low | (vb)(high << 4);
  }
  case CPU_IQ4_NL: return look_up(levels ^ signs, nibbles(n, block + 2, second + 2));
  case CPU_IQ4_XS:
    return look_up(levels ^ signs, nibbles(n, block + 8 + b * 16, block + 24 + b * 16));
  case CPU_MXFP4: return look_up(floats ^ signs, nibbles(n, block + 1, second + 1));
  default: return (vb)(uint8_t)0;
  }
}

// ---------------------------------------------------------------------------------- scales

// A half in memory, in all lanes.
INLINE vf widen_one(const void *p) {
  uint16_t bits = *(const u16_any *)p;
  vh h = (vh)bits;
  return widen(&h);
}

// The low halves of words.
INLINE vf widen_low(vu words) {
  vh h = __builtin_convertvector(words & 0xffffu, vh);
  return widen(&h);
}

// What a file's block says of all its elements and of its groups, for a row in each lane or for one
// row in all lanes. The signed bytes of word i belong to the groups 4 i ... 4 i + 3; only formats of
// 256 have them.
typedef struct {
  vf d, m;
  vu scales[4], minima[4];
} head;

// The words at `offset` of LANES blocks; of one block, in all lanes, where `rows` (a constant) is 1.
INLINE vu words_at(const uint8_t *const *blocks, int rows, size_t offset) {
  if (rows == 1) return (vu)*(const u32_any *)(blocks[0] + offset);
  uint32_t words[LANES];
  for (int r = 0; r < LANES; r++) words[r] = *(const u32_any *)(blocks[r] + offset);
  vu v;
  __builtin_memcpy(&v, words, sizeof v);
  return v;
}

// Numbers of six bits in bytes, less 32.
INLINE vu less_32(vu bytes) {
  vu v = bytes ^ 0x20202020u, sign = v & 0x20202020u;
  return v | sign << 1 | sign << 2;
}

// Four nibbles, or four pairs of bits, to a byte each.
INLINE vu spread_nibbles(vu v) {
  v = (v | v << 8) & 0x00ff00ffu;
  return (v | v << 4) & 0x0f0f0f0fu;
}
INLINE vu spread_pairs(vu v) {
  v = (v | v << 12) & 0x000f000fu;
  return (v | v << 6) & 0x03030303u;
}

// d, and m if there are minima.
INLINE void block_scales(cpu_type type, const uint8_t *const *blocks, int rows, head *h) {
  if (type == CPU_MXFP4) {
    vu e = rows == 1 ? (vu)(uint32_t)blocks[0][0] : words_at(blocks, rows, 0) & 255;
    // 2^(e - 128): the two smallest are subnormal.
    h->d = choose(e < 2, (vf)((e + 1) << 21), (vf)((e - 1) << 23));
    return;
  }
  size_t at = type == CPU_Q2_K ? 80 : type == CPU_Q3_K ? 108 : type == CPU_Q6_K ? 208 : 0;
  bool is_last = at + 2 == block_bytes(type);
  if (rows == 1) {
    h->d = widen_one(blocks[0] + at);
    if (has_minima(type)) h->m = widen_one(blocks[0] + at + 2);
  } else {
    vu both = words_at(blocks, rows, is_last ? at - 2 : at);
    h->d = widen_low(is_last ? both >> 16 : both);
    if (has_minima(type)) h->m = widen_low(both >> 16);
  }
  if (has_minima(type) && span(type) > 1) h->m = -h->m;
}

INLINE head head_of(cpu_type type, const uint8_t *const *blocks, int rows) {
  head h;
  block_scales(type, blocks, rows, &h);
  switch (type) {
  case CPU_Q2_K:
    for (size_t i = 0; i < 4; i++) {
      vu words = words_at(blocks, rows, 4 * i);
      h.scales[i] = words & 0x0f0f0f0fu;
      h.minima[i] = words >> 4 & 0x0f0f0f0fu;
    }
    break;
  case CPU_Q3_K: {
    vu first = words_at(blocks, rows, 96), second = words_at(blocks, rows, 100);
    vu low[4] = {first, second, first >> 4, second >> 4}, high = words_at(blocks, rows, 104);
    for (uint32_t i = 0; i < 4; i++)
      h.scales[i] = less_32((low[i] & 0x0f0f0f0fu) | (high >> (2 * i) & 0x03030303u) << 4);
    break;
  }
  case CPU_Q4_K:
  case CPU_Q5_K: {
    vu scales = words_at(blocks, rows, 4), minima = words_at(blocks, rows, 8);
    vu rest = words_at(blocks, rows, 12);
    h.scales[0] = scales & 0x3f3f3f3fu;
    h.minima[0] = minima & 0x3f3f3f3fu;
    h.scales[1] = (rest & 0x0f0f0f0fu) | (scales >> 2 & 0x30303030u);
    h.minima[1] = (rest >> 4 & 0x0f0f0f0fu) | (minima >> 2 & 0x30303030u);
    break;
  }
  case CPU_Q6_K:
    for (size_t i = 0; i < 4; i++) h.scales[i] = words_at(blocks, rows, 192 + 4 * i);
    break;
  case CPU_IQ4_XS: {
    vu high = words_at(blocks, rows, 0) >> 16, low = words_at(blocks, rows, 4);
    h.scales[0] = less_32(spread_nibbles(low & 0xffffu) | spread_pairs(high & 0xffu) << 4);
    h.scales[1] = less_32(spread_nibbles(low >> 16) | spread_pairs(high >> 8) << 4);
    break;
  }
  default: break;
  }
  return h;
}

// The number of group g, from the scales or minima of a head.
INLINE vf of_group(const vu words[4], size_t g) {
  return __builtin_convertvector((vi)(words[g / 4] << (uint32_t)(24 - g % 4 * 8)) >> 24, vf);
}
