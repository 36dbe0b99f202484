// x W^T where x is int8 blocks and W is tiles of quantised rows.
//
// y starts with the bias and takes the blocks of 32 in order, as Sources/ReferenceBackend/Linear.swift
// writes it down. Integer sums are exact, so only that order counts. A lane is a row of W, and four bytes
// of x are broadcast at a time:
//
//   few rows of x    codes come straight from the tiles, from front to back; for one row, of INT8_STREAMS parts
//                    of W side by side where STREAMS_SUIT the core
//   many rows of x   BLOCKS blocks of LANES rows of W are unpacked to bytes, which then meet
//                    as many rows of x at a time as INT8_SUMS sums stay in registers for
//
// Codes that are never negative meet x as they are: what they are above their numbers, times the sum
// of x, comes off again. Signed ones do so plus BIAS. Where a block has two groups, the sum of each
// is below 2^24 after its scale has multiplied it, so floats hold both and their sum exactly.

INLINE vi dot4_of(bool is_signed, vi sum, vb w, vb x) {
  return is_signed ? dot4(sum, w, x) : dot4_unsigned(sum, w, x);
}

INLINE vb four_bytes(const uint8_t *p) { return (vb)(vu)*(const u32_any *)p; }

#if HAS_PAIRS
// Words whose sums of two products 16 bits hold: such a sum is 256 times the largest code at most.
INLINE int room(int bits, int words) {
  int fits = bits > 6 ? 1 : INT16_MAX / (256 * ((1 << bits) - 1));
  return fits < words ? fits : words;
}
#endif

// Sums of whole numbers begin with the bits of ORIGIN. Where CONVERTS is 0 that is ROUNDER: as long as they stay
// below 2^22 they are the bits of a float that is as much above it. To take that off again is exact, and keeps no unit
// busy that multiplies, as a conversion would; but it is a step more, and takes a register.
#define ORIGIN (CONVERTS ? 0.0f : ROUNDER)
enum { ORIGIN_BITS = CONVERTS ? 0 : 0x4b400000 };


// For each group of a block of x: its sum, or where codes have a zero, ORIGIN plus what that adds to their
// product.
typedef float group_sums[2];

// The number that a sum stands for, less what codes' zero adds to it, where they have one (constant).
INLINE vf number_of(vi sum, bool comes_off, float of_group) {
  if (!CONVERTS) return (vf)sum - (comes_off ? of_group : ROUNDER);
  vf number = __builtin_convertvector(sum, vf);
  return comes_off ? number - of_group : number;
}

INLINE bool needs_sums(cpu_type type) {
  return zero_of(type) != 0 || (groups(type) == 2 && has_minima(type));
}

INLINE void sum_row(cpu_type type, const uint8_t *x, size_t blocks, group_sums *sums) {
  int zero = zero_of(type);
  vb factor = (vb)(uint8_t)(zero == 0 ? 1 : zero);
  for (size_t b = 0; b < blocks; b += PAIR) {
    size_t n = blocks - b < PAIR ? 1 : PAIR;
    vb v = (vb)(uint8_t)0;
    if (n == PAIR)
      v = *(const vb_any *)(x + b * BLOCK);
    else
      __builtin_memcpy(&v, x + b * BLOCK, BLOCK);
    vi all = dot4((vi)0, factor, v);
    all += ONES_SWAPPED(all);
    all += TWOS_SWAPPED(all);
    if (groups(type) == 1) all += FOURS_SWAPPED(all);
    vf values = __builtin_convertvector(all, vf) + (zero == 0 ? 0 : ORIGIN);
    for (size_t i = 0; i < n; i++) {
      sums[b + i][0] = values[i * 8];
      sums[b + i][1] = values[i * 8 + 4];
    }
  }
}

INLINE size_t int8_row_bytes(size_t width) { return width + width / BLOCK * 8; }

