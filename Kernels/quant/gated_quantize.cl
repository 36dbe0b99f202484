// activation(gate) × up → int8 blocks: pointwise/gated.cl and quant/quantize.cl in one pass;
// common/arithmetic.cl has the activations, common/int8_blocks.cl the blocks.
//
//             width (whole blocks of 32)   width bytes   width/32 floats  width/32 floats
//           ┌───────────────┐            ┌─────────────┬────────────────┬────────────────┐
//   gate,up │ f32           │ → y, a row │ char        │ scales         │ sums           │
//           └───────────────┘            └─────────────┴────────────────┴────────────────┘
//
// One work-item turns `blocks_each` blocks of one row. Global ids: (group of blocks, row).

kernel void gated_quantize(
    global const uchar *gate_buffer, ulong gate_offset,
    global const uchar *up_buffer, ulong up_offset,
    global uchar *y_buffer, ulong y_offset, uint width, uint blocks_each)
{
  const size_t t = get_global_id(1);
  const uint blocks = width / BLOCK;
  global const float *gate = (global const float *)(gate_buffer + gate_offset) + t * width;
  global const float *up = (global const float *)(up_buffer + up_offset) + t * width;
  global uchar *row = y_buffer + y_offset + t * (width + (size_t)blocks * 8);

  const uint begin = get_global_id(0) * blocks_each;
  const uint end = min(begin + blocks_each, blocks);
  for (uint first = begin; first < end; first += 8) {
    float16 v[16];
    for (uint i = 0; i < 16; i++) {
      const uint half_block = min(2 * first + i, 2 * end - 2 + i % 2);
      v[i] = activation16(vload16(half_block, gate)) * vload16(half_block, up);
    }
    STORE_EIGHT(global, v, first, end, blocks, row)
  }
}
