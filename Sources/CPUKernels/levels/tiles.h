// Tiles of 16 rows of quantised weights (WeightTiles.h draws them), read so that a lane is a row. Where
// a vector has 8 lanes, a tile is read in two halves: `lane` is the first row of one.

// Blocks of 32 in a block of the format.
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

// Whether groups have scales of their own, and minima.
INLINE bool has_group_scales(cpu_type type) { return span(type) > 1; }
INLINE bool has_group_minima(cpu_type type) { return span(type) > 1 && has_minima(type); }

// Bits of a code in either plane.
INLINE int low_bits(cpu_type type) {
  return type == CPU_Q8_0 ? 8 : type == CPU_Q2_K || type == CPU_Q3_K ? 2 : 4;
}
INLINE int high_bits(cpu_type type) {
  switch (type) {
  case CPU_Q5_0:
  case CPU_Q5_1:
  case CPU_Q3_K:
  case CPU_Q5_K: return 1;
  case CPU_Q6_K: return 2;
  default: return 0;
  }
}

INLINE bool has_codebook(cpu_type type) {
  return type == CPU_IQ4_NL || type == CPU_IQ4_XS || type == CPU_MXFP4;
}

// What `code_bytes` adds to the numbers that codes stand for. Those of more than 7 bits come with a sign
// where BIAS is 0, and unsigned where it is 128.
INLINE int zero_of(cpu_type type) {
  switch (type) {
  case CPU_Q4_0: return 8;
  case CPU_Q5_0: return 16;
  case CPU_Q3_K: return 4;
  case CPU_Q6_K: return 32;
  default: return has_codebook(type) || type == CPU_Q8_0 ? BIAS : 0;
  }
}

INLINE bool is_signed(cpu_type type) {
  return BIAS == 0 && (has_codebook(type) || type == CPU_Q8_0);
}

enum { TILE_ROWS = 16 };

// Where the parts of a head begin.
INLINE size_t minima_offset(cpu_type type) { return type == CPU_MXFP4 ? 16 : 32; }
INLINE size_t group_scales_offset(cpu_type type) {
  return minima_offset(type) + (has_minima(type) ? 32 : 0);
}
INLINE size_t group_bytes(cpu_type type) { return TILE_ROWS * span(type) * (size_t)groups(type); }
INLINE size_t group_minima_offset(cpu_type type) {
  return group_scales_offset(type) + (has_group_scales(type) ? group_bytes(type) : 0);
}
INLINE size_t tile_head_bytes(cpu_type type) {
  return group_minima_offset(type) + (has_group_minima(type) ? group_bytes(type) : 0);
}
INLINE size_t block_bytes(cpu_type type) { return 64 * (size_t)(low_bits(type) + high_bits(type)); }

// Bytes of so many blocks of 32, a multiple of `span`.
INLINE size_t tile_bytes(cpu_type type, size_t blocks) {
  return blocks / span(type) * tile_head_bytes(type) + blocks * block_bytes(type);
}

// d of LANES rows, m, and the number of a group.
INLINE vf head_scales(cpu_type type, const uint8_t *head, size_t lane) {
  if (type != CPU_MXFP4) return widen(head + 2 * lane);
  // 2^(e - 128): the two smallest are subnormal.
  vu e = __builtin_convertvector(*(const vo_any *)(head + lane), vu);
  return choose((vi)(e < 2), (vf)((e + 1) << 21), (vf)((e - 1) << 23));
}
INLINE vf head_minima(cpu_type type, const uint8_t *head, size_t lane) {
  return widen(head + minima_offset(type) + 2 * lane);
}
INLINE vf group_scale(cpu_type type, const uint8_t *head, size_t group, size_t lane) {
  const uint8_t *words = head + group_scales_offset(type) + group / 4 * 64 + 4 * lane;
  return __builtin_convertvector((vi)(*(const vu_any *)words << (uint32_t)(24 - group % 4 * 8)) >> 24,
                                 vf);
}
INLINE vf group_minimum(cpu_type type, const uint8_t *head, size_t group, size_t lane) {
  const uint8_t *words = head + group_minima_offset(type) + group / 4 * 64 + 4 * lane;
  return __builtin_convertvector((vi)(*(const vu_any *)words >> (uint32_t)(group % 4 * 8) & 255), vf);
}

// What a plane holds of elements 4 i ... 4 i + 3, `to` bits further up.
INLINE vu plane_words(const uint8_t *plane, int bits, int i, int to, size_t lane) {
  vu words = *(const vu_any *)(plane + 64 * (i % bits) + 4 * lane);
  int shift = i / bits * bits - to;
  uint32_t mask = 0x01010101u * ((1u << bits) - 1) << to;
  return (shift < 0 ? words << (uint32_t)-shift : words >> (uint32_t)shift) & mask;
}

// The numbers behind those elements, plus `zero_of`: four bytes in a lane.
INLINE vb code_bytes(cpu_type type, const uint8_t *block, int i, size_t lane) {
  const b16 levels = {129, 152, 173, 191, 207, 221, 234, 246, 1, 13, 25, 38, 53, 69, 89, 113};
  const b16 floats = {0, 1, 2, 3, 4, 6, 8, 12, 0, 255, 254, 253, 252, 250, 248, 244};
  vu words = plane_words(block, low_bits(type), i, 0, lane);
  if (high_bits(type) > 0)
    words |= plane_words(block + 64 * low_bits(type), high_bits(type), i, low_bits(type), lane);
  if (type == CPU_MXFP4) return look_up(floats ^ (b16)(uint8_t)BIAS, (vb)words);
  if (has_codebook(type)) return look_up(levels ^ (b16)(uint8_t)BIAS, (vb)words);
  if (type == CPU_Q8_0 && BIAS == 0) words ^= 0x80808080u;
  return (vb)words;
}
