// x W^T where x is int8 blocks and W is Q4_1 or Q8_0.
//
// A block contributes d * scale * (integer sum of 32 products), and for Q4_1 also m * sum, where
// `sum` comes with the activations. Integer sums are exact.
//
//   few rows of x    lanes run along k; weights come straight from memory, once
//   many rows of x   LANES rows of W are turned so that a lane is a row of W; then one vector of
//                    weights meets INT8_TOKENS rows of x, whose bytes are broadcast four at a time

// The weights of `n` (1 ... PAIR) blocks in a row, the rest zero; signed ones plus BIAS.
INLINE vb block_pair(cpu_type type, const uint8_t *block, int n) {
#if LANES == 16
  if (type == CPU_Q4_1 && n == 2) return nibbles(block);
  b32 none = (b32)(uint8_t)0;
  b32 a = block_values(type, block);
  b32 b = n == 2 ? block_values(type, block + block_bytes(type)) : none;
  vb v = __builtin_shufflevector(
      a, b, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24,
      25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48,
      49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63);
#else
  (void)n;
  vb v = block_values(type, block);
#endif
  return type == CPU_Q8_0 ? v ^ (uint8_t)BIAS : v;
}

INLINE vi dot4_of(cpu_type type, vi sum, vb w, vb x) {
  return type == CPU_Q8_0 ? dot4(sum, w, x) : dot4_unsigned(sum, w, x);
}

// d and m of blocks, from the first four bytes of each. Q8_0 has no m.
INLINE void scales_of(const uint32_t heads[LANES], vf *d, vf *m) {
  vu raw;
  __builtin_memcpy(&raw, heads, sizeof raw);
  vh low = __builtin_convertvector(raw & 0xffffu, vh);
  vh high = __builtin_convertvector(raw >> 16, vh);
  *d = widen(&low);
  *m = widen(&high);
}

// ------------------------------------------------------------------------------------ few rows of x

// Adds LANES blocks of `rows` rows, whose scales are made together.
INLINE void dot_chunk_int8(cpu_type type, int rows, const uint8_t *w, size_t row_bytes,
                           size_t ahead, const uint8_t *x, const float *scales,
                           const float *minima, vf sums[ROWS], vf folded[ROWS]) {
  size_t bytes = block_bytes(type);
  vf scale = load(scales), minimum = load(minima);
  vf factor[ROWS];
  for (int r = 0; r < rows; r++) {
    const uint8_t *row = w + (size_t)r * row_bytes;
    uint32_t heads[LANES];
    for (size_t i = 0; i < LANES; i++) heads[i] = *(const u32_any *)(row + i * bytes);
    vf d, m;
    scales_of(heads, &d, &m);
    factor[r] = d * scale;
    if (type == CPU_Q4_1) folded[r] += m * minimum;
  }
  for (size_t i = 0; i < LANES; i += PAIR) {
    vb v = *(const vb_any *)(x + i * BLOCK);
    vi start = (vi)0;
    if (type == CPU_Q8_0 && BIAS != 0) start -= dot4(start, (vb)(uint8_t)BIAS, v);
    for (int r = 0; r < rows; r++) {
      const uint8_t *block = w + (size_t)r * row_bytes + i * bytes;
      __builtin_prefetch(block + ahead);
      vi products = dot4_of(type, start, block_pair(type, block, PAIR), v);
      sums[r] += __builtin_convertvector(products, vf) * spread(factor[r], (int)i);
    }
  }
}

// Adds one block.
INLINE void dot_block_int8(cpu_type type, int rows, const uint8_t *w, size_t row_bytes,
                           const uint8_t *x, float scale, float minimum, vf sums[ROWS],
                           vf folded[ROWS]) {
  vf minimum_once = (vf)0.0f;
  minimum_once[0] = minimum;
  b32 bytes = *(const b32_any *)x;
  vb v = (vb)(uint8_t)0;
  __builtin_memcpy(&v, &bytes, sizeof bytes);
  vi start = (vi)0;
  if (type == CPU_Q8_0 && BIAS != 0) start -= dot4(start, (vb)(uint8_t)BIAS, v);
  for (int r = 0; r < rows; r++) {
    const uint8_t *block = w + (size_t)r * row_bytes;
    vi products = dot4_of(type, start, block_pair(type, block, 1), v);
    sums[r] += __builtin_convertvector(products, vf) * (widen_one(block) * scale);
    if (type == CPU_Q4_1) folded[r] += widen_one(block + 2) * minimum_once;
  }
}

