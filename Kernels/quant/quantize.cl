// x → int8 blocks: per 32 numbers a scale max|x| × (1 / 127), bytes x × (127 × 1 / max|x|) rounded to
// nearest even, and the sum scale × Σ bytes. A block whose max|x| lies outside LEAST_PEAK …
// LARGEST_PEAK counts as zeros with scale 0; what is not a number counts as 0.
//
//        width                         width bytes   width/32 floats  width/32 floats
//      ┌───────────────┐             ┌─────────────┬────────────────┬────────────────┐
//    x │ f32           │  → y, a row │ char        │ scales         │ sums           │
//      └───────────────┘             └─────────────┴────────────────┴────────────────┘
//
// One work-item turns `blocks_each` blocks of one row. Global ids: (group of blocks, row).

kernel void quantize(
    global const uchar *x_buffer, ulong x_offset,
    global uchar *y_buffer, ulong y_offset, uint width, uint blocks_each)
{
  const size_t t = get_global_id(1);
  const uint blocks = width / BLOCK;
  global const float *x = (global const float *)(x_buffer + x_offset) + t * width;
  global uchar *row = y_buffer + y_offset + t * (width + (size_t)blocks * 8);

  const uint begin = get_global_id(0) * blocks_each;
  const uint end = min(begin + blocks_each, blocks);
  for (uint first = begin; first < end; first += 8) {
    float16 v[16];
    for (uint i = 0; i < 16; i++) v[i] = vload16(min(2 * first + i, 2 * end - 2 + i % 2), x);
    STORE_EIGHT(global, v, first, end, blocks, row)
  }
}
