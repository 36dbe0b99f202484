// Three loops that show what a level reaches at best: reading, float and int8 arithmetic.

// Independent chains: enough to hide the latency of an instruction, few enough for 16 registers.
enum { CHAINS = 10 };

// The chunk's bytes, added up so that no read can be left out.
static void probe_read(const void *arguments, size_t first, size_t last) {
  const cpu_probe_arguments *a = arguments;
  for (size_t chunk = first; chunk < last; chunk++) {
    const uint8_t *p = (const uint8_t *)a->bytes + chunk * a->chunk_bytes;
    vf sums[8] = {0};
    for (size_t i = 0; i + sizeof sums <= a->chunk_bytes; i += sizeof sums)
      for (int j = 0; j < 8; j++)
        sums[j] = (vf)((vu)sums[j] ^ (vu)load(p + i + (size_t)j * sizeof(vf)));
    vu all = (vu){0};
    for (int j = 0; j < 8; j++) all ^= (vu)sums[j];
    uint32_t result = 0;
    for (int lane = 0; lane < LANES; lane++) result ^= all[lane];
    a->results[chunk] = result;
  }
}

// x * m + b, again and again. The factors come from memory, so that nothing is known of them.
static void probe_float(const void *arguments, size_t first, size_t last) {
  const cpu_probe_arguments *a = arguments;
  const vf m = load(a->bytes), b = load((const uint8_t *)a->bytes + sizeof(vf));
  for (size_t chunk = first; chunk < last; chunk++) {
    vf x[CHAINS];
    for (int i = 0; i < CHAINS; i++) x[i] = splat((float)i);
    for (size_t round = 0; round < a->rounds; round++)
      for (int i = 0; i < CHAINS; i++) {
#if HAS_FMA
        x[i] = fused(x[i], m, b);
#else
        x[i] = x[i] * m + b;
#endif
      }
    vf sum = splat(0.0f);
    for (int i = 0; i < CHAINS; i++) sum += x[i];
    float result = sum_of(sum);
    __builtin_memcpy(&a->results[chunk], &result, sizeof result);
  }
}

// Products of two rows of bytes with as many tokens, as in `linear_int8`.
static void probe_int8(const void *arguments, size_t first, size_t last) {
  const cpu_probe_arguments *a = arguments;
  const vb_any *p = a->bytes;
  for (size_t chunk = first; chunk < last; chunk++) {
    vi sums[CHAINS] = {0};
    const vb x = p[0], y = p[1];
    for (size_t round = 0; round < a->rounds; round++) {
      // Sixteen places, so that the words come from the nearest cache.
      const vb_any *words = p + 2 + round % 16;
      for (int i = 0; i < CHAINS / 2; i++) {
        sums[2 * i] = dot4(sums[2 * i], words[i], x);
        sums[2 * i + 1] = dot4(sums[2 * i + 1], words[i], y);
      }
    }
    vi sum = {0};
    for (int i = 0; i < CHAINS; i++) sum += sums[i];
    uint32_t result = 0;
    for (int lane = 0; lane < LANES; lane++) result += (uint32_t)sum[lane];
    a->results[chunk] = result;
  }
}
