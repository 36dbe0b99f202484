// y = chosen rows of x.
//
//        width                                      width
//      ┌──────────┐                               ┌──────────┐
//    x │ row 0    │   rows: 2, 0   →            y │ x row 2  │   f32 [o * width + k]
//      │ row 1    │   i32 [o]                     │ x row 0  │
//      └──────────┘                               └──────────┘
//
// One work-item copies one row. The indices are rows of x: the caller checks them.

kernel void select_rows(
    global const uchar *x_buffer, ulong x_offset,
    global const uchar *rows_buffer, ulong rows_offset,
    global uchar *y_buffer, ulong y_offset, uint width)
{
  const size_t o = get_global_id(0);
  const int row = ((global const int *)(rows_buffer + rows_offset))[o];
  global const float *x = (global const float *)(x_buffer + x_offset) + (size_t)row * width;
  global float *y = (global float *)(y_buffer + y_offset) + o * width;
  uint k = 0;
  for (; k + 16 <= width; k += 16) vstore16(vload16(0, x + k), 0, y + k);
  for (; k < width; k++) y[k] = x[k];
}
