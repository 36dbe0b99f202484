// y = rows of an embedding table of floats × scale.
//
//            width                                      width
//          ┌──────────────────┐                       ┌──────────────────┐
//    table │ row 0            │   tokens: 2, 0   →  y │ table row 2      │  f32 [t * width + k]
//          │ row 1            │   i32 [t]             │ table row 0      │
//          └──────────────────┘                       └──────────────────┘
//
// One work-item copies one row. Tokens are rows of the table: the caller checks them.

#ifndef WEIGHT
#define WEIGHT F32
#endif

#if WEIGHT == F32
typedef float weight;
#define LOAD(i, row) (row)[i]
#elif WEIGHT == F16
typedef half weight;
#define LOAD(i, row) vload_half(i, row)
#elif WEIGHT == BF16
typedef ushort weight;
#define LOAD(i, row) OF_UPPER_HALF((row)[i])
#endif

kernel void embed_rows(
    global const uchar *tokens_buffer, ulong tokens_offset,
    global const uchar *table_buffer, ulong table_offset,
    global uchar *y_buffer, ulong y_offset, uint width, float scale)
{
  const size_t t = get_global_id(0);
  const int token = ((global const int *)(tokens_buffer + tokens_offset))[t];
  global const weight *row = (global const weight *)(table_buffer + table_offset)
      + (size_t)token * width;
  global float *y = (global float *)(y_buffer + y_offset) + t * width;
  for (uint k = 0; k < width; k++) y[k] = LOAD(k, row) * scale;
}
