// y = rows of a quantised embedding table, decoded, × scale.
//
//            width, whole blocks                        width
//          ┌──────────────────┐                       ┌──────────────────┐
//    table │ tile of 16 rows  │   tokens: 18, 0   → y │ table row 18     │  f32 [t * width + k]
//          │ tile of 16 rows  │   i32 [t]             │ table row 0      │
//          └──────────────────┘                       └──────────────────┘
//
// common/prelude.cl draws the tiles; linear layers read the same, so that one copy serves as the
// output head too. One work-item copies one row. Tokens are rows of the table: the caller checks
// them.

// What a plane holds of element k of a row.
static inline uint plane_bits(global const uchar *plane, uint bits, uint lane, uint k)
{
  const uint i = k / 4;
  return plane[(i % bits * 16 + lane) * 4 + k % 4] >> (i / bits * bits) & ((1u << bits) - 1);
}

kernel void embed_rows(
    global const uchar *tokens_buffer, ulong tokens_offset,
    global const uchar *table_buffer, ulong table_offset,
    global uchar *y_buffer, ulong y_offset, uint width, float scale)
{
  const size_t t = get_global_id(0);
  const uint token = ((global const int *)(tokens_buffer + tokens_offset))[t];
  const uint lane = token % 16;
  global const uchar *block = table_buffer + table_offset + token / 16 * TILE_BYTES(width);
  global float *y = (global float *)(y_buffer + y_offset) + t * width;

  global const uchar *head = block;
  for (uint b = 0; b < width / BLOCK; b++) {
    if (b % TILE_BLOCKS == 0) {
      head = block;
      block += HEAD_BYTES;
    }
#if POWER_SCALE
    const float d = power_of_two1(head[lane]);
#else
    const float d = vload_half(lane, (global const half *)head);
#endif
    const float m =
        HAS_MINIMUM ? vload_half(lane, (global const half *)(head + MINIMUM_OFFSET)) : 0.0f;
    for (uint k = 0; k < BLOCK; k++) {
      const uint g = b % TILE_BLOCKS * GROUPS + k / (BLOCK / GROUPS);
      const uint group_byte = 4 * (g / 4 * 16 + lane) + g % 4;
      const float s =
          HAS_GROUP_SCALES ? ((global const char *)head)[SCALES_OFFSET + group_byte] : 1.0f;
      const float n = HAS_GROUP_MINIMA ? head[MINIMA_OFFSET + group_byte] : 1.0f;
      uint code = plane_bits(block, LOW_BITS, lane, k);
#if HIGH_BITS
      code |= plane_bits(block + 64 * LOW_BITS, HIGH_BITS, lane, k) << LOW_BITS;
#endif
      y[b * BLOCK + k] = FUSED(d * s, integer1(code), m * n) * scale;
    }
    block += TILE_BLOCK_BYTES;
  }
}
