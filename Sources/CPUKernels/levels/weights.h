// Weights decoded to floats.

// What decodes the elements of one row's block: d and m, and for formats of 256 d * scale and
// m * minimum of each group. All products are exact.
typedef struct {
  vf d, m;
  float scales[16], minima[16];
} decoder;

// The numbers of `count` (8 or 16) groups, from a head of one row, times `unit`.
INLINE void store_groups(const vu words[4], size_t count, vf unit, float out[16]) {
  VECTOR(uint32_t, 4) all = {words[0][0], words[1][0], 0, 0};
  if (count == 16) all[2] = words[2][0], all[3] = words[3][0];
  for (size_t first = 0; first < count; first += LANES) {
    vc part;
    __builtin_memcpy(&part, (const int8_t *)&all + first, sizeof part);
    store(out + first, __builtin_convertvector(__builtin_convertvector(part, vi), vf) * unit);
  }
}

INLINE void prepare(cpu_type type, const uint8_t *block, decoder *out) {
  if (is_float(type)) return;
  head h = head_of(type, &block, 1);
  out->d = h.d;
  out->m = h.m;
  if (span(type) == 1) return;
  size_t count = span(type) * (size_t)groups(type);
  store_groups(h.scales, count, h.d, out->scales);
  if (has_minima(type)) store_groups(h.minima, count, h.m, out->minima);
}

// Decodes 32 elements: block b of a file's block.
INLINE void decode_block(cpu_type type, const uint8_t *block, size_t b, const decoder *with,
                         vf values[UNIT]) {
  if (type == CPU_F32) {
    for (int u = 0; u < UNIT; u++) values[u] = load(block + u * LANES * 4);
    return;
  }
  if (type == CPU_F16) {
    for (int u = 0; u < UNIT; u++) values[u] = widen(block + u * LANES * 2);
    return;
  }
  if (type == CPU_BF16) {
    for (int u = 0; u < UNIT; u++) {
      vh bits = *(const vh_any *)(block + u * LANES * 2);
      values[u] = (vf)(__builtin_convertvector(bits, vu) << 16);
    }
    return;
  }
  vb all = codes(type, 1, 0, block, block, b);
  for (int u = 0; u < UNIT; u++) {
    vo part;
    __builtin_memcpy(&part, (const uint8_t *)&all + u * LANES, sizeof part);
    vi numbers = is_signed(type) ? __builtin_convertvector((vc)part, vi)
                                 : __builtin_convertvector(part, vi) - zero_of(type, 0);
    size_t group = b * (size_t)groups(type) + (size_t)(u * groups(type) / UNIT);
    vf scale = span(type) == 1 ? with->d : splat(with->scales[group]);
    vf minimum = span(type) == 1 ? with->m : splat(with->minima[group]);
    values[u] = __builtin_convertvector(numbers, vf) * scale;
    if (has_minima(type)) values[u] += minimum;
  }
}

// Decodes n < 32 elements of a float type, the rest zero.
INLINE void decode_some(cpu_type type, const uint8_t *source, size_t n, vf values[UNIT]) {
  uint8_t padded[4 * BLOCK] = {0};
  __builtin_memcpy(padded, source, n * (type == CPU_F32 ? 4 : 2));
  decode_block(type, padded, 0, NULL, values);
}

INLINE void decode_as(cpu_type type, const uint8_t *source, size_t count, float *target) {
  size_t i = 0;
  vf values[UNIT];
  for (; i + BLOCK * span(type) <= count; source += block_bytes(type)) {
    decoder with;
    prepare(type, source, &with);
    for (size_t b = 0; b < span(type); b++, i += BLOCK) {
      decode_block(type, source, b, &with, values);
      for (int u = 0; u < UNIT; u++) store(target + i + u * LANES, values[u]);
    }
  }
  if (is_float(type) && i < count) {
    decode_some(type, source, count - i, values);
    __builtin_memcpy(target + i, values, (count - i) * sizeof(float));
  }
}

static void decode(cpu_type type, const void *source, size_t count, float *target) {
#define CASE(name) \
  case name: decode_as(name, source, count, target); break;
  switch (type) { EACH_TYPE(CASE) }
#undef CASE
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
