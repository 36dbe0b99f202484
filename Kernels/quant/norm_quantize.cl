// x → int8 blocks of x / sqrt(mean(x²) + ε) × weight: pointwise/rms_norm.cl and quant/quantize.cl in
// one pass.
//
//        width (whole blocks of 32)    width bytes   width/32 floats  width/32 floats
//      ┌───────────────┐             ┌─────────────┬────────────────┬────────────────┐
//    x │ f32  item 0   │  → y, a row │ char        │ scales         │ sums           │
//      │      item 1   │             └─────────────┴────────────────┴────────────────┘
//      └───────────────┘               weight  f32 [k]
//
// One work-item takes one row.

kernel void norm_quantize(
    global const uchar *x_buffer, ulong x_offset,
    global const uchar *weight_buffer, ulong weight_offset,
    global uchar *y_buffer, ulong y_offset, uint width, float epsilon)
{
  const size_t t = get_global_id(0);
  const uint blocks = width / BLOCK;
  global const float *x = (global const float *)(x_buffer + x_offset) + t * width;
  global const float *weight = (global const float *)(weight_buffer + weight_offset);
  global uchar *row = y_buffer + y_offset + t * (width + (size_t)blocks * 8);
  global char *bytes = (global char *)row;
  global float *scales = (global float *)(row + width);

  const float norm = norm_scale(x, width, epsilon);
  for (uint b = 0; b < blocks; b++) {
    char16 low, high;
    const float2 scale = quantize_block(
        vload16(2 * b, x) * norm * vload16(2 * b, weight),
        vload16(2 * b + 1, x) * norm * vload16(2 * b + 1, weight), &low, &high);
    vstore16(low, 2 * b, bytes);
    vstore16(high, 2 * b + 1, bytes);
    scales[b] = scale.x;
    scales[blocks + b] = scale.y;
  }
}
