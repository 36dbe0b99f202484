// x W^T for rows of floats and few rows of x: the weights pass by once, straight from memory.
//
// Lanes run along k. ROWS rows of W share the loads of x; sums over the lanes come at the end.

enum { ROWS = 4 };

// How far ahead of its use a weight is asked for: a whole number of groups of rows that are worked
// on together, `group` bytes each, so that each line is asked for once, and some 4 KiB, since a
// block takes longer than a core looks ahead by itself. Rows of many pages are streams that the
// hardware sees: there it is a part of a row.
INLINE size_t lead(size_t group) {
  return group > 32768 ? 1024 : (4095 + group) / group * group;
}

// out[r] = row r of W times x.
INLINE void dot_rows(cpu_type type, const uint8_t *const rows[ROWS], size_t ahead, const float *x,
                     size_t width, float out[ROWS]) {
  vf sums[ROWS][UNIT];
  for (int r = 0; r < ROWS; r++)
    for (int u = 0; u < UNIT; u++) sums[r][u] = (vf)0.0f;
  size_t k = 0, offset = 0;
  vf v[UNIT], values[UNIT];
  for (; k + BLOCK <= width; k += BLOCK, offset += BLOCK * element_bytes(type)) {
    for (int u = 0; u < UNIT; u++) v[u] = load(x + k + u * LANES);
#pragma clang loop unroll(full) // or else the sums lie in memory
    for (int r = 0; r < ROWS; r++) {
      const uint8_t *block = rows[r] + offset;
      __builtin_prefetch(block + ahead);
      if (type == CPU_F32) __builtin_prefetch(block + ahead + 64);
      decode_block(type, block, values);
      for (int u = 0; u < UNIT; u++) sums[r][u] += values[u] * v[u];
    }
  }
  if (k < width) {
    decode_some(CPU_F32, (const uint8_t *)(x + k), width - k, v);
    for (int r = 0; r < ROWS; r++) {
      decode_some(type, rows[r] + offset, width - k, values);
      for (int u = 0; u < UNIT; u++) sums[r][u] += values[u] * v[u];
    }
  }
  for (int r = 0; r < ROWS; r++) {
    for (int u = 1; u < UNIT; u++) sums[r][0] += sums[r][u];
    out[r] = sum_of(sums[r][0]);
  }
}

INLINE void linear_rows(cpu_type type, const cpu_linear_arguments *a, size_t first, size_t last) {
  size_t row_bytes = a->width * element_bytes(type), ahead = lead(ROWS * row_bytes);
  for (size_t o = first; o < last; o += ROWS) {
    size_t n = last - o < ROWS ? last - o : ROWS;
    const uint8_t *rows[ROWS];
    for (size_t r = 0; r < ROWS; r++)
      rows[r] = (const uint8_t *)a->weights + (o + (r < n ? r : 0)) * row_bytes;
    for (size_t t = 0; t < a->rows; t++) {
      float out[ROWS];
      dot_rows(type, rows, ahead, (const float *)a->input + t * a->width, a->width, out);
      for (size_t r = 0; r < n; r++)
        a->output[t * a->outputs + o + r] = out[r] + (a->bias ? a->bias[o + r] : 0);
    }
  }
}
