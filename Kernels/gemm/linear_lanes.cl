// y = x Wᵀ + bias, for quantised weights in tiles of 16 rows and int8 activations, on devices whose
// work-items are lanes: GPUs.
//
//            inputs (K, whole blocks of 32)            outputs (N)
//          ┌──────────────────────────┐            ┌───┬───────────
//   tokens │ x  a row: K chars │ K/32 │     tokens │ T │   y  f32  [t * N + n]
//          │ scales │ K/32 sums, f32  │            ├───┘
//          └──────────────────────────┘            │  one work-item: one output, T tokens
//          ┌──────┬──────┬──────┬─────┐
//  16 rows │ block│ block│ …    │     │ W: prelude.cl draws the tiles
//          └──────┴──────┴──────┴─────┘
//
// A work-item is a row of W. Sixteen of them that stand side by side read words of a tile that lie side
// by side, 64 bytes together, and the same activations. The arithmetic is that of tile_dot.cl, a lane
// at a time: products of a group are added as whole numbers.
//
// INTEGER_DOT 1 is for drivers that have the dot products of OpenCL C 3.0 for words of four bytes.
//
// Global ids: (output, tile of tokens). Outputs and tokens beyond the edge are clamped when read and
// skipped when written.

#ifndef TOKENS
#define TOKENS 8
#endif
#ifndef INTEGER_DOT
#define INTEGER_DOT 0
#endif

// Four products of signed bytes, added to a sum.
static inline int add_dot(int sum, uint a, uint b)
{
#if INTEGER_DOT
  return sum + dot_4x8packed_ss_int(a, b);
#else
#pragma unroll
  for (uint e = 0; e < 32; e += 8) sum += ((int)(a << (24 - e)) >> 24) * ((int)(b << (24 - e)) >> 24);
  return sum;
#endif
}

// Elements 4 i … 4 i + 3 of a block of one row as signed bytes.
static inline uint lane_word(global const uchar *block, uint lane, uint i)
{
  global const uint *low = (global const uint *)block;
  uint word = low[i % LOW_BITS * 16 + lane] >> (i / LOW_BITS * LOW_BITS)
      & (0x01010101u * ((1u << LOW_BITS) - 1));
#if HIGH_BITS
  global const uint *high = low + 16 * LOW_BITS;
  word |= (high[i % HIGH_BITS * 16 + lane] >> (i / HIGH_BITS * HIGH_BITS)
              & (0x01010101u * ((1u << HIGH_BITS) - 1)))
      << LOW_BITS;
#endif
#if HAS_CODEBOOK
  uint bytes = 0;
#pragma unroll
  for (uint e = 0; e < 32; e += 8) {
    const uint code = word >> e & 15u;
    bytes |= (BYTE_OF(uint, code) & 255u) << e;
  }
  word = bytes;
#endif
#if ZERO == 128
  return word ^ 0x80808080u;
#else
  // Nothing is borrowed from a byte that has its top bit.
  return ((word | 0x80808080u) - ZERO * 0x01010101u) ^ 0x80808080u;
#endif
}

// The byte of a group of one row.
static inline uint group_word(global const uchar *words, uint lane, uint group)
{
  return ((global const uint *)words)[group / 4 * 16 + lane] >> (group % 4 * 8);
}

static inline float lane_scale(global const uchar *head, uint lane, uint group)
{
  if (!HAS_GROUP_SCALES) return 1.0f;
  return (float)((int)(group_word(head + SCALES_OFFSET, lane, group) << 24) >> 24);
}

static inline float lane_minimum(global const uchar *head, uint lane, uint group)
{
  if (!HAS_GROUP_MINIMA) return 1.0f;
  return (float)(group_word(head + MINIMA_OFFSET, lane, group) & 255u);
}

kernel void linear(
    global const uchar *x_buffer, ulong x_offset,
    global const uchar *w_buffer, ulong w_offset,
    global const uchar *bias_buffer, ulong bias_offset, uint has_bias,
    global uchar *y_buffer, ulong y_offset,
    uint tokens, uint inputs, uint outputs)
{
  const uint n = min((uint)get_global_id(0), outputs - 1);
  const uint lane = n % 16;
  const uint blocks = inputs / BLOCK;
  const uint first_token = get_global_id(1) * TOKENS;
  const size_t row_bytes = (size_t)inputs + blocks * 8;

  global const uchar *block = w_buffer + w_offset + n / 16 * TILE_BYTES(inputs);
  global const uchar *head = block;
  global const float *bias = (global const float *)(bias_buffer + bias_offset);
  global float *y = (global float *)(y_buffer + y_offset);

  global const uint *x_row[TOKENS];
  float sum[TOKENS];
#pragma unroll
  for (uint t = 0; t < TOKENS; t++) {
    x_row[t] = (global const uint *)(
        x_buffer + x_offset + min(first_token + t, tokens - 1) * row_bytes);
    sum[t] = has_bias ? bias[n] : 0.0f;
  }

  float d = 0.0f, m = 0.0f;
  for (uint b = 0; b < blocks; b++) {
    const uint group = b % TILE_BLOCKS * GROUPS;
    if (group == 0) {
      head = block;
      block += HEAD_BYTES;
#if POWER_SCALE
      d = power_of_two1(head[lane]);
#else
      d = vload_half(lane, (global const half *)head);
#endif
#if HAS_MINIMUM
      m = vload_half(lane, (global const half *)(head + MINIMUM_OFFSET));
#endif
    }
    int dot[TOKENS][GROUPS];
#pragma unroll
    for (uint t = 0; t < TOKENS; t++)
#pragma unroll
      for (uint g = 0; g < GROUPS; g++) dot[t][g] = 0;
#pragma unroll
    for (uint i = 0; i < 8; i++) {
      const uint word = lane_word(block, lane, i);
#pragma unroll
      for (uint t = 0; t < TOKENS; t++)
        dot[t][i * GROUPS / 8] = add_dot(dot[t][i * GROUPS / 8], word, x_row[t][8 * b + i]);
    }
    const float s = lane_scale(head, lane, group);
    const float k = lane_minimum(head, lane, group);
#pragma unroll
    for (uint t = 0; t < TOKENS; t++) {
      global const float *scales = (global const float *)(x_row[t] + inputs / 4);
#if GROUPS == 1
      sum[t] = FUSED(d * s * scales[b], (float)dot[t][0], sum[t]);
#if HAS_MINIMUM
      sum[t] = FUSED(m * k, scales[blocks + b], sum[t]);
#endif
#else
      const float products =
          FUSED(s, (float)dot[t][0], lane_scale(head, lane, group + 1) * (float)dot[t][1]);
      sum[t] = FUSED(d * scales[b], products, sum[t]);
#if HAS_MINIMUM
      int terms[2] = {0, 0};
#pragma unroll
      for (uint i = 0; i < 8; i++)
        terms[i / 4] = add_dot(terms[i / 4], 0x01010101u, x_row[t][8 * b + i]);
      const float minima =
          FUSED(k, (float)terms[0], lane_minimum(head, lane, group + 1) * (float)terms[1]);
      sum[t] = FUSED(m * scales[b], minima, sum[t]);
#endif
#endif
    }
    block += TILE_BLOCK_BYTES;
  }

#pragma unroll
  for (uint t = 0; t < TOKENS; t++)
    if (first_token + t < tokens && get_global_id(0) < outputs)
      y[(size_t)(first_token + t) * outputs + n] = sum[t];
}
