// What the types of weights consist of, and rows of floats decoded. Functions of a `type` are inlined
// with a constant one.

// One instance of a function for each type.
#define EACH_FLOAT(instance) instance(CPU_F32) instance(CPU_F16) instance(CPU_BF16)
#define EACH_QUANTIZED(instance)                                                                 \
  instance(CPU_Q4_0) instance(CPU_Q4_1) instance(CPU_Q5_0) instance(CPU_Q5_1) instance(CPU_Q8_0) \
      instance(CPU_Q2_K) instance(CPU_Q3_K) instance(CPU_Q4_K) instance(CPU_Q5_K)                \
          instance(CPU_Q6_K) instance(CPU_IQ4_NL) instance(CPU_IQ4_XS) instance(CPU_MXFP4)

// Elements that are worked on together, in UNIT vectors of floats.
enum { BLOCK = 32, UNIT = BLOCK / LANES };

// ---------------------------------------------------------------------------------- floats

INLINE bool is_float(cpu_type type) {
  return type == CPU_F32 || type == CPU_F16 || type == CPU_BF16;
}

// A half in memory, in all lanes.
INLINE vf widen_one(const void *p) {
  vh h = (vh)*(const u16_any *)p;
  return widen(&h);
}

INLINE size_t element_bytes(cpu_type type) { return type == CPU_F32 ? 4 : 2; }

// Decodes 32 elements.
INLINE void decode_block(cpu_type type, const uint8_t *block, vf values[UNIT]) {
  for (int u = 0; u < UNIT; u++) {
    const uint8_t *source = block + (size_t)(u * LANES) * element_bytes(type);
    if (type == CPU_F32)
      values[u] = load(source);
    else if (type == CPU_F16)
      values[u] = widen(source);
    else
      values[u] = (vf)(__builtin_convertvector(*(const vh_any *)source, vu) << 16);
  }
}

// Decodes n < 32 elements, the rest zero.
INLINE void decode_some(cpu_type type, const uint8_t *source, size_t n, vf values[UNIT]) {
  uint8_t padded[4 * BLOCK] = {0};
  __builtin_memcpy(padded, source, n * element_bytes(type));
  decode_block(type, padded, values);
}

INLINE void decode_as(cpu_type type, const uint8_t *source, size_t count, float *target) {
  size_t i = 0;
  vf values[UNIT];
  for (; i + BLOCK <= count; i += BLOCK, source += BLOCK * element_bytes(type)) {
    decode_block(type, source, values);
    for (int u = 0; u < UNIT; u++) store(target + i + u * LANES, values[u]);
  }
  if (i < count) {
    decode_some(type, source, count - i, values);
    __builtin_memcpy(target + i, values, (count - i) * sizeof(float));
  }
}

static void decode(cpu_type type, const void *source, size_t count, float *target) {
#define CASE(name) \
  case name: decode_as(name, source, count, target); break;
  switch (type) {
    EACH_FLOAT(CASE)
  default: break;
  }
#undef CASE
}

static void embed(const void *arguments, size_t first, size_t last) {
  const cpu_embed_arguments *a = arguments;
  for (size_t r = first; r < last; r++) {
    float *row = a->output + r * a->width;
    size_t token = (size_t)(uint32_t)a->tokens[r];
    if (a->tokens[r] < 0 || token >= a->table_rows)
      __builtin_memset(row, 0, a->width * sizeof(float));
    else if (is_float(a->type))
      decode(a->type, (const uint8_t *)a->table + token * a->width * element_bytes(a->type),
             a->width, row);
    else if (a->tiled)
      weight_tiles_read((weight_type)a->type, a->table, a->width, token, row);
    else
      weight_decode((weight_type)a->type, (const uint8_t *)a->table + token * a->row_bytes,
                    a->width, row);
    if (a->scale != 1.0f)
      for (size_t k = 0; k < a->width; k++) row[k] *= a->scale;
  }
}
