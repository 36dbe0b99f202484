// One token: y = int8 blocks of activation(G x) × U x, for quantised G and U in tiles of 16 rows.
//
//   x      NORM 1: f32, of which the norm is taken first; NORM 0: int8 blocks
//   G, U   tiles (common/prelude.cl); a block of y is 32 rows: two tiles of each
//   y      N chars │ N/32 scales │ N/32 sums
//
//   work-item 0: blocks 0 … blocks_each - 1 │ work-item 1: … │
//
// Global ids: (group of blocks of y, 0).

TILES_DOT(dots_x, X_SPACE, STREAMS)

kernel void gated_unit(
    global const uchar *x_buffer, ulong x_offset,
    global const uchar *norm_buffer, ulong norm_offset, float epsilon,
    global const uchar *gate_buffer, ulong gate_offset,
    global const uchar *up_buffer, ulong up_offset,
    global uchar *y_buffer, ulong y_offset, uint outputs, uint blocks_each)
{
  X_ROW(x, x_buffer + x_offset, norm_buffer + norm_offset, epsilon);
  const uint blocks = outputs / BLOCK;
  global int *words = (global int *)(y_buffer + y_offset);
  global float *scales = (global float *)(y_buffer + y_offset + outputs);

  const uint first = get_global_id(0) * blocks_each;
  const uint end = min(first + blocks_each, blocks);
  for (uint b = first; b < end; b++) {
    // Two tiles of G, two of U.
    global const uchar *tile[4];
    float16 sum[4];
#pragma unroll
    for (uint s = 0; s < 4; s++) {
      tile[s] = (s < 2 ? gate_buffer + gate_offset : up_buffer + up_offset) +
                (2 * b + s % 2) * TILE_BYTES(INPUT_WIDTH);
      sum[s] = (float16)(0.0f);
    }
    for (uint s = 0; s < 4; s += STREAMS)
      dots_x(tile + s, x, INPUT_WIDTH, STREAMS > 1 ? TILE_BYTES(INPUT_WIDTH) : 0, sum + s);
    block_bytes bytes;
    const float2 scale =
        quantize_block(activation16(sum[0]) * sum[2], activation16(sum[1]) * sum[3], &bytes);
    STORE_BYTES(bytes, b, words);
    scales[b] = scale.x;
    scales[blocks + b] = scale.y;
  }
}
