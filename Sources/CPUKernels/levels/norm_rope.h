// RMS norm and rotary positions, row by row.

static void rms_norm(const void *arguments, size_t first, size_t last) {
  const cpu_rms_norm_arguments *a = arguments;
  size_t width = a->width;
  for (size_t r = first; r < last; r++) {
    const float *x = a->input + r * width;
    float *y = a->output + r * width;
    // Squares of floats are exact in double, and so many of them do not cancel.
    vd squares = (vd)0.0;
    size_t i = 0;
    for (; i + LANES <= width; i += LANES) {
      vd v = __builtin_convertvector(load(x + i), vd);
      squares += v * v;
    }
    double sum = 0;
    for (int l = 0; l < LANES; l++) sum += squares[l];
    for (; i < width; i++) sum += (double)x[i] * x[i];
    float factor = (float)(1 / __builtin_sqrt(sum / (double)width + (double)a->epsilon));
    for (i = 0; i + LANES <= width; i += LANES)
      store(y + i, load(x + i) * factor * load(a->weight + i));
    for (; i < width; i++) y[i] = x[i] * factor * a->weight[i];
  }
}

// Sine and cosine: a quarter turn off in double, where a float's product with 2 / pi is as good as
// exact up to a billion turns, then Cephes' polynomials on |r| <= pi / 4.
INLINE void sine_cosine(vf x, vf *sine, vf *cosine) {
  vd wide = __builtin_convertvector(x, vd);
  vd shifted = wide * 0.63661977236758134 + 6755399441055744.0;
  vd quarters = shifted - 6755399441055744.0;
  vf r = __builtin_convertvector(wide - quarters * 1.57079632679489662, vf);
  typedef VECTOR(int64_t, LANES) vl;
  vi quarter = __builtin_convertvector((vl)shifted & 3, vi);
  vf z = r * r;
  vf s = ((-1.9515295891e-4f * z + 8.3321608736e-3f) * z - 1.6666654611e-1f) * z * r + r;
  vf c = ((2.443315711809948e-5f * z - 1.388731625493765e-3f) * z + 4.166664568298827e-2f) * z * z -
         0.5f * z + 1.0f;
  vi odd = -(quarter & 1);
  *sine = (vf)((vi)choose(odd, c, s) ^ (quarter & 2) << 30);
  *cosine = (vf)((vi)choose(odd, s, c) ^ ((quarter + 1) & 2) << 30);
}

// Turns the first pairs of each head of a row by the angles first ..< first + n.
INLINE void turn_heads(const cpu_rope_arguments *a, const float *x, float *y, size_t first, size_t n,
                       vf sine, vf cosine) {
  size_t half = a->dimensions / 2;
  for (size_t h = 0; h < a->heads; h++, x += a->head_width, y += a->head_width) {
    if (a->adjacent) {
      for (size_t i = 0; i < n; i++) {
        float p = x[2 * (first + i)], q = x[2 * (first + i) + 1];
        y[2 * (first + i)] = p * cosine[i] - q * sine[i];
        y[2 * (first + i) + 1] = p * sine[i] + q * cosine[i];
      }
    } else if (n == LANES) {
      vf p = load(x + first), q = load(x + half + first);
      store(y + first, p * cosine - q * sine);
      store(y + half + first, p * sine + q * cosine);
    } else {
      vf p = load_some(x + first, n), q = load_some(x + half + first, n);
      store_some(y + first, p * cosine - q * sine, n);
      store_some(y + half + first, p * sine + q * cosine, n);
    }
  }
}

static void rope(const void *arguments, size_t first, size_t last) {
  const cpu_rope_arguments *a = arguments;
  size_t width = a->heads * a->head_width, half = a->dimensions / 2;
  for (size_t r = first; r < last; r++) {
    const float *x = a->input + r * width;
    float *y = a->output + r * width;
    if (x != y)
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
      turn_heads(a, x, y, i, n, sine, cosine);
    }
  }
}
