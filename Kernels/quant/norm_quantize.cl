// x → int8 blocks of x / sqrt(mean(x²) + ε) × weight: pointwise/rms_norm.cl and quant/quantize.cl in
// one pass; common/normed_row.cl has it.
//
//        width (whole blocks of 32)    width bytes   width/32 floats  width/32 floats
//      ┌───────────────┐             ┌─────────────┬────────────────┬────────────────┐
//    x │ f32  item 0   │  → y, a row │ char        │ scales         │ sums           │
//      │      item 1   │             └─────────────┴────────────────┴────────────────┘
//      └───────────────┘               weight  f32 [k]
//
// One work-item takes one row.

NORMED_ROW(normed_global_row, global)

kernel void norm_quantize(
    global const uchar *x_buffer, ulong x_offset,
    global const uchar *weight_buffer, ulong weight_offset,
    global uchar *y_buffer, ulong y_offset, uint width, float epsilon)
{
  const size_t t = get_global_id(0);
  normed_global_row(
      (global const float *)(x_buffer + x_offset) + t * width,
      (global const float *)(weight_buffer + weight_offset), epsilon, width,
      y_buffer + y_offset + t * (width + (size_t)(width / BLOCK) * 8));
}