// What comes on top of a row of y when its blocks up to `done` are in, or NULL: nothing before the last.
INLINE const float *addend_of(const cpu_linear_arguments *a, size_t row, size_t done) {
  return a->addend && done == a->width / BLOCK ? a->addend + row * a->outputs : NULL;
}

INLINE void finish_int8(float *y, const float *addend, size_t o, size_t last, vf sum) {
  store_up_to(y, o, last, addend ? load_up_to(addend, o, last) + sum : sum);
}

// ------------------------------------------------------------------------------------ few rows of x

// Rows that count as few; blocks of x whose sums are held at a time; and how far ahead of their use weights are
// asked for, since a block takes longer than a core looks ahead by itself. On Intel's cores they come to the second
// cache from half as far, and near from an eighth; a Zen 5 has more of them where it is asked twice.
enum { FEW_INT8 = 3, SUMMED_BLOCKS = 512, INT8_AHEAD = 8192, HALVES = TILE_ROWS / LANES };

// One row of x, from one of its blocks on.
typedef struct {
  const uint8_t *values;
  const float *scales, *sums;
  const group_sums *of_groups;
} int8_row;

// The products of some words of block b of each row, from `from` on, with LANES rows of W.
INLINE void few_words(cpu_type type, int tokens, const uint8_t *block, size_t b, size_t lane, int from,
                      int words, const int8_row *x, vi products[FEW_INT8]) {
  int end = from + words;
#if HAS_PAIRS
  // Bytes of 3 bits take so long to put together that one chain of sums would wait for them.
  bool alone = is_signed(type) || type == CPU_Q3_K;
  int together = room(alone ? 8 : low_bits(type) + high_bits(type), words);
  if (together > 1) {
    for (int t = 0; t < tokens; t++) products[t] = (vi)ORIGIN_BITS;
    for (int g = from; g < end; g += together) {
      vp sums[FEW_INT8];
      for (int i = g; i < g + together; i++) {
        vb w = code_bytes(type, block, i, lane);
        for (int t = 0; t < tokens; t++) {
          vp pairs = pairs_of(w, four_bytes(x[t].values + b * BLOCK + i * 4));
          sums[t] = i == g ? pairs : sums[t] + pairs;
        }
      }
      for (int t = 0; t < tokens; t++) products[t] = add_pairs(products[t], sums[t]);
    }
    return;
  }
#endif
  vi apart[FEW_INT8][2];
  for (int t = 0; t < tokens; t++) {
    apart[t][0] = (vi)ORIGIN_BITS;
    apart[t][1] = (vi)0;
  }
  for (int g = from; g < end; g++) {
    vb w = code_bytes(type, block, g, lane);
    for (int t = 0; t < tokens; t++)
      apart[t][g % 2] = dot4_of(is_signed(type), apart[t][g % 2], w,
                                four_bytes(x[t].values + b * BLOCK + g * 4));
  }
  for (int t = 0; t < tokens; t++) products[t] = apart[t][0] + apart[t][1];
}

// Adds block b of a row, which is block i of a block of the format, to the sums of LANES rows of W.
INLINE void add_block_int8(cpu_type type, int tokens, const uint8_t *head, const uint8_t *block,
                           size_t i, size_t b, size_t lane, vf d, vf m, const int8_row *x, vf *y) {
  vf dots[FEW_INT8], n[2];
  size_t group = i * (size_t)groups(type);
  for (int h = 0; h < groups(type); h++) {
    vi products[FEW_INT8];
    int words = 8 / groups(type);
    few_words(type, tokens, block, b, lane, h * words, words, x, products);
    vf scale = (vf)0.0f;
    if (groups(type) == 2) scale = group_scale(type, head, group + (size_t)h, lane);
    for (int t = 0; t < tokens; t++) {
      vf dot = number_of(products[t], zero_of(type) != 0, x[t].of_groups[b][h]);
      if (groups(type) == 2) dot *= scale;
      dots[t] = h == 0 ? dot : dots[t] + dot;
    }
  }
  if (groups(type) == 1 && has_group_scales(type)) d *= group_scale(type, head, group, lane);
  for (int h = 0; h < groups(type) && has_group_minima(type); h++)
    n[h] = group_minimum(type, head, group + (size_t)h, lane);
  if (groups(type) == 1 && has_group_minima(type)) m *= n[0];
  for (int t = 0; t < tokens; t++) {
    y[t] = fused(d * x[t].scales[b], dots[t], y[t]);
    if (!has_minima(type)) continue;
    if (groups(type) == 1) {
      y[t] = fused(m, splat(x[t].sums[b]), y[t]);
    } else {
      vf both = n[0] * x[t].of_groups[b][0] + n[1] * x[t].of_groups[b][1];
      y[t] = fused(m * x[t].scales[b], both, y[t]);
    }
  }
}

