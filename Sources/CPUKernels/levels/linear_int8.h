// x W^T where x is int8 blocks and W is Q4_1 or Q8_0.
//
// y starts with the bias. A block adds d * scale * (integer sum of 32 products), and for Q4_1 then
// m * sum, where `sum` comes with the activations. Integer sums are exact, so only the order of the
// blocks counts; it is the same in both:
//
//   few rows of x    lanes run along k within a block; weights come straight from memory, once, and
//                    the products of LANES rows of W are summed so that a lane is a row of W
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

// Of each four lanes of a and b in turn: the lower or upper elements, the lower or upper pairs; and
// of the whole, every other four.
#if LANES == 16
#define INTERLEAVE_LOWER(a, b) \
  __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29)
#define INTERLEAVE_UPPER(a, b) \
  __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)
#define PAIRS_LOWER(a, b) \
  __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29)
#define PAIRS_UPPER(a, b) \
  __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)
#define QUADS_EVEN(a, b) \
  __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27)
#define QUADS_ODD(a, b) \
  __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31)
#else
#define INTERLEAVE_LOWER(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define INTERLEAVE_UPPER(a, b) __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15)
#define PAIRS_LOWER(a, b) __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13)
#define PAIRS_UPPER(a, b) __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15)
#define QUADS_EVEN(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11)
#define QUADS_ODD(a, b) __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15)
#endif

// The products of PAIR blocks, a row in each vector, to sums of a block, a row in each lane.
INLINE void sums_of_blocks(const vi products[LANES], vi sums[PAIR]) {
  vi quads[LANES / 4];
  for (int i = 0; i < LANES / 4; i++) {
    const vi *p = products + 4 * i;
    vi ab = INTERLEAVE_LOWER(p[0], p[1]) + INTERLEAVE_UPPER(p[0], p[1]);
    vi cd = INTERLEAVE_LOWER(p[2], p[3]) + INTERLEAVE_UPPER(p[2], p[3]);
    // Each four lanes hold a + a, b + b, a + a, b + b; then a, b, c, d.
    quads[i] = PAIRS_LOWER(ab, cd) + PAIRS_UPPER(ab, cd);
  }
#if LANES == 16
  // A block has two of the four quads of a vector.
  vi first = QUADS_EVEN(quads[0], quads[1]) + QUADS_ODD(quads[0], quads[1]);
  vi second = QUADS_EVEN(quads[2], quads[3]) + QUADS_ODD(quads[2], quads[3]);
  sums[0] = QUADS_EVEN(first, second);
  sums[1] = QUADS_ODD(first, second);
#else
  sums[0] = QUADS_EVEN(quads[0], quads[1]) + QUADS_ODD(quads[0], quads[1]);
#endif
}

// Adds `n` (a constant, 1 ... PAIR) blocks of LANES rows of W.
INLINE vf dot_blocks_int8(cpu_type type, int n, const uint8_t *const rows[LANES], size_t offset,
                          size_t ahead, const uint8_t *x, const float *scales,
                          const float *minima, vf y) {
  size_t bytes = block_bytes(type);
  vb v = (vb)(uint8_t)0;
  __builtin_memcpy(&v, x, (size_t)n * BLOCK);
  vi start = (vi)0;
  if (type == CPU_Q8_0 && BIAS != 0) start -= dot4(start, (vb)(uint8_t)BIAS, v);
  vi products[LANES], sums[PAIR];
  for (int r = 0; r < LANES; r++) {
    const uint8_t *block = rows[r] + offset;
    __builtin_prefetch(block + ahead);
    products[r] = dot4_of(type, start, block_pair(type, block, n), v);
  }
  sums_of_blocks(products, sums);
  for (int b = 0; b < n; b++) {
    uint32_t heads[LANES];
    for (int r = 0; r < LANES; r++)
      heads[r] = *(const u32_any *)(rows[r] + offset + (size_t)b * bytes);
    vf d, m;
    scales_of(heads, &d, &m);
    y = fused(d * scales[b], __builtin_convertvector(sums[b], vf), y);
    if (type == CPU_Q4_1) y = fused(m, splat(minima[b]), y);
  }
  return y;
}

INLINE void linear_rows_int8(cpu_type type, const cpu_linear_arguments *a, size_t first,
                             size_t last) {
  const uint8_t *weights = a->weights, *input = a->input;
  size_t blocks = a->width / BLOCK, bytes = block_bytes(type), ahead = lead(LANES * a->row_bytes);
  size_t stride = a->width + blocks * 8;
  for (size_t o = first; o < last; o += LANES) {
    size_t n = last - o < LANES ? last - o : LANES;
    const uint8_t *rows[LANES];
    for (size_t r = 0; r < LANES; r++) rows[r] = weights + (o + (r < n ? r : 0)) * a->row_bytes;
    vf bias = a->bias ? load_some(a->bias + o, n) : (vf)0.0f;
    for (size_t t = 0; t < a->rows; t++) {
      const uint8_t *x = input + t * stride;
      const float *scales = (const float *)(const void *)(x + a->width), *minima = scales + blocks;
      vf y = bias;
      size_t b = 0;
      for (; b + PAIR <= blocks; b += PAIR)
        y = dot_blocks_int8(type, PAIR, rows, b * bytes, ahead, x + b * BLOCK, scales + b,
                            minima + b, y);
      if (b < blocks)
        y = dot_blocks_int8(type, 1, rows, b * bytes, ahead, x + b * BLOCK, scales + b, minima + b,
                            y);
      store_some(a->output + t * a->outputs + o, y, n);
    }
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

// Adds up to BLOCKS blocks of `tokens` (a constant) rows of x, which lie `stride` bytes apart, to
// `sums`.
INLINE void int8_tile(cpu_type type, int tokens, const turned *w, size_t blocks, const uint8_t *x,
                      size_t stride, const uint8_t *scales, size_t to_sums,
                      const int32_t (*totals)[BLOCKS], vf sums[INT8_TOKENS]) {
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
      sums[t] = fused(w->d[b] * *(const f32_any *)scale,
                      __builtin_convertvector(products[t], vf), sums[t]);
      if (type == CPU_Q4_1)
        sums[t] = fused(w->m[b], splat(*(const f32_any *)(scale + to_sums)), sums[t]);
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
          float *y = a->output + t * a->outputs + o;
          for (size_t i = 0; i < tokens; i++) {
            const float *so_far = y + i * a->outputs;
            sums[i] = b == 0 ? bias : n == LANES ? load(so_far) : load_some(so_far, n);
          }
          if (tokens == INT8_TOKENS)
            int8_tile(type, INT8_TOKENS, &w, count, x + b * BLOCK, stride, scales, blocks * 4,
                      &totals[t - start], sums);
          else
            int8_tile(type, 1, &w, count, x + b * BLOCK, stride, scales, blocks * 4,
                      &totals[t - start], sums);
          for (size_t i = 0; i < tokens; i++, t++, y += a->outputs)
            if (n == LANES)
              store(y, sums[i]);
            else
              store_some(y, sums[i], n);
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
