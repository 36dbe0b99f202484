// y = x Wᵀ + bias, for quantised weights and activations of int8 blocks.
//
//            inputs (K, whole blocks of 32)                        outputs (N)
//          ┌───────────────┬────────────┬────────────┐         ┌───────┬──────
//   tokens │ x  char × K   │ scale f32  │ sum f32    │  tokens │ T × R │   y  f32  [t * N + n]
//          └───────────────┴────────────┴────────────┘         ├───────┘
//          ┌──────┬──────┬──────┬──────┐                       │  one work-item: `outputs_each`
//  outputs │ block│ block│ …    │      │ W                     │  outputs, tile after tile
//          └──────┴──────┴──────┴──────┘
//
// Per block: y += d × scale × Σ q × x, and for Q4_1 also m × sum, where sum = scale × Σ x comes
// with the activations. Products of two small integers are exact in floats (below 2^24), so the
// lanes multiply as floats and are scaled once a block. Global ids: (group of outputs, tile of
// tokens). Rows and tokens beyond the edge are clamped when read and skipped when written.

#ifndef WEIGHT
#define WEIGHT Q4_1
#endif
#ifndef TILE_OUTPUTS
#define TILE_OUTPUTS 4
#endif
#ifndef TILE_TOKENS
#define TILE_TOKENS 4
#endif

#if WEIGHT == Q4_1
#define BLOCK_BYTES Q4_1_BYTES
#define BLOCK_INTEGERS q4_1_integers
#elif WEIGHT == Q8_0
#define BLOCK_BYTES Q8_0_BYTES
#define BLOCK_INTEGERS q8_0_integers
#endif

kernel void linear(
    global const uchar *x_buffer, ulong x_offset,
    global const uchar *w_buffer, ulong w_offset,
    global const uchar *bias_buffer, ulong bias_offset, uint has_bias,
    global uchar *y_buffer, ulong y_offset,
    uint tokens, uint inputs, uint outputs, uint outputs_each)
{
  global const uchar *w = w_buffer + w_offset;
  global const float *bias = (global const float *)(bias_buffer + bias_offset);
  global float *y = (global float *)(y_buffer + y_offset);

  const uint blocks = inputs / BLOCK;
  const uint first_token = get_global_id(1) * TILE_TOKENS;
  const uint last_token = tokens - 1;
  const size_t x_bytes = inputs + (size_t)blocks * 8;

  global const uchar *x_row[TILE_TOKENS];
#pragma unroll
  for (uint t = 0; t < TILE_TOKENS; t++)
    x_row[t] = x_buffer + x_offset + min(first_token + t, last_token) * x_bytes;

  const uint begin = get_global_id(0) * outputs_each;
  const uint end = min(begin + outputs_each, outputs);
  for (uint first = begin; first < end; first += TILE_OUTPUTS) {
    global const uchar *w_row[TILE_OUTPUTS];
#pragma unroll
    for (uint r = 0; r < TILE_OUTPUTS; r++)
      w_row[r] = w + (size_t)min(first + r, outputs - 1) * blocks * BLOCK_BYTES;

    float16 sum[TILE_OUTPUTS][TILE_TOKENS];
    float minimum[TILE_OUTPUTS][TILE_TOKENS];
#pragma unroll
    for (uint r = 0; r < TILE_OUTPUTS; r++)
#pragma unroll
      for (uint t = 0; t < TILE_TOKENS; t++) {
        sum[r][t] = (float16)(0.0f);
        minimum[r][t] = 0.0f;
      }

    for (uint b = 0; b < blocks; b++) {
      float16 low[TILE_OUTPUTS], high[TILE_OUTPUTS];
      float d[TILE_OUTPUTS];
#if WEIGHT == Q4_1
      float m[TILE_OUTPUTS];
#endif
#pragma unroll
      for (uint r = 0; r < TILE_OUTPUTS; r++) {
        global const uchar *block = w_row[r] + (size_t)b * BLOCK_BYTES;
        BLOCK_INTEGERS(block, &low[r], &high[r]);
        d[r] = half_at(block);
#if WEIGHT == Q4_1
        m[r] = half_at(block + 2);
#endif
      }
#pragma unroll
      for (uint t = 0; t < TILE_TOKENS; t++) {
        global const char *bytes = (global const char *)x_row[t];
        global const float *scales = (global const float *)(x_row[t] + inputs);
        const float16 x_low = convert_float16(vload16(2 * b, bytes));
        const float16 x_high = convert_float16(vload16(2 * b + 1, bytes));
        const float scale = scales[b];
#if WEIGHT == Q4_1
        const float x_sum = scales[blocks + b];
#endif
#pragma unroll
        for (uint r = 0; r < TILE_OUTPUTS; r++) {
          const float16 product = low[r] * x_low + high[r] * x_high;
          sum[r][t] = product * (d[r] * scale) + sum[r][t];
#if WEIGHT == Q4_1
          minimum[r][t] = m[r] * x_sum + minimum[r][t];
#endif
        }
      }
    }

#pragma unroll
    for (uint t = 0; t < TILE_TOKENS; t++)
#pragma unroll
      for (uint r = 0; r < TILE_OUTPUTS; r++)
        if (first_token + t < tokens && first + r < outputs)
          y[(size_t)(first_token + t) * outputs + first + r] =
              sum16(sum[r][t]) + minimum[r][t] + (has_bias ? bias[first + r] : 0.0f);
  }
}
