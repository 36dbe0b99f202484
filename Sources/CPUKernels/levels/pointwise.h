// Element by element, and the rule that makes int8 blocks.

static void add(const void *arguments, size_t first, size_t last) {
  const cpu_pair_arguments *p = arguments;
  size_t i = first;
  for (; i + LANES <= last; i += LANES) store(p->output + i, load(p->a + i) + load(p->b + i));
  for (; i < last; i++) p->output[i] = p->a[i] + p->b[i];
}

INLINE vf silu(vf x) { return x / (exponential(-x) + 1.0f); }

static void gated_silu(const void *arguments, size_t first, size_t last) {
  const cpu_pair_arguments *p = arguments;
  size_t i = first;
  for (; i + LANES <= last; i += LANES)
    store(p->output + i, silu(load(p->a + i)) * load(p->b + i));
  if (i < last) {
    size_t n = last - i;
    store_some(p->output + i, silu(load_some(p->a + i, n)) * load_some(p->b + i, n), n);
  }
}

// Rounding goes through 1.5 * 2^23, which rounds to the nearest, ties to even, as the rule says;
// the low bits of the sum are the integer. What is not a number compares false and becomes 0.
static void quantize(const void *arguments, size_t first, size_t last) {
  const cpu_quantize_arguments *a = arguments;
  size_t blocks = a->width / BLOCK;
  for (size_t r = first; r < last; r++) {
    const float *x = a->input + r * a->width;
    uint8_t *row = (uint8_t *)a->output + r * (a->width + blocks * 8);
    float *scales = (float *)(void *)(row + a->width), *sums = scales + blocks;
    for (size_t b = 0; b < blocks; b++, x += BLOCK, row += BLOCK) {
      vf v[UNIT], peaks = (vf)0.0f;
      for (int u = 0; u < UNIT; u++) {
        v[u] = load(x + u * LANES);
        peaks = max_of(magnitude(v[u]), peaks);
      }
      float peak = peak_of(peaks);
      if (!(peak >= CPU_LEAST_PEAK && peak < __builtin_inff())) peak = 0;
      float inverse = peak == 0 ? 0 : 127 / peak;
      vi total = (vi)0;
      for (int u = 0; u < UNIT; u++) {
        // A statement of its own: in one expression the compiler may fuse the product and the sum,
        // and then it rounds once where the rule rounds twice.
        vf scaled = v[u] * inverse;
        vf shifted = scaled + 12582912.0f;
        vi in_range = magnitude(shifted - 12582912.0f) <= 127.0f;
        vi q = in_range & ((vi)shifted - 0x4b400000);
        total += q;
        *(vc_any *)(row + u * LANES) = __builtin_convertvector(q, vc);
      }
      float scale = peak / 127;
      int sum = 0;
      for (int i = 0; i < LANES; i++) sum += total[i];
      scales[b] = scale;
      sums[b] = scale * (float)sum;
    }
  }
}
