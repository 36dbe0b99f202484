// Keys and values of the step's rows → the page pool.
//
//   pool      kv head 0          kv head 1 …
//   kv head   page 0 | page 1 | …                                    (pool_pages of them)
//   page      keys [width][16 tokens] | values [16 tokens][width]
//
//   k, v  f32 [t * heads * width + head * width + d];  slots i32 [t]: token slot % 16 of page
//   slot / 16. A row with a negative slot is not kept.
//
// Keys are transposed inside a page, so that one vector holds one element of 16 tokens; codes lie as
// common/kv_numbers.cl has it. One work-item takes one head of one row; global ids: (head, row). With VNNI 1 an
// instruction of the CPU rounds 16 numbers at once.

kernel void write_kv(
    global const uchar *k_buffer, ulong k_offset, global const uchar *v_buffer, ulong v_offset,
    global const uchar *slots_buffer, ulong slots_offset,
    global uchar *pool_buffer, ulong pool_offset, uint pool_pages, uint heads, uint width)
{
  const uint head = get_global_id(0);
  const size_t t = get_global_id(1);
  const int slot = ((global const int *)(slots_buffer + slots_offset))[t];
  if (slot < 0) return;

  const size_t row = (t * heads + head) * width;
  global const float *k = (global const float *)(k_buffer + k_offset) + row;
  global const float *v = (global const float *)(v_buffer + v_offset) + row;

  const uint token = slot % PAGE;
  global element *keys = page_of(pool_buffer + pool_offset, pool_pages, head, slot, width);
  global element *values = keys + KEYS_OF((size_t)width);
#if HAS_WHOLE
#define KEY_VECTOR(i) vload16(i, k)
#define VALUE_VECTOR(i) vload16(i, v)
  STORE_WHOLE(KEY_VECTOR, true, keys, width, token);
  STORE_WHOLE(VALUE_VECTOR, false, values, width, token);
#elif HAS_CODES
  for (uint block = 0; block < width / BLOCK; block++) {
    store_block(vload16(2 * block, k), vload16(2 * block + 1, k), true, keys, width, token, block);
    store_block(vload16(2 * block, v), vload16(2 * block + 1, v), false, values, width, token, block);
  }
#else
  uint d = 0;
#if VNNI && ELEMENT == F16
  for (; d + 16 <= width; d += 16) {
    ushort16 halves;
    __asm__("vcvtps2ph $0, %1, %0" : "=v"(halves) : "v"(vload16(0, v + d)));
    vstore16(halves, 0, (global ushort *)values + token * width + d);
    ushort lanes[16];
    __asm__("vcvtps2ph $0, %1, %0" : "=v"(halves) : "v"(vload16(0, k + d)));
    vstore16(halves, 0, lanes);
    for (uint i = 0; i < 16; i++) ((global ushort *)keys)[(d + i) * PAGE + token] = lanes[i];
  }
#endif
  for (; d < width; d++) {
    STORE(k[d], d * PAGE + token, keys);
    STORE(v[d], token * width + d, values);
  }
#endif
}
