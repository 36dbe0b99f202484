// x W^T for rows of floats and many rows of x: a register tile of 4 rows of W by TILE_TOKENS rows of x.
//
// Lanes run along k, so nothing is transposed. Weights that are not f32 are decoded, 4 rows and
// DEPTH columns at a time, into a buffer that stays in the first cache while TOKENS rows of x,
// which stay in the second, pass by.

enum { DEPTH = 1024, TOKENS = 96 };

// One tile over `depth` columns; `w` has a row every `stride` floats.
INLINE void tile(int tokens, const float *w, size_t stride, const float *x, size_t width,
                 size_t depth, quad out[TILE_TOKENS]) {
  vf sums[TILE_TOKENS][4];
  for (int t = 0; t < tokens; t++)
    for (int r = 0; r < 4; r++) sums[t][r] = (vf)0.0f;
  size_t k = 0;
  for (; k + LANES <= depth; k += LANES) {
    vf v[TILE_TOKENS];
    for (int t = 0; t < tokens; t++) v[t] = load(x + (size_t)t * width + k);
    for (int r = 0; r < 4; r++) {
      vf row = load(w + (size_t)r * stride + k);
      for (int t = 0; t < tokens; t++) sums[t][r] += row * v[t];
    }
  }
  if (k < depth)
    for (int r = 0; r < 4; r++) {
      vf row = load_some(w + (size_t)r * stride + k, depth - k);
      for (int t = 0; t < tokens; t++)
        sums[t][r] += row * load_some(x + (size_t)t * width + k, depth - k);
    }
  for (int t = 0; t < tokens; t++) out[t] = sums_of(sums[t]);
}

static void linear_tiles(const cpu_linear_arguments *a, size_t first, size_t last) {
  _Alignas(64) float decoded[4 * DEPTH];
  const float *input = a->input;
  size_t bytes = element_bytes(a->type);
  for (size_t k = 0; k < a->width; k += DEPTH) {
    size_t depth = a->width - k < DEPTH ? a->width - k : DEPTH;
    for (size_t start = 0; start < a->rows; start += TOKENS) {
      size_t end = a->rows - start < TOKENS ? a->rows : start + TOKENS;
      for (size_t o = first; o < last; o += 4) {
        size_t n = last - o < 4 ? last - o : 4;
        const float *w = decoded;
        size_t stride = DEPTH;
        if (a->type == CPU_F32 && n == 4) {
          w = (const float *)a->weights + o * a->width + k;
          stride = a->width;
        } else {
          for (size_t r = 0; r < 4; r++)
            decode(a->type,
                   (const uint8_t *)a->weights + ((o + (r < n ? r : 0)) * a->width + k) * bytes,
                   depth, decoded + r * DEPTH);
        }
        for (size_t t = start; t < end;) {
          quad out[TILE_TOKENS];
          size_t tokens = end - t >= TILE_TOKENS ? TILE_TOKENS : 1;
          const float *x = input + t * a->width + k;
          if (tokens == TILE_TOKENS)
            tile(TILE_TOKENS, w, stride, x, a->width, depth, out);
          else
            tile(1, w, stride, x, a->width, depth, out);
          for (size_t i = 0; i < tokens; i++, t++) {
            float *y = a->output + t * a->outputs + o;
            for (size_t r = 0; r < n; r++)
              y[r] = out[i][r] + (k > 0 ? y[r] : a->bias ? a->bias[o + r] : 0);
          }
        }
      }
    }
  }
}

// Rows of x from which the tile beats passing the weights' decoded rows by once a row.
enum { MANY = 4 };

static void linear(const void *arguments, size_t first, size_t last) {
  const cpu_linear_arguments *a = arguments;
  if (!is_float(a->type)) {
    linear_f32(a, first, last);
    return;
  }
  if (a->rows >= MANY) {
    linear_tiles(a, first, last);
    return;
  }
#define CASE(name) \
  case name: linear_rows(name, a, first, last); break;
  switch (a->type) {
    EACH_FLOAT(CASE)
  default: break;
  }
#undef CASE
}
