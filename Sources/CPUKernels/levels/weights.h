// Weights in their file's layout, decoded into vectors.
//
//   Q4_1   20 bytes: d f16 | m f16 | 16 bytes; low nibble is element j, high nibble j + 16
//   Q8_0   34 bytes: d f16 | 32 signed bytes

// Elements that are decoded together, in UNIT vectors; a block of the quantised types.
enum { BLOCK = 32, UNIT = BLOCK / LANES };

INLINE size_t block_bytes(cpu_type type) {
  switch (type) {
  case CPU_F32: return 4 * BLOCK;
  case CPU_F16: return 2 * BLOCK;
  case CPU_Q4_1: return 20;
  case CPU_Q8_0: return 34;
  }
}

// A half in memory, in all lanes.
INLINE vf widen_one(const void *p) {
  uint16_t bits = *(const u16_any *)p;
  vh h = (vh)bits;
  return widen(&h);
}

// The 32 bytes of a block: 0 ... 15 for Q4_1, signed for Q8_0.
INLINE b32 block_values(cpu_type type, const uint8_t *block) {
  if (type == CPU_Q8_0) return *(const b32_any *)(block + 2);
  b16 q = *(const b16_any *)(block + 4);
  return __builtin_shufflevector(q, q >> 4, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
                                 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31) &
         15;
}

INLINE vf of_bytes(vo bytes) {
  return __builtin_convertvector(__builtin_convertvector(bytes, vi), vf);
}

// Decodes 32 elements.
INLINE void decode_block(cpu_type type, const uint8_t *block, vf values[UNIT]) {
  switch (type) {
  case CPU_F32:
    for (int u = 0; u < UNIT; u++) values[u] = load(block + u * LANES * 4);
    break;
  case CPU_F16:
    for (int u = 0; u < UNIT; u++) values[u] = widen(block + u * LANES * 2);
    break;
  case CPU_Q4_1: {
    // The product has 15 bits and is exact.
    vf d = widen_one(block), m = widen_one(block + 2);
    b16 q = *(const b16_any *)(block + 4);
    b16 halves[2] = {q & 15, q >> 4};
    for (int i = 0; i < 2; i++) {
#if LANES == 16
      values[i] = of_bytes(halves[i]) * d + m;
#else
      vo first = __builtin_shufflevector(halves[i], halves[i], 0, 1, 2, 3, 4, 5, 6, 7);
      vo second = __builtin_shufflevector(halves[i], halves[i], 8, 9, 10, 11, 12, 13, 14, 15);
      values[2 * i] = of_bytes(first) * d + m;
      values[2 * i + 1] = of_bytes(second) * d + m;
#endif
    }
    break;
  }
  case CPU_Q8_0: {
    vf d = widen_one(block);
    for (int u = 0; u < UNIT; u++) {
      vc part = *(const vc_any *)(block + 2 + u * LANES);
      values[u] = __builtin_convertvector(__builtin_convertvector(part, vi), vf) * d;
    }
    break;
  }
  }
}

// Decodes n < 32 elements of a float type, the rest zero.
INLINE void decode_some(cpu_type type, const uint8_t *source, size_t n, vf values[UNIT]) {
  uint8_t padded[4 * BLOCK] = {0};
  __builtin_memcpy(padded, source, n * (type == CPU_F32 ? 4 : 2));
  decode_block(type, padded, values);
}

INLINE void decode_as(cpu_type type, const uint8_t *source, size_t count, float *target) {
  size_t i = 0;
  vf values[UNIT];
  for (; i + BLOCK <= count; i += BLOCK, source += block_bytes(type)) {
    decode_block(type, source, values);
    for (int u = 0; u < UNIT; u++) store(target + i + u * LANES, values[u]);
  }
  if (i < count) {
    decode_some(type, source, count - i, values);
    __builtin_memcpy(target + i, values, (count - i) * sizeof(float));
  }
}

static void decode(cpu_type type, const void *source, size_t count, float *target) {
  switch (type) {
  case CPU_F32: decode_as(CPU_F32, source, count, target); break;
  case CPU_F16: decode_as(CPU_F16, source, count, target); break;
  case CPU_Q4_1: decode_as(CPU_Q4_1, source, count, target); break;
  case CPU_Q8_0: decode_as(CPU_Q8_0, source, count, target); break;
  }
}

static void embed(const void *arguments, size_t first, size_t last) {
  const cpu_embed_arguments *a = arguments;
  for (size_t r = first; r < last; r++) {
    float *row = a->output + r * a->width;
    int32_t token = a->tokens[r];
    if (token < 0 || (size_t)token >= a->table_rows)
      __builtin_memset(row, 0, a->width * sizeof(float));
    else
      decode(a->type, (const uint8_t *)a->table + (size_t)token * a->row_bytes, a->width, row);
    if (a->scale != 1.0f)
      for (size_t k = 0; k < a->width; k++) row[k] *= a->scale;
  }
}
