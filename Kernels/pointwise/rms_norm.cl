// y = x / sqrt(mean(x²) + ε) × weight, row by row. A norm of heads is one of rows as wide as a head.
//
//        width
//      ┌──────────┐
//    x │ item 0   │  f32 [t * width + k]     weight  f32 [k]     y as x
//      │ item 1   │
//      └──────────┘
//
// One work-item takes one row; what is left after the last 16 numbers is done one by one.

kernel void rms_norm(
    global const uchar *x_buffer, ulong x_offset,
    global const uchar *weight_buffer, ulong weight_offset,
    global uchar *y_buffer, ulong y_offset, uint width, float epsilon)
{
  const size_t t = get_global_id(0);
  global const float *x = (global const float *)(x_buffer + x_offset) + t * width;
  global const float *weight = (global const float *)(weight_buffer + weight_offset);
  global float *y = (global float *)(y_buffer + y_offset) + t * width;

  const float scale = norm_scale(x, width, epsilon);
  uint k = 0;
  for (; k + 16 <= width; k += 16)
    vstore16(vload16(0, x + k) * scale * vload16(0, weight + k), 0, y + k);
  for (; k < width; k++) y[k] = x[k] * scale * weight[k];
}