// The sums of a tile's rows for each row of x.
typedef vf few_sums[HALVES][FEW_INT8];

// Adds `blocks` blocks of `streams` tiles (constant), each `apart` bytes behind the one before it.
INLINE void add_tiles_int8(cpu_type type, int tokens, int streams, const uint8_t *tiles, size_t apart,
                           size_t blocks, const int8_row *x, few_sums *y) {
  size_t bytes = tile_bytes(type, span(type));
  size_t early = INT8_AHEAD / (cpu_is_intel ? 2 : 1), soon = INT8_AHEAD / (cpu_is_intel ? 8 : 1);
  for (size_t b = 0; b < blocks; b += span(type), tiles += bytes) {
#pragma clang loop unroll(full)
    for (size_t s = 0; s < (size_t)streams; s++) {
      const uint8_t *head = tiles + s * apart, *block = head + tile_head_bytes(type);
      for (size_t line = 0; line < bytes; line += 64) {
        __builtin_prefetch(head + soon + line);
        __builtin_prefetch(head + early + line, 0, 2);
      }
#pragma clang loop unroll(full)
      for (size_t i = 0; i < span(type); i++, block += block_bytes(type)) {
        for (size_t h = 0; h < HALVES; h++) {
          vf m = (vf)0.0f;
          if (has_minima(type)) m = head_minima(type, head, h * LANES);
          add_block_int8(type, tokens, head, block, i, b + i, h * LANES,
                         head_scales(type, head, h * LANES), m, x, y[s][h]);
        }
      }
    }
  }
}

// Adds blocks b ..< b + count of rows of W to the output: of `streams` tiles, `step` tiles from one another, the
// first at output o.
INLINE void few_tiles(cpu_type type, int tokens, int streams, const cpu_linear_arguments *a, size_t b,
                      size_t count, const int8_row *x, size_t o, size_t step, size_t last) {
  size_t tile = tile_bytes(type, a->width / BLOCK);
  const uint8_t *weights = (const uint8_t *)a->weights + o / TILE_ROWS * tile + tile_bytes(type, b);
  few_sums y[INT8_STREAMS];
  for (size_t s = 0; s < (size_t)streams; s++)
    for (size_t h = 0; h < HALVES; h++)
      for (int t = 0; t < tokens; t++) {
        const float *start = b == 0 ? a->bias : a->output + (size_t)t * a->outputs;
        size_t row = o + s * step * TILE_ROWS + h * LANES;
        y[s][h][t] = start ? load_up_to(start, row, last) : (vf)0.0f;
      }
  add_tiles_int8(type, tokens, streams, weights, step * tile, count, x, y);
  for (size_t s = 0; s < (size_t)streams; s++)
    for (size_t h = 0; h < HALVES; h++)
      for (int t = 0; t < tokens; t++)
        finish_int8(a->output + (size_t)t * a->outputs, addend_of(a, (size_t)t, b + count),
                    o + s * step * TILE_ROWS + h * LANES, last, y[s][h][t]);
}

