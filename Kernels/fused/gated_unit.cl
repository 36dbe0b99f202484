// One token: y = int8 blocks of activation(G x) × U x, for quantised G and U in tiles of 16 rows.
//
//   x      NORM 1: f32, of which the norm is taken first; NORM 0: int8 blocks
//   G, U   tiles (common/prelude.cl); a block of y is 32 rows: two tiles of each
//   y      N chars │ N/32 scales │ N/32 sums
//
//   work-item 0: blocks 0 … blocks_each - 1 │ work-item 1: … │
//
// Global ids: (group of blocks of y, 0).

TILE_DOT(dot_x, X_SPACE)

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
    float16 gated[2];
    for (uint r = 0; r < 2; r++) {
      const size_t tile = (2 * b + r) * TILE_BYTES(INPUT_WIDTH);
      gated[r] = activation16(
          dot_x(gate_buffer + gate_offset + tile, x, INPUT_WIDTH, (float16)(0.0f)));
    }
    for (uint r = 0; r < 2; r++) {
      const size_t tile = (2 * b + r) * TILE_BYTES(INPUT_WIDTH);
      gated[r] *= dot_x(up_buffer + up_offset + tile, x, INPUT_WIDTH, (float16)(0.0f));
    }
    block_bytes bytes;
    const float2 scale = quantize_block(gated[0], gated[1], &bytes);
    STORE_BYTES(bytes, b, words);
    scales[b] = scale.x;
    scales[blocks + b] = scale.y;
  }
}