INLINE void dot_rows_int8(cpu_type type, int rows, const uint8_t *w, size_t row_bytes,
                          const uint8_t *x, size_t width, float *out) {
  size_t blocks = width / BLOCK, bytes = block_bytes(type), ahead = lead(row_bytes);
  const float *scales = (const float *)(const void *)(x + width), *minima = scales + blocks;
  vf sums[ROWS], folded[ROWS];
  for (int r = 0; r < rows; r++) sums[r] = folded[r] = (vf)0.0f;
  size_t b = 0;
  for (; b + LANES <= blocks; b += LANES)
    dot_chunk_int8(type, rows, w + b * bytes, row_bytes, ahead, x + b * BLOCK, scales + b,
                   minima + b, sums, folded);
  for (; b < blocks; b++)
    dot_block_int8(type, rows, w + b * bytes, row_bytes, x + b * BLOCK, scales[b], minima[b], sums,
                   folded);
  for (int r = 0; r < rows; r++)
    out[r] = sum_of(type == CPU_Q4_1 ? sums[r] + folded[r] : sums[r]);
}

INLINE void linear_rows_int8(cpu_type type, const cpu_linear_arguments *a, size_t first,
                             size_t last) {
  const uint8_t *weights = a->weights, *input = a->input;
  size_t stride = a->width + a->width / BLOCK * 8;
  for (size_t o = first; o < last;) {
    size_t n = last - o >= ROWS ? ROWS : 1;
    const uint8_t *w = weights + o * a->row_bytes;
    for (size_t t = 0; t < a->rows; t++) {
      float out[ROWS];
      if (n == ROWS)
        dot_rows_int8(type, ROWS, w, a->row_bytes, input + t * stride, a->width, out);
      else
        dot_rows_int8(type, 1, w, a->row_bytes, input + t * stride, a->width, out);
      for (size_t r = 0; r < n; r++)
        a->output[t * a->outputs + o + r] = out[r] + (a->bias ? a->bias[o + r] : 0);
    }
    o += n;
  }
}

// ----------------------------------------------------------------------------------- many rows of x

// Blocks of a row, and rows of x, that are worked on together: the turned weights stay in the first
// cache, the activations in the second.
enum { BLOCKS = 16, INT8_ROWS = 256 };

// LANES rows of W, turned: values[b][g] has the bytes 4g ... 4g + 3 of block b, a lane for each row.
typedef struct {
  vi values[BLOCKS][8];
  vf d[BLOCKS];
  vf m[BLOCKS];
} turned;

INLINE void turn(cpu_type type, const uint8_t *const rows[LANES], size_t blocks, turned *out) {
  size_t bytes = block_bytes(type);
  for (size_t b = 0; b < blocks; b += PAIR) {
    int n = blocks - b < PAIR ? 1 : PAIR;
    vi lanes[LANES];
    for (int r = 0; r < LANES; r++)
      lanes[r] = (vi)(n == PAIR ? block_pair(type, rows[r] + b * bytes, PAIR)
                                : block_pair(type, rows[r] + b * bytes, 1));
    transpose(lanes);
    for (int g = 0; g < 8 * n; g++) out->values[b + (size_t)g / 8][g % 8] = lanes[g];
  }
  for (size_t b = 0; b < blocks; b++) {
    uint32_t heads[LANES];
    for (int r = 0; r < LANES; r++) heads[r] = *(const u32_any *)(rows[r] + b * bytes);
    scales_of(heads, &out->d[b], &out->m[b]);
  }
}