INLINE void linear_few_int8(cpu_type type, int tokens, const cpu_linear_arguments *a, size_t first,
                            size_t last) {
  group_sums sums[FEW_INT8][SUMMED_BLOCKS];
  size_t blocks = a->width / BLOCK;
  for (size_t b = 0; b < blocks; b += SUMMED_BLOCKS) {
    size_t count = blocks - b < SUMMED_BLOCKS ? blocks - b : SUMMED_BLOCKS;
    int8_row x[FEW_INT8];
    for (int t = 0; t < tokens; t++) {
      const uint8_t *row = (const uint8_t *)a->input + (size_t)t * int8_row_bytes(a->width);
      const float *scales = (const float *)(const void *)(row + a->width);
      x[t] = (int8_row){row + b * BLOCK, scales + b, scales + blocks + b, sums[t]};
      if (needs_sums(type)) sum_row(type, x[t].values, count, sums[t]);
    }
    // Streams go through parts of as many tiles; what is left comes behind them.
    size_t o = first;
    if (INT8_STREAMS > 1 && tokens == 1 && STREAMS_SUIT) {
      size_t part = (last - first) / TILE_ROWS / INT8_STREAMS;
      for (; o < first + part * TILE_ROWS; o += TILE_ROWS)
        few_tiles(type, tokens, INT8_STREAMS, a, b, count, x, o, part, last);
      o = first + INT8_STREAMS * part * TILE_ROWS;
    }
    for (; o < last; o += TILE_ROWS) few_tiles(type, tokens, 1, a, b, count, x, o, 0, last);
  }
}

static void linear_few(const cpu_linear_arguments *a, size_t first, size_t last) {
#define CASE(name)                                                     \
  case name:                                                           \
    if (a->rows == 1) linear_few_int8(name, 1, a, first, last);        \
    else if (a->rows == 2) linear_few_int8(name, 2, a, first, last);   \
    else linear_few_int8(name, FEW_INT8, a, first, last);              \
    break;
  switch (a->type) {
    EACH_QUANTIZED(CASE)
  default: break;
  }
#undef CASE
}

// ----------------------------------------------------------------------------------- many rows of x

// Blocks of a row that are worked on together, of MOST_ROWS rows at most: the unpacked weights stay in the first
// cache, the activations in the second.
enum { BLOCKS = 24 };

// LANES rows of W: values[b][g] has the bytes 4g ... 4g + 3 of block b, a lane for each row. Where a
// block has two groups, the numbers of these are apart from d and m.
typedef struct {
  vb values[BLOCKS][8];
  vf d[BLOCKS], m[BLOCKS];
  vf scales[BLOCKS][2], minima[BLOCKS][2];
} unpacked;

INLINE void unpack_as(cpu_type type, const uint8_t *tile, size_t blocks, size_t lane,
                      unpacked *out) {
  for (size_t b = 0; b < blocks;) {
    const uint8_t *head = tile;
    tile += tile_head_bytes(type);
    vf d = head_scales(type, head, lane), m = (vf)0.0f;
    if (has_minima(type)) m = head_minima(type, head, lane);
    for (size_t i = 0; i < span(type); i++, b++, tile += block_bytes(type)) {
      for (int g = 0; g < 8; g++) out->values[b][g] = code_bytes(type, tile, g, lane);
      bool is_scaled = groups(type) == 1 && span(type) > 1;
      out->d[b] = is_scaled ? d * group_scale(type, head, i, lane) : d;
      if (has_minima(type)) out->m[b] = is_scaled ? m * group_minimum(type, head, i, lane) : m;
      for (size_t g = 0; groups(type) == 2 && g < 2; g++) {
        out->scales[b][g] = group_scale(type, head, 2 * i + g, lane);
        if (has_minima(type)) out->minima[b][g] = group_minimum(type, head, 2 * i + g, lane);
      }
    }
  }
}

