// x W^T where x is floats and W is tiles of quantised rows. A lane is a row of W; DEPTH_BLOCKS blocks of
// LANES rows are decoded to floats, which stay in the first cache while the rows of x pass by.

enum { DEPTH_BLOCKS = 8, DEPTH_F32 = DEPTH_BLOCKS * BLOCK };

INLINE void decode_tile_as(cpu_type type, const uint8_t *tile, size_t blocks, size_t lane,
                           vf values[DEPTH_F32]) {
  for (size_t b = 0; b < blocks;) {
    const uint8_t *head = tile;
    tile += tile_head_bytes(type);
    vf d = head_scales(type, head, lane), m = (vf)0.0f;
    if (has_minima(type)) m = head_minima(type, head, lane);
    for (size_t i = 0; i < span(type); i++, b++, tile += block_bytes(type), values += BLOCK) {
      vf scale = d, minimum = m;
      for (int g = 0; g < 8; g++) {
        size_t group = i * (size_t)groups(type) + (size_t)(g * groups(type) / 8);
        if (has_group_scales(type) && g % (8 / groups(type)) == 0)
          scale = d * group_scale(type, head, group, lane);
        if (has_group_minima(type) && g % (8 / groups(type)) == 0)
          minimum = m * group_minimum(type, head, group, lane);
        vu words = (vu)code_bytes(type, tile, g, lane);
        for (int e = 0; e < 4; e++) {
          vi number = is_signed(type) ? (vi)(words << (uint32_t)(24 - 8 * e)) >> 24
                                      : (vi)(words >> (uint32_t)(8 * e) & 255) - zero_of(type);
          values[4 * g + e] = __builtin_convertvector(number, vf) * scale + minimum;
        }
      }
    }
  }
}

static void decode_tile(cpu_type type, const uint8_t *tile, size_t blocks, size_t lane,
                        vf values[DEPTH_F32]) {
#define CASE(name) \
  case name: decode_tile_as(name, tile, blocks, lane, values); break;
  switch (type) {
    EACH_QUANTIZED(CASE)
  default: break;
  }
#undef CASE
}

// Adds the products of `depth` columns to one sum for each of `tokens` (a constant) rows of x.
INLINE void add_columns(int tokens, const vf *values, size_t depth, const float *x, size_t width,
                        vf sums[F32_TOKENS]) {
  for (size_t k = 0; k < depth; k++)
    for (int t = 0; t < tokens; t++) sums[t] += values[k] * splat(x[(size_t)t * width + k]);
}

// The same for one row of x, in chains that do not wait for each other.
INLINE void add_columns_once(const vf *values, size_t depth, const float *x, vf *sum) {
  vf chains[4] = {*sum, (vf)0.0f, (vf)0.0f, (vf)0.0f};
  for (size_t k = 0; k < depth; k += 4)
    for (size_t i = 0; i < 4; i++) chains[i] += values[k + i] * splat(x[k + i]);
  *sum = (chains[0] + chains[1]) + (chains[2] + chains[3]);
}

static void linear_f32(const cpu_linear_arguments *a, size_t first, size_t last) {
  vf values[DEPTH_F32];
  size_t blocks = a->width / BLOCK;
  size_t bytes = weight_tiles_bytes((weight_type)a->type, TILE_ROWS, a->width);
  for (size_t o = first; o < last; o += LANES)
    for (size_t b = 0; b < blocks; b += DEPTH_BLOCKS) {
      size_t count = blocks - b < DEPTH_BLOCKS ? blocks - b : DEPTH_BLOCKS;
      const uint8_t *tile =
          (const uint8_t *)a->weights + o / TILE_ROWS * bytes + tile_bytes(a->type, b);
      decode_tile(a->type, tile, count, o % TILE_ROWS, values);
      for (size_t t = 0; t < a->rows;) {
        const float *x = (const float *)a->input + t * a->width + b * BLOCK;
        float *y = a->output + t * a->outputs;
        size_t tokens = a->rows - t >= F32_TOKENS ? F32_TOKENS : 1;
        vf sums[F32_TOKENS];
        for (size_t i = 0; i < tokens; i++) {
          const float *start = b == 0 ? a->bias : y + i * a->outputs;
          sums[i] = start ? load_up_to(start, o, last) : (vf)0.0f;
        }
        if (tokens == 1)
          add_columns_once(values, count * BLOCK, x, sums);
        else
          add_columns(F32_TOKENS, values, count * BLOCK, x, a->width, sums);
        for (size_t i = 0; i < tokens; i++, t++)
          store_up_to(y + i * a->outputs, o, last, sums[i]);
      }
    }
}
