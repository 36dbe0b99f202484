// y = rows of an embedding table, decoded and multiplied by `scale`.
//
//            width                                      width
//          ┌──────────────────┐                       ┌──────────────────┐
//    table │ row 0            │   tokens: 2, 0   →  y │ table row 2      │  f32 [t * width + k]
//          │ row 1            │   i32 [t]             │ table row 0      │
//          └──────────────────┘                       └──────────────────┘
//
// Quantised tables lie in tiles of 16 rows, as gemm/linear_tiles.cl draws them, so that one copy
// serves as the output head too. One work-item copies one row. Tokens are rows of the table: the
// caller checks them.

#ifndef WEIGHT
#define WEIGHT Q4_1
#endif

#if WEIGHT == Q4_1
#define TILE_BLOCK_BYTES (16 * Q4_1_BYTES)
#elif WEIGHT == Q8_0
#define TILE_BLOCK_BYTES (16 * Q8_0_BYTES)
#endif

kernel void embed_rows(
    global const uchar *tokens_buffer, ulong tokens_offset,
    global const uchar *table_buffer, ulong table_offset,
    global uchar *y_buffer, ulong y_offset, uint width, float scale)
{
  const size_t t = get_global_id(0);
  const int token = ((global const int *)(tokens_buffer + tokens_offset))[t];
  global const uchar *table = table_buffer + table_offset;
  global float *y = (global float *)(y_buffer + y_offset) + t * width;

#if WEIGHT == F32
  global const float *row = (global const float *)table + (size_t)token * width;
  for (uint k = 0; k < width; k++) y[k] = row[k];
#elif WEIGHT == F16
  global const half *row = (global const half *)table + (size_t)token * width;
  for (uint k = 0; k < width; k++) y[k] = vload_half(k, row);
#else
  const uint lane = token % 16;
  const uint blocks = width / BLOCK;
  for (uint b = 0; b < blocks; b++) {
    global const uchar *block =
        table + ((size_t)(token / 16) * blocks + b) * TILE_BLOCK_BYTES;
    const float d = vload_half(lane, (global const half *)block);
#if WEIGHT == Q4_1
    const float m = vload_half(16 + lane, (global const half *)block);
    for (uint j = 0; j < 16; j++) {
      const uchar pair = block[64 + 16 * j + lane];
      y[b * BLOCK + j] = FUSED(d, (float)(pair & 15), m);
      y[b * BLOCK + j + 16] = FUSED(d, (float)(pair >> 4), m);
    }
#else
    for (uint j = 0; j < BLOCK; j++)
      y[b * BLOCK + j] = d * ((global const char *)block)[32 + 16 * j + lane];
#endif
  }
#endif

  // Most models have none.
  if (scale != 1.0f)
    for (uint k = 0; k < width; k++) y[k] *= scale;
}