static void unpack(cpu_type type, const uint8_t *tile, size_t blocks, size_t lane, unpacked *out) {
#define CASE(name) \
  case name: unpack_as(name, tile, blocks, lane, out); break;
  switch (type) {
    EACH_QUANTIZED(CASE)
  default: break;
  }
#undef CASE
}

// What the product of unpacked weights depends on; all of it is constant.
typedef struct {
  int groups;
  bool minima, is_signed;
  int bits; // of a code, where that counts
} product_kind;

// Some rows of x, from one of its blocks on: `stride` bytes lie between them, and `to_sums` bytes between
// scales and sums. The sums of groups are those of `sum_row`.
typedef struct {
  const uint8_t *values, *scales;
  size_t stride, to_sums;
  const group_sums (*of_groups)[BLOCKS];
} int8_rows;

// Adds the products of some words of block b, from `from` on; x is that block of the first row.
INLINE void add_words(product_kind kind, int vectors, int tokens, const unpacked *w, size_t b, int from,
                      int words, const uint8_t *x, size_t stride,
                      vi products[INT8_VECTORS][INT8_TOKENS]) {
  int end = from + words;
#if HAS_PAIRS
  int together = room(kind.bits, words);
  if (together > 1) {
#pragma clang loop unroll(full)
    for (int g = from; g < end; g += together) {
      vp sums[INT8_VECTORS][INT8_TOKENS];
#pragma clang loop unroll(full)
      for (int i = g; i < g + together; i++)
        for (int t = 0; t < tokens; t++) {
          vb four = four_bytes(x + (size_t)t * stride + (size_t)i * 4);
          for (int v = 0; v < vectors; v++) {
            vp pairs = pairs_of(w[v].values[b][i], four);
            sums[v][t] = i == g ? pairs : sums[v][t] + pairs;
            IN_TURN(sums[v][t]);
          }
        }
      for (int t = 0; t < tokens; t++)
        for (int v = 0; v < vectors; v++) products[v][t] = add_pairs(products[v][t], sums[v][t]);
    }
    return;
  }
#endif
#pragma clang loop unroll(full)
  for (int g = from; g < end; g++)
    for (int t = 0; t < tokens; t++) {
      vb four = four_bytes(x + (size_t)t * stride + (size_t)g * 4);
      for (int v = 0; v < vectors; v++)
        products[v][t] = dot4_of(kind.is_signed, products[v][t], w[v].values[b][g], four);
    }
}

// Adds up to BLOCKS blocks of `tokens` rows of x to the sums of `vectors` times LANES rows of W; both are
// constant.
INLINE void int8_tile(product_kind kind, int vectors, int tokens, const unpacked *w, size_t blocks,
                      int8_rows x, vf sums[INT8_VECTORS][INT8_TOKENS]) {
  bool comes_off = !kind.minima && !kind.is_signed;
  for (size_t b = 0; b < blocks; b++) {
    vf dots[INT8_VECTORS][INT8_TOKENS];
    for (int h = 0; h < kind.groups; h++) {
      vi products[INT8_VECTORS][INT8_TOKENS];
      for (int t = 0; t < tokens; t++)
        for (int v = 0; v < vectors; v++) products[v][t] = (vi)ORIGIN_BITS;
      int words = 8 / kind.groups;
      add_words(kind, vectors, tokens, w, b, h * words, words, x.values + b * BLOCK, x.stride, products);
      for (int t = 0; t < tokens; t++)
        for (int v = 0; v < vectors; v++) {
          vf dot = number_of(products[v][t], comes_off, x.of_groups[t][b][h]);
          if (kind.groups == 2) dot *= w[v].scales[b][h];
          dots[v][t] = h == 0 ? dot : dots[v][t] + dot;
        }
    }
    for (int t = 0; t < tokens; t++) {
      const uint8_t *at = x.scales + (size_t)t * x.stride + b * 4;
      float scale = *(const f32_any *)at, sum = *(const f32_any *)(at + x.to_sums);
      for (int v = 0; v < vectors; v++) {
        sums[v][t] = fused(w[v].d[b] * scale, dots[v][t], sums[v][t]);
        if (kind.minima && kind.groups == 1) sums[v][t] = fused(w[v].m[b], splat(sum), sums[v][t]);
        if (kind.minima && kind.groups == 2) {
          const float *of_x = x.of_groups[t][b];
          vf both = w[v].minima[b][0] * of_x[0] + w[v].minima[b][1] * of_x[1];
          sums[v][t] = fused(w[v].m[b] * scale, both, sums[v][t]);
        }
      }
    }
  }
}

