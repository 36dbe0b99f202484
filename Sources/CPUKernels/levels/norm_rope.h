// RMS norm and rotary positions, row by row.

// 1 / sqrt(mean(x^2) + epsilon)
INLINE float norm_factor(const float *x, size_t width, float epsilon) {
  vf squares[SUM_VECTORS];
  for (int c = 0; c < SUM_VECTORS; c++) squares[c] = (vf)0.0f;
  size_t i = 0;
  for (; i + 16 <= width; i += 16)
    for (size_t c = 0; c < SUM_VECTORS; c++) {
      vf v = load(x + i + c * LANES);
      squares[c] = fused(v, v, squares[c]);
    }
  for (size_t c = 0; i < width; i += LANES, c++) {
    vf v = load_some(x + i, width - i < LANES ? width - i : LANES);
    squares[c] = fused(v, v, squares[c]);
  }
  float mean = sum_of_lanes(squares) * reciprocal(splat((float)width))[0];
  return reciprocal_square_root(splat(mean + epsilon))[0];
}

INLINE void norm_some(const float *x, float factor, const float *weight, size_t count, float *y) {
  size_t i = 0;
  for (; i + LANES <= count; i += LANES) store(y + i, load(x + i) * factor * load(weight + i));
  for (; i < count; i++) y[i] = x[i] * factor * weight[i];
}

static void rms_norm(const void *arguments, size_t first, size_t last) {
  const cpu_rms_norm_arguments *a = arguments;
  for (size_t r = first; r < last; r++) {
    const float *x = a->input + r * a->width;
    norm_some(x, norm_factor(x, a->width, a->epsilon), a->weight, a->width,
              (float *)a->output + r * a->width);
  }
}

// The same to int8 blocks, some of them at a time.
static void norm_quantize(const void *arguments, size_t first, size_t last) {
  const cpu_rms_norm_arguments *a = arguments;
  _Alignas(64) float normed[LANES * BLOCK];
  for (size_t r = first; r < last; r++) {
    const float *x = a->input + r * a->width;
    float factor = norm_factor(x, a->width, a->epsilon);
    int8_blocks row = int8_blocks_of(a->output, r, a->width);
    for (size_t b = 0; b < row.blocks; b += LANES) {
      size_t some = some_blocks(&row, b);
      norm_some(x + b * BLOCK, factor, a->weight + b * BLOCK, some * BLOCK, normed);
      store_blocks(&row, b, some, normed);
    }
  }
}

// Turns the first pairs of each head of a row by the angles first ..< first + n; `adjacent` is constant, and so
// is n where it is LANES.
INLINE void turn_heads(bool adjacent, const cpu_rope_arguments *a, const float *x, float *y,
                       size_t first, size_t n, vf sine, vf cosine) {
  size_t half = a->dimensions / 2;
  for (size_t h = 0; h < a->heads; h++, x += a->head_width, y += a->head_width) {
    vf p = (vf)0.0f, q = (vf)0.0f;
    if (adjacent && n == LANES) {
      vf low = load(x + 2 * first), high = load(x + 2 * first + LANES);
      p = EVEN_LANES(low, high);
      q = ODD_LANES(low, high);
    } else if (adjacent) {
      for (size_t i = 0; i < n; i++) {
        p[i] = x[2 * (first + i)];
        q[i] = x[2 * (first + i) + 1];
      }
    } else if (n == LANES) {
      p = load(x + first);
      q = load(x + half + first);
    } else {
      p = load_some(x + first, n);
      q = load_some(x + half + first, n);
    }
    vf turned_p = fused(p, cosine, -(q * sine)), turned_q = fused(p, sine, q * cosine);
    if (adjacent && n == LANES) {
      store(y + 2 * first, LOW_PAIRS(turned_p, turned_q));
      store(y + 2 * first + LANES, HIGH_PAIRS(turned_p, turned_q));
    } else if (adjacent) {
      for (size_t i = 0; i < n; i++) {
        y[2 * (first + i)] = turned_p[i];
        y[2 * (first + i) + 1] = turned_q[i];
      }
    } else if (n == LANES) {
      store(y + first, turned_p);
      store(y + half + first, turned_q);
    } else {
      store_some(y + first, turned_p, n);
      store_some(y + half + first, turned_q, n);
    }
  }
}

static void rope(const void *arguments, size_t first, size_t last) {
  const cpu_rope_arguments *a = arguments;
  size_t width = a->heads * a->head_width, half = a->dimensions / 2;
  for (size_t r = first; r < last; r++) {
    const float *x = a->input + r * width;
    float *y = a->output + r * width;
    if (x != y && a->dimensions < a->head_width)
      for (size_t h = 0; h < a->heads; h++)
        __builtin_memcpy(y + h * a->head_width + a->dimensions,
                         x + h * a->head_width + a->dimensions,
                         (a->head_width - a->dimensions) * sizeof(float));
    float position = (float)a->positions[r];
    for (size_t i = 0; i < half; i += LANES) {
      size_t n = half - i < LANES ? half - i : LANES;
      vf frequency =
          n == LANES ? load(a->frequencies + i) : load_some(a->frequencies + i, n);
      vf sine, cosine;
      sine_cosine(frequency * position, &sine, &cosine);
      sine *= a->magnitude, cosine *= a->magnitude;
      if (a->adjacent && n == LANES)
        turn_heads(true, a, x, y, i, LANES, sine, cosine);
      else if (a->adjacent)
        turn_heads(true, a, x, y, i, n, sine, cosine);
      else if (n == LANES)
        turn_heads(false, a, x, y, i, LANES, sine, cosine);
      else
        turn_heads(false, a, x, y, i, n, sine, cosine);
    }
  }
}

static void rotate(const void *arguments, size_t first, size_t last) {
  const cpu_rotate_arguments *a = arguments;
  size_t block = a->block_width;
  vi lane;
  for (int i = 0; i < LANES; i++) lane[i] = i;
  for (size_t start = first * a->width; start < last * a->width; start += block) {
    const float *x = a->input + start;
    float *y = a->output + start;
    size_t apart = 1;
    if (block >= LANES) {
      for (size_t i = 0; i < block; i += LANES) {
        vf v = load(x + i);
        v = choose((lane & 1) == 0, v + ONES_SWAPPED(v), ONES_SWAPPED(v) - v);
        v = choose((lane & 2) == 0, v + TWOS_SWAPPED(v), TWOS_SWAPPED(v) - v);
        v = choose((lane & 4) == 0, v + FOURS_SWAPPED(v), FOURS_SWAPPED(v) - v);
        if (LANES == 16) v = choose((lane & 8) == 0, v + EIGHTS_SWAPPED(v), EIGHTS_SWAPPED(v) - v);
        store(y + i, v);
      }
      for (apart = LANES; apart < block; apart *= 2)
        for (size_t i = 0; i < block; i += 2 * apart)
          for (size_t j = i; j < i + apart; j += LANES) {
            vf p = load(y + j), q = load(y + j + apart);
            store(y + j, p + q);
            store(y + j + apart, p - q);
          }
      for (size_t i = 0; i < block; i += LANES) store(y + i, load(y + i) * a->factor);
      continue;
    }
    if (x != y) __builtin_memcpy(y, x, block * sizeof(float));
    for (; apart < block; apart *= 2)
      for (size_t i = 0; i < block; i++) {
        if (i & apart) continue;
        float p = y[i], q = y[i + apart];
        y[i] = p + q;
        y[i + apart] = p - q;
      }
    for (size_t i = 0; i < block; i++) y[i] *= a->factor;
  }
}
