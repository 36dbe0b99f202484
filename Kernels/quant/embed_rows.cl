// y = rows of an embedding table, decoded.
//
//            width                                      width
//          ┌──────────────────┐                       ┌──────────────────┐
//    table │ row 0            │   tokens: 2, 0   →  y │ table row 2      │  f32 [t * width + k]
//          │ row 1            │   i32 [t]             │ table row 0      │
//          └──────────────────┘                       └──────────────────┘
//
// One work-item copies one row. Tokens are rows of the table: the caller checks them.

#ifndef WEIGHT
#define WEIGHT Q4_1
#endif

#if WEIGHT == F32 || WEIGHT == F16
#define ROW_BYTES(width) ((size_t)(width) * (WEIGHT == F32 ? 4 : 2))
#elif WEIGHT == Q4_1
#define ROW_BYTES(width) ((size_t)(width) / BLOCK * Q4_1_BYTES)
#elif WEIGHT == Q8_0
#define ROW_BYTES(width) ((size_t)(width) / BLOCK * Q8_0_BYTES)
#endif

kernel void embed_rows(
    global const uchar *tokens_buffer, ulong tokens_offset,
    global const uchar *table_buffer, ulong table_offset,
    global uchar *y_buffer, ulong y_offset, uint width)
{
  const size_t t = get_global_id(0);
  const int token = ((global const int *)(tokens_buffer + tokens_offset))[t];
  global const uchar *row = table_buffer + table_offset + (size_t)token * ROW_BYTES(width);
  global float *y = (global float *)(y_buffer + y_offset) + t * width;

#if WEIGHT == F32
  for (uint k = 0; k < width; k++) y[k] = ((global const float *)row)[k];
#elif WEIGHT == F16
  for (uint k = 0; k < width; k++) y[k] = vload_half(k, (global const half *)row);
#else
  for (uint b = 0; b < width / BLOCK; b++) {
    float16 low, high;
#if WEIGHT == Q4_1
    q4_1_values(row + (size_t)b * Q4_1_BYTES, &low, &high);
#else
    q8_0_values(row + (size_t)b * Q8_0_BYTES, &low, &high);
#endif
    vstore16(low, 2 * b, y);
    vstore16(high, 2 * b + 1, y);
  }
#endif
}
