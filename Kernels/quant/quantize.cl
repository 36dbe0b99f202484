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
  global char *bytes = (global char *)row;
  global float *scales = (global float *)(row + width);

  const uint first = get_global_id(0) * blocks_each;
  const uint end = min(first + blocks_each, blocks);
  for (uint b = first; b < end; b++) {
    char16 low, high;
    const float2 scale =
        quantize_block(vload16(2 * b, x), vload16(2 * b + 1, x), &low, &high);
    vstore16(low, 2 * b, bytes);
    vstore16(high, 2 * b + 1, bytes);
    scales[b] = scale.x;
    scales[blocks + b] = scale.y;
  }
}