// Some rows of the output: lane 0 of the first vector is output o of y, and the last output is last - 1. What comes on
// top is rows as those of y, or NULL.
typedef struct {
  float *y;
  const float *addend;
  size_t outputs, o, last;
} int8_output;

// They begin with `start`, or with what they are.
INLINE void int8_rows_tile(product_kind kind, int vectors, int tokens, const unpacked *w,
                           size_t blocks, int8_rows x, const vf *start, int8_output out) {
  vf sums[INT8_VECTORS][INT8_TOKENS];
  for (int t = 0; t < tokens; t++)
    for (int v = 0; v < vectors; v++)
      sums[v][t] = start ? start[v]
                         : load_up_to(out.y + (size_t)t * out.outputs, out.o + (size_t)(v * LANES),
                                      out.last);
  int8_tile(kind, vectors, tokens, w, blocks, x, sums);
  for (int t = 0; t < tokens; t++)
    for (int v = 0; v < vectors; v++)
      finish_int8(out.y + (size_t)t * out.outputs,
                  out.addend ? out.addend + (size_t)t * out.outputs : NULL, out.o + (size_t)(v * LANES),
                  out.last, sums[v][t]);
}

// Meanwhile what lies at `ahead`, the weights that are unpacked next, is fetched from memory.
INLINE void int8_tiles(product_kind kind, int vectors, const unpacked *w, size_t blocks, int8_rows x,
                       const vf *start, size_t rows, int8_output out, const uint8_t *ahead,
                       size_t bytes) {
  size_t most = vectors * INT8_TOKENS > INT8_SUMS ? INT8_SUMS / vectors : INT8_TOKENS;
  size_t lines = (bytes / 64 * most + rows - 1) / rows;
  for (size_t t = 0; t < rows;) {
    for (size_t i = 0; i < lines; i++, ahead += 64) __builtin_prefetch(ahead);
    size_t left = rows - t, n = left >= most ? most : left >= 4 ? 4 : left >= 2 ? 2 : 1;
#define TILE(tokens) int8_rows_tile(kind, vectors, tokens, w, blocks, x, start, out)
    if (n == INT8_TOKENS)
      TILE(INT8_TOKENS);
    else if (n == 4 && INT8_TOKENS > 4)
      TILE(4);
    else if (n == 2 && INT8_TOKENS > 2)
      TILE(2);
    else
      TILE(1);
#undef TILE
    t += n, out.y += n * out.outputs, x.of_groups += n;
    if (out.addend) out.addend += n * out.outputs;
    x.values += n * x.stride, x.scales += n * x.stride;
  }
}

static void sum_rows(cpu_type type, int8_rows x, size_t rows, size_t blocks,
                     group_sums (*sums)[BLOCKS]) {
#define CASE(name) \
  case name: for (size_t t = 0; t < rows; t++) sum_row(name, x.values + t * x.stride, blocks, sums[t]); break;
  switch (type) {
    EACH_QUANTIZED(CASE)
  default: break;
  }
#undef CASE
}

