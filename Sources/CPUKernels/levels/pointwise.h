// Element by element, and the rule that makes int8 blocks.

static void add(const void *arguments, size_t first, size_t last) {
  const cpu_pair_arguments *p = arguments;
  size_t i = first;
  for (; i + LANES <= last; i += LANES) store(p->output + i, load(p->a + i) + load(p->b + i));
  for (; i < last; i++) p->output[i] = p->a[i] + p->b[i];
}

// x / (1 + exp(-z)), by the exponential of -|z|, which cannot overflow.
INLINE vf gate(vf x, vf z) {
  vf e = exponential(-magnitude(z));
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

// Tensors/Int8Activations.swift. What is not a number compares false and becomes 0.
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
      vf peak = largest_of(peaks);
      vi counts = (peak >= 1e-30f) & (peak <= 1e30f);
      peak = (vf)(counts & (vi)peak);
      vf inverse = (vf)(counts & (vi)(reciprocal(peak) * 127.0f));
      vi total = (vi)0;
      for (int u = 0; u < UNIT; u++) {
        vf shifted = v[u] * inverse + ROUNDER;
        vi in_range = magnitude(shifted - ROUNDER) <= 127.0f;
        vi q = in_range & ((vi)shifted - 0x4b400000);
        total += q;
        *(vc_any *)(row + u * LANES) = __builtin_convertvector(q, vc);
      }
      float scale = peak[0] * 0.0078740157f;
      scales[b] = scale;
      sums[b] = scale * (float)total_of(total);
    }
  }
}