// Adds up to BLOCKS blocks of `tokens` (a constant) rows of x, which lie `stride` bytes apart.
INLINE void int8_tile(cpu_type type, int tokens, const turned *w, size_t blocks, const uint8_t *x,
                      size_t stride, const uint8_t *scales, size_t to_sums,
                      const int32_t (*totals)[BLOCKS], vf sums[INT8_TOKENS]) {
  for (int t = 0; t < tokens; t++) sums[t] = (vf)0.0f;
  for (size_t b = 0; b < blocks; b++) {
    vi products[INT8_TOKENS];
    for (int t = 0; t < tokens; t++)
      products[t] = (vi)(type == CPU_Q8_0 ? -BIAS * totals[t][b] : 0);
    for (int g = 0; g < 8; g++) {
      vb bytes = (vb)w->values[b][g];
      for (int t = 0; t < tokens; t++) {
        const u32_any *four = (const u32_any *)(x + (size_t)t * stride + b * BLOCK + g * 4);
        products[t] = dot4_of(type, products[t], bytes, (vb)(vu)*four);
      }
    }
    for (int t = 0; t < tokens; t++) {
      const uint8_t *scale = scales + (size_t)t * stride + b * 4;
      sums[t] += __builtin_convertvector(products[t], vf) * (w->d[b] * *(const f32_any *)scale);
      if (type == CPU_Q4_1) sums[t] += w->m[b] * *(const f32_any *)(scale + to_sums);
    }
  }
}

// The sum of the 32 activations of each block.
INLINE void add_up(const uint8_t *x, size_t blocks, int32_t totals[BLOCKS]) {
  for (size_t b = 0; b < blocks; b++) {
    const int8_t *q = (const int8_t *)x + b * BLOCK;
    int32_t sum = 0;
    for (int j = 0; j < BLOCK; j++) sum += q[j];
    totals[b] = sum;
  }
}

INLINE void linear_tiles_int8(cpu_type type, const cpu_linear_arguments *a, size_t first,
                              size_t last) {
  turned w;
  int32_t totals[INT8_ROWS][BLOCKS];
  const uint8_t *weights = a->weights, *input = a->input;
  size_t blocks = a->width / BLOCK, stride = a->width + blocks * 8;
  for (size_t b = 0; b < blocks; b += BLOCKS) {
    size_t count = blocks - b < BLOCKS ? blocks - b : BLOCKS;
    for (size_t start = 0; start < a->rows; start += INT8_ROWS) {
      size_t end = a->rows - start < INT8_ROWS ? a->rows : start + INT8_ROWS;
      if (type == CPU_Q8_0 && BIAS != 0)
        for (size_t t = start; t < end; t++)
          add_up(input + t * stride + b * BLOCK, count, totals[t - start]);
      for (size_t o = first; o < last; o += LANES) {
        size_t n = last - o < LANES ? last - o : LANES;
        const uint8_t *rows[LANES];
        for (size_t r = 0; r < LANES; r++)
          rows[r] = weights + (o + (r < n ? r : 0)) * a->row_bytes + b * block_bytes(type);
        turn(type, rows, count, &w);
        vf bias = (vf)0.0f;
        if (a->bias && b == 0) bias = n == LANES ? load(a->bias + o) : load_some(a->bias + o, n);
        for (size_t t = start; t < end;) {
          vf sums[INT8_TOKENS];
          size_t tokens = end - t >= INT8_TOKENS ? INT8_TOKENS : 1;
          const uint8_t *x = input + t * stride;
          const uint8_t *scales = x + a->width + b * 4;
          if (tokens == INT8_TOKENS)
            int8_tile(type, INT8_TOKENS, &w, count, x + b * BLOCK, stride, scales, blocks * 4,
                      &totals[t - start], sums);
          else
            int8_tile(type, 1, &w, count, x + b * BLOCK, stride, scales, blocks * 4,
                      &totals[t - start], sums);
          for (size_t i = 0; i < tokens; i++, t++) {
            float *y = a->output + t * a->outputs + o;
            if (n == LANES)
              store(y, sums[i] + (b > 0 ? load(y) : bias));
            else
              store_some(y, sums[i] + (b > 0 ? load_some(y, n) : bias), n);
          }
        }
      }
    }
  }
}

// Rows of x from which turning the weights pays.
enum { MANY_INT8 = 6 };

INLINE void linear_int8_as(cpu_type type, const cpu_linear_arguments *a, size_t first,
                           size_t last) {
  if (a->rows < MANY_INT8)
    linear_rows_int8(type, a, first, last);
  else
    linear_tiles_int8(type, a, first, last);
}

static void linear_int8(const void *arguments, size_t first, size_t last) {
  const cpu_linear_arguments *a = arguments;
  if (a->type == CPU_Q4_1)
    linear_int8_as(CPU_Q4_1, a, first, last);
  else
    linear_int8_as(CPU_Q8_0, a, first, last);
}