// Up to MOST_ROWS rows.
static void linear_many(const cpu_linear_arguments *a, size_t first, size_t last) {
  unpacked w[INT8_VECTORS];
  group_sums of_groups[MOST_ROWS][BLOCKS];
  cpu_type type = a->type;
  size_t blocks = a->width / BLOCK, stride = int8_row_bytes(a->width), rows = a->rows;
  size_t bytes = weight_tiles_bytes((weight_type)type, TILE_ROWS, a->width);
  bool minima = has_minima(type), two = groups(type) == 2, sign = is_signed(type);
  int bits = low_bits(type) + high_bits(type);
  bool plain = !minima && !two; // little is done for each block beside its products
  const uint8_t *row = a->input;
  for (size_t b = 0; b < blocks; b += BLOCKS) {
    size_t count = blocks - b < BLOCKS ? blocks - b : BLOCKS;
    const uint8_t *tiles = (const uint8_t *)a->weights + tile_bytes(type, b);
    int8_rows x = {row + b * BLOCK, row + a->width + b * 4, stride, blocks * 4, of_groups};
    if (needs_sums(type)) sum_rows(type, x, rows, count, of_groups);
    for (size_t o = first; o < last;) {
      size_t vectors = last - o > LANES && !(HAS_PAIRS && plain) ? INT8_VECTORS : 1;
      vf bias[INT8_VECTORS];
      for (size_t v = 0; v < vectors; v++) {
        size_t from = o + v * LANES;
        unpack(type, tiles + from / TILE_ROWS * bytes, count, from % TILE_ROWS, &w[v]);
        bias[v] = a->bias ? load_up_to(a->bias, from, last) : (vf)0.0f;
      }
      const vf *start = b == 0 ? bias : NULL;
      size_t next = o + vectors * LANES, ahead_bytes = next < last ? tile_bytes(type, count) : 0;
      const uint8_t *ahead = tiles + next / TILE_ROWS * bytes;
      ahead_bytes *= vectors * LANES / TILE_ROWS;
      int8_output out = {a->output, addend_of(a, 0, b + count), a->outputs, o, last};
#define TILES(...)                                                                            \
  if (vectors == INT8_VECTORS)                                                                \
    int8_tiles((product_kind){__VA_ARGS__}, INT8_VECTORS, w, count, x, start, rows, out,      \
               ahead, ahead_bytes);                                                           \
  else                                                                                        \
    int8_tiles((product_kind){__VA_ARGS__}, 1, w, count, x, start, rows, out, ahead,          \
               ahead_bytes);
      if (two && minima) {
        TILES(2, true, false, 2)
      } else if (two && HAS_PAIRS && bits == 3) {
        TILES(2, false, false, 3)
      } else if (two) {
        TILES(2, false, false, 6)
      } else if (minima && HAS_PAIRS && bits == 4) {
        TILES(1, true, false, 4)
      } else if (minima) {
        TILES(1, true, false, 5)
      } else if (sign) {
        TILES(1, false, true, 8)
      } else if (HAS_PAIRS && bits == 4) {
        TILES(1, false, false, 4)
      } else {
        TILES(1, false, false, 5)
      }
#undef TILES
      o = next;
    }
  }
}

// An item is a block of rows and OUTPUTS outputs.
static void linear_int8(const void *arguments, size_t first, size_t last) {
  const cpu_linear_arguments *a = arguments;
  size_t groups = (a->outputs + OUTPUTS - 1) / OUTPUTS;
  for (size_t end; first < last; first = end) {
    size_t block = first / groups, begin = block * groups, row = block * a->block_rows;
    end = begin + groups < last ? begin + groups : last;
    cpu_linear_arguments part = *a;
    part.rows = a->rows - row < a->block_rows ? a->rows - row : a->block_rows;
    part.input = (const uint8_t *)a->input + row * int8_row_bytes(a->width);
    part.output = a->output + row * a->outputs;
    if (a->addend) part.addend = a->addend + row * a->outputs;
    size_t from = (first - begin) * OUTPUTS, to = (end - begin) * OUTPUTS;
    if (to > a->outputs) to = a->outputs;
    if (part.rows > FEW_INT8)
      linear_many(&part, from, to);
    else
      linear_few(&part, from, to);
  }
}
