// x W^T where x is int8 blocks and W is quantised.
//
// y starts with the bias and takes the blocks of 32 in order, as Sources/ReferenceBackend/Linear.swift
// writes it down. Integer sums are exact, so only that order counts; it is the same in both:
//
//   few rows of x    lanes run along k within a block; weights come straight from memory, once, and
//                    the products of LANES rows of W are summed so that a lane is a row of W
//   many rows of x   LANES rows of W are turned so that a lane is a row of W; then one vector of
//                    weights meets INT8_TOKENS rows of x, whose bytes are broadcast four at a time
//
// Codes that are never negative meet x as they are: what they are above their numbers, times the sum
// of x, comes off again. Signed ones do so plus BIAS. Where a block has two groups, the sum of each
// is below 2^24 after its scale has multiplied it, so floats hold both and their sum exactly.

INLINE vi dot4_of(bool is_signed, vi sum, vb w, vb x) {
  return is_signed ? dot4(sum, w, x) : dot4_unsigned(sum, w, x);
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

// The products of PAIR blocks, a row in each vector, to sums of a block's groups (or of all of it,
// where it has one), a row in each lane.
INLINE void sums_of_groups(int groups, const vi products[LANES], vi sums[PAIR][2]) {
  vi quads[LANES / 4];
  for (int i = 0; i < LANES / 4; i++) {
    const vi *p = products + 4 * i;
    vi ab = INTERLEAVE_LOWER(p[0], p[1]) + INTERLEAVE_UPPER(p[0], p[1]);
    vi cd = INTERLEAVE_LOWER(p[2], p[3]) + INTERLEAVE_UPPER(p[2], p[3]);
    // Each four lanes hold a + a, b + b, a + a, b + b; then a, b, c, d.
    quads[i] = PAIRS_LOWER(ab, cd) + PAIRS_UPPER(ab, cd);
  }
  // A block has two of the four quads of a vector, or of its two.
#if LANES == 16
  vi even[2], odd[2];
  for (int i = 0; i < 2; i++) {
    even[i] = QUADS_EVEN(quads[2 * i], quads[2 * i + 1]);
    odd[i] = QUADS_ODD(quads[2 * i], quads[2 * i + 1]);
    if (groups == 1) even[i] += odd[i];
  }
  sums[0][0] = QUADS_EVEN(even[0], even[1]);
  sums[1][0] = QUADS_ODD(even[0], even[1]);
  if (groups == 2) {
    sums[0][1] = QUADS_EVEN(odd[0], odd[1]);
    sums[1][1] = QUADS_ODD(odd[0], odd[1]);
  }
#else
  sums[0][0] = QUADS_EVEN(quads[0], quads[1]);
  sums[0][1] = QUADS_ODD(quads[0], quads[1]);
  if (groups == 1) sums[0][0] += sums[0][1];
#endif
}

// The sums of each four lanes, in all four.
INLINE vi sums_of_quads(vi v) {
  vi pairs = INTERLEAVE_LOWER(v, v) + INTERLEAVE_UPPER(v, v);
  return PAIRS_LOWER(pairs, pairs) + PAIRS_UPPER(pairs, pairs);
}

// One row of x, from one of its blocks on.
typedef struct {
  const uint8_t *values;
  const float *scales, *sums;
} int8_row;

// Adds the blocks b ..< b + n (1 ... PAIR) of a file's block of LANES rows of W; those of formats of
// 32 lie `next` bytes apart, and are block 0 of each. `of_all` is the head of a block of 256.
INLINE vf dot_blocks_int8(cpu_type type, const uint8_t *const blocks[LANES], size_t next, size_t b,
                          size_t n, size_t ahead, const head *of_all, int8_row x, vf y) {
  size_t place = b * block_bytes(type) / span(type) + ahead;
  vb v = (vb)(uint8_t)0;
  if (n == PAIR)
    v = *(const vb_any *)x.values;
  else
    __builtin_memcpy(&v, x.values, BLOCK);
  vi start = (vi)0;
  if (zero_of(type, BIAS) != 0) start -= dot4(start, (vb)(uint8_t)zero_of(type, BIAS), v);
  vi products[LANES], sums[PAIR][2];
#pragma clang loop unroll(full)
  for (int r = 0; r < LANES; r++) {
    const uint8_t *block = blocks[r];
    __builtin_prefetch(block + place);
    products[r] = dot4_of(is_signed(type), start,
                          codes(type, PAIR, BIAS, block, n == PAIR ? block + next : block, b), v);
  }
  sums_of_groups(groups(type), products, sums);
  vf halves = (vf)0.0f;
  if (groups(type) == 2 && has_minima(type))
    halves = __builtin_convertvector(sums_of_quads(dot4((vi)0, (vb)(uint8_t)1, v)), vf);
  for (size_t i = 0; i < PAIR && i < n; i++) {
    head own;
    if (span(type) == 1) {
      const uint8_t *here[LANES];
      for (int r = 0; r < LANES; r++) here[r] = blocks[r] + i * next;
      own = head_of(type, here, LANES);
    }
    const head *h = span(type) == 1 ? &own : of_all;
    vf dot = __builtin_convertvector(sums[i][0], vf), scale = h->d;
    if (groups(type) == 2)
      dot = dot * of_group(h->scales, 2 * (b + i)) + __builtin_convertvector(sums[i][1], vf) *
                                                         of_group(h->scales, 2 * (b + i) + 1);
    else if (span(type) > 1)
      scale *= of_group(h->scales, b + i);
    y = fused(scale * x.scales[i], dot, y);
    if (!has_minima(type)) continue;
    if (groups(type) == 2) {
      vf both = of_group(h->minima, 2 * (b + i)) * halves[8 * i] +
                of_group(h->minima, 2 * (b + i) + 1) * halves[8 * i + 4];
      y = fused(h->m * x.scales[i], both, y);
    } else {
      vf minimum = span(type) > 1 ? h->m * of_group(h->minima, b + i) : h->m;
      y = fused(minimum, splat(x.sums[i]), y);
    }
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
    vf bias = a->bias ? load_some(a->bias + o, n) : (vf)0.0f;
    for (size_t t = 0; t < a->rows; t++) {
      const uint8_t *at[LANES];
      for (size_t r = 0; r < LANES; r++) at[r] = weights + (o + (r < n ? r : 0)) * a->row_bytes;
      int8_row x = {input + t * stride, (const float *)(const void *)(input + t * stride + a->width),
                    NULL};
      x.sums = x.scales + blocks;
      vf y = bias;
      for (size_t b = 0; b < blocks;) {
        // A file's block of 256, or PAIR of 32.
        size_t count = span(type) > 1 ? span(type) : blocks - b < PAIR ? 1 : PAIR;
        head h;
        if (span(type) > 1) h = head_of(type, at, LANES);
        for (size_t i = 0; i < count; i += PAIR) {
          size_t part = count - i < PAIR ? count : PAIR;
          y = dot_blocks_int8(type, at, bytes, i, part, ahead, &h, x, y);
          x.values += part * BLOCK, x.scales += part, x.sums += part;
        }
        b += count;
        for (int r = 0; r < LANES; r++) at[r] += count / span(type) * bytes;
      }
      store_some(a->output + t * a->outputs + o, y, n);
    }
  }
}

// ----------------------------------------------------------------------------------- many rows of x

// Blocks of a row, and rows of x, that are worked on together: the turned weights stay in the first
// cache, the activations in the second.
enum { BLOCKS = 16, INT8_ROWS = 256 };

// LANES rows of W, turned: values[b][g] has the bytes 4g ... 4g + 3 of block b, a lane for each row.
// Where a block has two groups, the numbers of these are apart from d and m.
typedef struct {
  vi values[BLOCKS][8];
  vf d[BLOCKS], m[BLOCKS];
  vf scales[BLOCKS][2], minima[BLOCKS][2];
} turned;

// The sums of x over each group of BLOCKS blocks, times what comes off for each.
typedef int32_t group_sums[BLOCKS][2];

INLINE void turn_as(cpu_type type, const uint8_t *const rows[LANES], size_t blocks, turned *out) {
  size_t bytes = block_bytes(type);
  for (size_t b = 0; b < blocks; b += PAIR) {
    size_t offset = b / span(type) * bytes, next = blocks - b < PAIR ? 0 : bytes;
    vi lanes[LANES];
    for (int r = 0; r < LANES; r++) {
      const uint8_t *block = rows[r] + offset;
      lanes[r] = (vi)codes(type, PAIR, BIAS, block, block + next, b % span(type));
    }
    transpose(lanes);
    for (int g = 0; g < LANES; g++) out->values[b + (size_t)g / 8][g % 8] = lanes[g];
  }
  for (size_t b = 0; b < blocks; b += span(type)) {
    const uint8_t *here[LANES];
    for (int r = 0; r < LANES; r++) here[r] = rows[r] + b / span(type) * bytes;
    head h = head_of(type, here, LANES);
    for (size_t i = 0; i < span(type); i++) {
      bool is_scaled = span(type) > 1 && groups(type) == 1;
      out->d[b + i] = is_scaled ? h.d * of_group(h.scales, i) : h.d;
      if (has_minima(type)) out->m[b + i] = is_scaled ? h.m * of_group(h.minima, i) : h.m;
      for (size_t g = 0; groups(type) == 2 && g < 2; g++) {
        out->scales[b + i][g] = of_group(h.scales, 2 * i + g);
        if (has_minima(type)) out->minima[b + i][g] = of_group(h.minima, 2 * i + g);
      }
    }
  }
}

static void turn(cpu_type type, const uint8_t *const rows[LANES], size_t blocks, turned *out) {
#define CASE(name) \
  case name: turn_as(name, rows, blocks, out); break;
  switch (type) {
    EACH_QUANTIZED(CASE)
  default: break;
  }
#undef CASE
}

// What the product of turned weights depends on; all of it is constant.
typedef struct {
  int groups;
  bool minima, is_signed;
} product_kind;

// Adds up to BLOCKS blocks of `tokens` (a constant) rows of x, which lie `stride` bytes apart, to
// `sums`.
INLINE void int8_tile(product_kind kind, int tokens, const turned *w, size_t blocks,
                      const uint8_t *x, size_t stride, const uint8_t *scales, size_t to_sums,
                      const group_sums *of_x, vf sums[INT8_TOKENS]) {
  bool comes_off = !kind.minima && !(kind.is_signed && BIAS == 0);
  for (size_t b = 0; b < blocks; b++) {
    vf dots[INT8_TOKENS];
    for (int h = 0; h < kind.groups; h++) {
      vi products[INT8_TOKENS];
      for (int t = 0; t < tokens; t++) products[t] = (vi)(comes_off ? of_x[t][b][h] : 0);
      for (int g = h * 4; g < (kind.groups == 1 ? 8 : h * 4 + 4); g++) {
        vb bytes = (vb)w->values[b][g];
        for (int t = 0; t < tokens; t++) {
          const u32_any *four = (const u32_any *)(x + (size_t)t * stride + b * BLOCK + g * 4);
          products[t] = dot4_of(kind.is_signed, products[t], bytes, (vb)(vu)*four);
        }
      }
      for (int t = 0; t < tokens; t++) {
        vf dot = __builtin_convertvector(products[t], vf);
        if (kind.groups == 2) dot *= w->scales[b][h];
        dots[t] = h == 0 ? dot : dots[t] + dot;
      }
    }
    for (int t = 0; t < tokens; t++) {
      const uint8_t *scale = scales + (size_t)t * stride + b * 4;
      sums[t] = fused(w->d[b] * *(const f32_any *)scale, dots[t], sums[t]);
      if (kind.minima && kind.groups == 1)
        sums[t] = fused(w->m[b], splat(*(const f32_any *)(scale + to_sums)), sums[t]);
      if (kind.minima && kind.groups == 2) {
        vf both = w->minima[b][0] * (float)of_x[t][b][0] + w->minima[b][1] * (float)of_x[t][b][1];
        sums[t] = fused(w->m[b] * *(const f32_any *)scale, both, sums[t]);
      }
    }
  }
}

// Adds `blocks` blocks from block b on to rows start ..< end and the outputs o ..< o + n.
INLINE void int8_tiles(product_kind kind, const cpu_linear_arguments *a, const turned *w, size_t b,
                       size_t blocks, size_t o, size_t n, size_t start, size_t end,
                       const group_sums *of_x) {
  size_t all = a->width / BLOCK, stride = a->width + all * 8;
  vf bias = (vf)0.0f;
  if (a->bias && b == 0) bias = n == LANES ? load(a->bias + o) : load_some(a->bias + o, n);
  for (size_t t = start; t < end;) {
    vf sums[INT8_TOKENS];
    size_t tokens = end - t >= INT8_TOKENS ? INT8_TOKENS : 1;
    const uint8_t *x = (const uint8_t *)a->input + t * stride;
    const uint8_t *scales = x + a->width + b * 4;
    float *y = a->output + t * a->outputs + o;
    for (size_t i = 0; i < tokens; i++) {
      const float *so_far = y + i * a->outputs;
      sums[i] = b == 0 ? bias : n == LANES ? load(so_far) : load_some(so_far, n);
    }
    if (tokens == INT8_TOKENS)
      int8_tile(kind, INT8_TOKENS, w, blocks, x + b * BLOCK, stride, scales, all * 4,
                of_x + (t - start), sums);
    else
      int8_tile(kind, 1, w, blocks, x + b * BLOCK, stride, scales, all * 4, of_x + (t - start),
                sums);
    for (size_t i = 0; i < tokens; i++, t++, y += a->outputs)
      if (n == LANES)
        store(y, sums[i]);
      else
        store_some(y, sums[i], n);
  }
}

// The sums of x over the groups of each block, times `factor`.
INLINE void add_up(const uint8_t *x, size_t blocks, int groups, int factor, group_sums sums) {
  for (size_t b = 0; b < blocks; b++) {
    int32_t halves[2] = {0, 0};
    for (int j = 0; j < BLOCK; j++) halves[j / 16] += ((const int8_t *)x)[b * BLOCK + (size_t)j];
    sums[b][0] = factor * (groups == 1 ? halves[0] + halves[1] : halves[0]);
    sums[b][1] = factor * halves[1];
  }
}

static void linear_tiles_int8(const cpu_linear_arguments *a, size_t first, size_t last) {
  turned w;
  group_sums of_x[INT8_ROWS];
  const uint8_t *weights = a->weights, *input = a->input;
  size_t blocks = a->width / BLOCK, stride = a->width + blocks * 8;
  int zero = zero_of(a->type, BIAS);
  bool has_groups = groups(a->type) == 2;
  for (size_t b = 0; b < blocks; b += BLOCKS) {
    size_t count = blocks - b < BLOCKS ? blocks - b : BLOCKS;
    size_t offset = b / span(a->type) * block_bytes(a->type);
    for (size_t start = 0; start < a->rows; start += INT8_ROWS) {
      size_t end = a->rows - start < INT8_ROWS ? a->rows : start + INT8_ROWS;
      if (zero != 0 || has_groups)
        for (size_t t = start; t < end; t++)
          add_up(input + t * stride + b * BLOCK, count, groups(a->type), zero != 0 ? -zero : 1,
                 of_x[t - start]);
      for (size_t o = first; o < last; o += LANES) {
        size_t n = last - o < LANES ? last - o : LANES;
        const uint8_t *rows[LANES];
        for (size_t r = 0; r < LANES; r++)
          rows[r] = weights + (o + (r < n ? r : 0)) * a->row_bytes + offset;
        turn(a->type, rows, count, &w);
#define TILES(...) \
  int8_tiles((product_kind){__VA_ARGS__}, a, &w, b, count, o, n, start, end, of_x)
        if (has_groups && has_minima(a->type))
          TILES(2, true, false);
        else if (has_groups)
          TILES(2, false, false);
        else if (has_minima(a->type))
          TILES(1, true, false);
        else if (is_signed(a->type))
          TILES(1, false, true);
        else
          TILES(1, false, false);
#undef TILES
      }
    }
  }
}

// Rows of x from which turning the weights pays; a level says from which it does for Q8_0, of which
// nothing is taken apart.
enum { MANY_INT8 = 3 };

static void linear_int8(const void *arguments, size_t first, size_t last) {
  const cpu_linear_arguments *a = arguments;
  if (a->rows >= (a->type == CPU_Q8_0 ? MANY_Q8_0 : MANY_INT8)) {
    linear_tiles_int8(a, first, last);
    return;
  }
#define CASE(name) \
  case name: linear_rows_int8(name, a, first, last); break;
  switch (a->type) {
    EACH_QUANTIZED(CASE)
  default: break;
  }
#undef CASE
}
