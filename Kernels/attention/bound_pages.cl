// Bounds of the keys of pages: for each kv head the least of each element, then the largest. A page's are
// made when its last token is written, from the keys as they are kept; before that nobody asks for them,
// since the last page of a row is always read. So what a page held before it was taken back is not in them.
//
//   pool     as common/attention.cl has it
//   bounds   page 0                                             page 1 …
//            kv head 0: least [SIDE] │ largest [SIDE] │ kv head 1: …
//
// SIDE is HEAD_WIDTH up to the next multiple of 16; zeros fill it. Bounds of codes are halves, rounded outward,
// so that they stay bounds. A work-item takes `each` kv heads. Global ids: (share of the kv heads, row).

#if ELEMENT == F32
typedef float bound;
#define STORE_LEAST(value, i, target) ((target)[i] = (value))
#define STORE_LARGEST(value, i, target) ((target)[i] = (value))
#elif ELEMENT == BF16
typedef ushort bound;
// Keys are such numbers, so nothing is rounded.
#define STORE_LEAST(value, i, target) ((target)[i] = as_uint(value) >> 16)
#define STORE_LARGEST(value, i, target) STORE_LEAST(value, i, target)
#else
typedef half bound;
#define STORE_LEAST(value, i, target) vstore_half_rtn(value, i, target)
#define STORE_LARGEST(value, i, target) vstore_half_rtp(value, i, target)
#endif

#define SIDE ((HEAD_WIDTH + 15) / 16 * 16)

// A zero has no sign: which of two comes out would depend on the order. Said in integers, as compilers leave out sums
// with zero.
static inline float unsigned_zero(float number)
{
  return as_uint(number) == 0x80000000u ? 0.0f : number;
}

kernel void bound_pages(
    global const uchar *slots_buffer, ulong slots_offset,
    global const uchar *pool_buffer, ulong pool_offset,
    global uchar *bounds_buffer, ulong bounds_offset, uint kv_heads, uint pool_pages, uint each)
{
  const int slot = ((global const int *)(slots_buffer + slots_offset))[get_global_id(1)];
  if (slot < 0 || slot % PAGE != PAGE - 1) return;
  const uint first = get_global_id(0) * each, limit = min(first + each, kv_heads);
  for (uint kv_head = first; kv_head < limit; kv_head++) {
    const size_t page = slot / PAGE, place = page * kv_heads + kv_head;
    global const element *keys = (global const element *)(pool_buffer + pool_offset)
        + ((size_t)kv_head * pool_pages + page) * PAGE_OF(HEAD_WIDTH);
    global bound *bounds = (global bound *)(bounds_buffer + bounds_offset) + place * 2 * SIDE;
    for (uint d = 0; d < SIDE; d++) {
      float least = 0.0f, largest = 0.0f;
      if (d < HEAD_WIDTH) {
        const float16 k = KEY_AT(keys, d);
        largest = unsigned_zero(max16(k));
        least = unsigned_zero(-max16(-k));
      }
      STORE_LEAST(least, d, bounds);
      STORE_LARGEST(largest, SIDE + d, bounds);
    }
  }
}
