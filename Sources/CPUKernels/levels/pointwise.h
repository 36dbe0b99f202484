// Element by element, and the rule that makes int8 blocks.

static void add(const void *arguments, size_t first, size_t last) {
  const cpu_pair_arguments *p = arguments;
  size_t i = first;
  for (; i + LANES <= last; i += LANES) store(p->output + i, load(p->a + i) + load(p->b + i));
  for (; i < last; i++) p->output[i] = p->a[i] + p->b[i];
}

// x / (1 + exp(-z)), by the exponential of -|z|, which cannot overflow.
INLINE vf gate(vf x, vf z) {
  vf e = exponential_below(-magnitude(z));
  return choose(z >= 0.0f, x, x * e) * reciprocal(e + 1.0f);
}
INLINE vf silu(vf x) { return gate(x, x); }
INLINE vf gelu(vf x) { return gate(x, fused(x * x * 0.044715f, x, x) * 1.59576912f); }

#define GATED(activation)                                                                      \
  static void gated_##activation(const void *arguments, size_t first, size_t last) {           \
    const cpu_pair_arguments *p = arguments;                                                   \
    size_t i = first;                                                                          \
    for (; i + LANES <= last; i += LANES)                                                      \
      store(p->output + i, activation(load(p->a + i)) * load(p->b + i));                       \
    if (i < last) {                                                                            \
      size_t n = last - i;                                                                     \
      store_some(p->output + i, activation(load_some(p->a + i, n)) * load_some(p->b + i, n), n); \
    }                                                                                          \
  }
GATED(silu)
GATED(gelu)

// Tensors/Int8Activations.swift for up to LANES blocks, in three passes, so that no block waits for its own
// peak. What is not a number compares false and becomes 0.
INLINE void quantize_blocks(const float *x, size_t count, uint8_t *bytes, float *scales, float *sums) {
  _Alignas(64) float peaks[LANES] = {0}, inverses[LANES], totals[LANES] = {0};
  for (size_t b = 0; b < count; b += 4) {
    vf largest[4];
    for (size_t i = 0; i < 4; i++) {
      const float *block = x + (b + i < count ? b + i : b) * BLOCK;
      largest[i] = (vf)0.0f;
      for (int u = 0; u < UNIT; u++)
        largest[i] = max_of(magnitude(load(block + u * LANES)), largest[i]);
    }
    *(quad *)(void *)&peaks[b] = largest_of_four(largest);
  }
  vf peak = load(peaks);
  vi counts = (peak >= 1e-30f) & (peak <= 1e30f);
  peak = (vf)(counts & (vi)peak);
  store(inverses, (vf)(counts & (vi)(reciprocal(peak) * 127.0f)));
  for (size_t b = 0; b < count; b += 4) {
    vf all[4];
    for (size_t i = 0; i < 4; i++) {
      vi total = (vi)0;
      for (size_t u = 0; u < UNIT && b + i < count; u++) {
        size_t at = (b + i) * BLOCK + u * LANES;
        vf shifted = load(x + at) * inverses[b + i] + ROUNDER;
        vi in_range = magnitude(shifted - ROUNDER) <= 127.0f;
        vi q = in_range & ((vi)shifted - 0x4b400000);
        total += q;
        *(vc_any *)(bytes + at) = __builtin_convertvector(q, vc);
      }
      all[i] = __builtin_convertvector(total, vf);
    }
    *(quad *)(void *)&totals[b] = sums_of(all);
  }
  vf scale = peak * 0.0078740157f;
  store_some(scales, scale, count);
  store_some(sums, scale * load(totals), count);
}

// A row of int8 blocks.
typedef struct {
  uint8_t *bytes;
  float *scales, *sums;
  size_t blocks;
} int8_blocks;

INLINE int8_blocks int8_blocks_of(void *rows, size_t row, size_t width) {
  size_t blocks = width / BLOCK;
  uint8_t *bytes = (uint8_t *)rows + row * (width + blocks * 8);
  float *scales = (float *)(void *)(bytes + width);
  return (int8_blocks){bytes, scales, scales + blocks, blocks};
}

// How many blocks there are from b on, of LANES.
INLINE size_t some_blocks(const int8_blocks *row, size_t b) {
  return row->blocks - b < LANES ? row->blocks - b : LANES;
}

INLINE void store_blocks(const int8_blocks *row, size_t b, size_t count, const float *x) {
  if (count == LANES)
    quantize_blocks(x, LANES, row->bytes + b * BLOCK, row->scales + b, row->sums + b);
  else
    quantize_blocks(x, count, row->bytes + b * BLOCK, row->scales + b, row->sums + b);
}

static void quantize(const void *arguments, size_t first, size_t last) {
  const cpu_quantize_arguments *a = arguments;
  for (size_t r = first; r < last; r++) {
    int8_blocks row = int8_blocks_of(a->output, r, a->width);
    for (size_t b = 0; b < row.blocks; b += LANES)
      store_blocks(&row, b, some_blocks(&row, b), a->input + r * a->width + b * BLOCK);
  }
}

// The gate to int8. An item is GATED_BLOCKS blocks of a row.
#define GATED_QUANTIZE(activation)                                                             \
  static void quantize_##activation(const void *arguments, size_t first, size_t last) {        \
    const cpu_gated_quantize_arguments *g = arguments;                                         \
    _Alignas(64) float gated[LANES * BLOCK];                                                   \
    size_t groups = (g->width / BLOCK + GATED_BLOCKS - 1) / GATED_BLOCKS;                      \
    for (size_t item = first; item < last; item++) {                                           \
      int8_blocks row = int8_blocks_of(g->output, item / groups, g->width);                    \
      const float *x = g->a + item / groups * g->width, *y = g->b + item / groups * g->width;  \
      size_t b = item % groups * GATED_BLOCKS, end = b + GATED_BLOCKS;                         \
      for (; b < end && b < row.blocks; b += LANES) {                                          \
        size_t some = some_blocks(&row, b);                                                    \
        for (size_t i = 0; i < some * BLOCK; i += LANES)                                       \
          store(gated + i, activation(load(x + b * BLOCK + i)) * load(y + b * BLOCK + i));     \
        store_blocks(&row, b, some, gated);                                                    \
      }                                                                                        \
    }                                                                                          \
  }
GATED_QUANTIZE(silu)
GATED_QUANTIZE(gelu)
