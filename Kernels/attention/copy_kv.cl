// Keys and values of some tokens, from a page pool of halves to another one.
//
//   from, to   pools as attention/write_kv.cl has them, of from_pages and to_pages
//   sources, slots   i32 [t]: row t's token in the one and in the other, token % 16 of page token / 16; a row where
//   one of them is negative is not copied. Rows of one page follow one another: where keys of a page are quantised
//   together, the last of them makes these for all
//
// A work-item takes one head of one row. Global ids: (head, row).

#if HAS_WHOLE
// Sixteen elements of a token's key.
static inline float16 column_of(global const half *keys, float *lanes)
{
  for (uint i = 0; i < 16; i++) lanes[i] = vload_half(i * PAGE, keys);
  return vload16(0, lanes);
}
#endif

kernel void copy_kv(
    global const uchar *sources_buffer, ulong sources_offset,
    global const uchar *slots_buffer, ulong slots_offset,
    global const uchar *from_buffer, ulong from_offset, uint from_pages,
    global uchar *to_buffer, ulong to_offset, uint to_pages, uint heads, uint width)
{
  const uint head = get_global_id(0);
  const size_t t = get_global_id(1);
  const int source = ((global const int *)(sources_buffer + sources_offset))[t];
  const int slot = ((global const int *)(slots_buffer + slots_offset))[t];
  if (source < 0 || slot < 0) return;

  const uint seen = source % PAGE, token = slot % PAGE;
  global const half *k = (global const half *)(from_buffer + from_offset)
      + ((size_t)head * from_pages + source / PAGE) * 2 * PAGE * width;
  global const half *v = k + (size_t)PAGE * width + (size_t)seen * width;
  global element *keys = page_of(to_buffer + to_offset, to_pages, head, slot, width);
  global element *values = keys + KEYS_OF((size_t)width);
#if HAS_RANGES
  for (uint block = 0; block < width / BLOCK; block++)
    store_value_range(
        vload_half16(2 * block, v), vload_half16(2 * block + 1, v), values, width, token, block);
  // Keys that share ranges are made by the last row of a step that has a token of their page.
  global const int *next_source = (global const int *)(sources_buffer + sources_offset) + t + 1;
  global const int *next_slot = (global const int *)(slots_buffer + slots_offset) + t + 1;
  if (token + 1 < PAGE && t + 1 < get_global_size(1) && *next_source >= 0 && *next_slot == slot + 1) return;
  store_keys_by_element(k, keys, width, seen + 1);
#elif HAS_WHOLE
  float lanes[16];
#define KEY_VECTOR(i) column_of(k + (size_t)(i) * 16 * PAGE + seen, lanes)
#define VALUE_VECTOR(i) vload_half16(i, v)
  STORE_WHOLE(KEY_VECTOR, true, keys, width, token);
  STORE_WHOLE(VALUE_VECTOR, false, values, width, token);
#elif HAS_CODES
  for (uint block = 0; block < width / BLOCK; block++) {
    float lanes[BLOCK];
    for (uint i = 0; i < BLOCK; i++) lanes[i] = vload_half((block * BLOCK + i) * PAGE + seen, k);
    store_block(vload16(0, lanes), vload16(1, lanes), true, keys, width, token, block);
    store_block(
        vload_half16(2 * block, v), vload_half16(2 * block + 1, v), false, values, width, token, block);
  }
#else
  for (uint d = 0; d < width; d++) {
    STORE(vload_half(d * PAGE + seen, k), d * PAGE + token, keys);
    STORE(vload_half(d, v), token * width + d, values);
  }
#endif
}
