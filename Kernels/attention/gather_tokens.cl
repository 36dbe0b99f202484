// Keys and values of chosen tokens, side by side in pages of their own.
//
//   chosen   int: the count of tokens, and 16 numbers on the tokens in order
//   pool, target (as many pages)
//            kv head 0          kv head 1 …
//   kv head  page 0 | page 1 | …                                    (pool_pages of them)
//   page     keys [width][16 tokens] | values [16 tokens][width]
//
// Token list[i] lies in page tables[table[0] + list[i] / 16], and goes to page i / 16 of the target. What is in the last
// page behind the last token stays as it was. Bits are copied, whatever they stand for. A work-item takes `each`
// pages of the target; global ids: (share of the pages of all kv heads).

#ifndef ELEMENT
#define ELEMENT F16
#endif

#if ELEMENT == F32
typedef uint unit;
#else
typedef ushort unit;
#endif

kernel void gather_tokens(
    global const uchar *chosen_buffer, ulong chosen_offset,
    global const uchar *pool_buffer, ulong pool_offset,
    global const uchar *table_buffer, ulong table_offset,
    global const uchar *tables_buffer, ulong tables_offset,
    global uchar *target_buffer, ulong target_offset, uint pool_pages, uint kv_heads, uint width,
    uint each)
{
  global const int *chosen = (global const int *)(chosen_buffer + chosen_offset);
  global const int *table = (global const int *)(tables_buffer + tables_offset)
      + ((global const int *)(table_buffer + table_offset))[0];
  const size_t block = 2 * PAGE * (size_t)width;
  const uint start = get_global_id(0) * each, limit = min(start + each, kv_heads * pool_pages);
  for (uint item = start; item < limit; item++) {
    const uint kv_head = item % kv_heads, page = item / kv_heads;
    const int count = min(chosen[0] - (int)(page * PAGE), PAGE);
    if (count <= 0) break;
    global const int *list = chosen + 16 + page * PAGE;
    global const unit *pool =
        (global const unit *)(pool_buffer + pool_offset) + kv_head * pool_pages * block;
    global unit *keys = (global unit *)(target_buffer + target_offset)
        + ((size_t)kv_head * pool_pages + page) * block;
    global unit *values = keys + block / 2;
    for (int i = 0; i < count; i++) {
      const int token = list[i];
      global const unit *from = pool + table[token / PAGE] * block + token % PAGE;
      global unit *to = keys + i;
      // One token after the other: both strides are constants, and a page fits the nearest cache.
      for (uint d = 0; d < width; d++) to[d * PAGE] = from[d * PAGE];
      from += block / 2 + (size_t)(token % PAGE) * (width - 1);
      to = values + i * width;
      uint d = 0;
      for (; d + 16 <= width; d += 16) vstore16(vload16(0, from + d), 0, to + d);
      for (; d < width; d++) to[d] = from[d];
    }
  }
}
