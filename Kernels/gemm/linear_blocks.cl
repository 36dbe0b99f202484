// y = x Wᵀ + bias, for quantised weights.
//
//            inputs (K, whole blocks of 32)            outputs (N)
//          ┌──────────────────────────┐            ┌───────┬──────
//   tokens │ x  [t * K + k]           │     tokens │ T × R │   y  f32  [t * N + n]
//          └──────────────────────────┘            ├───────┘
//          ┌──────┬──────┬──────┬─────┐            │  one work-item: `outputs_each`
//  outputs │ block│ block│ …    │     │ W          │  outputs, tile after tile
//          └──────┴──────┴──────┴─────┘
//
//   x, INT8 0   f32
//   x, INT8 1   a row: K chars │ K/32 scales, f32 │ K/32 sums, f32 (not needed here)
//
// A tile keeps T × R sums of 16 lanes in registers; a block of weights is decoded once and meets
// T tokens, a block of x once and meets R outputs; lanes are added up at the end. Int8 activations
// are scaled as they are read: the sum is that of integer arithmetic but for the rounding of
// floats, and a CPU without integer dot products is fastest so.
//
// Global ids: (group of outputs, tile of tokens). Rows and tokens beyond the edge are clamped when
// read and skipped when written.

#ifndef WEIGHT
#define WEIGHT Q4_1
#endif
#ifndef INT8
#define INT8 0
#endif
#ifndef TILE_OUTPUTS
#define TILE_OUTPUTS 4
#endif
#ifndef TILE_TOKENS
#define TILE_TOKENS 4
#endif

#if WEIGHT == Q4_1
#define BLOCK_BYTES Q4_1_BYTES
#define BLOCK_VALUES q4_1_values
#elif WEIGHT == Q8_0
#define BLOCK_BYTES Q8_0_BYTES
#define BLOCK_VALUES q8_0_values
#endif

#if INT8
#define X_BYTES(inputs) ((size_t)(inputs) + (inputs) / BLOCK * 8)
#else
#define X_BYTES(inputs) ((size_t)(inputs) * 4)
#endif

// Block b of a row of x.
static inline void x_values(
    global const uchar *row, uint inputs, uint b, float16 *low, float16 *high)
{
#if INT8
  global const char *bytes = (global const char *)row;
  const float scale = ((global const float *)(row + inputs))[b];
  *low = convert_float16(vload16(2 * b, bytes)) * scale;
  *high = convert_float16(vload16(2 * b + 1, bytes)) * scale;
#else
  *low = vload16(2 * b, (global const float *)row);
  *high = vload16(2 * b + 1, (global const float *)row);
#endif
}

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

  global const uchar *x_row[TILE_TOKENS];
#pragma unroll
  for (uint t = 0; t < TILE_TOKENS; t++)
    x_row[t] = x_buffer + x_offset + min(first_token + t, last_token) * X_BYTES(inputs);

  const uint begin = get_global_id(0) * outputs_each;
  const uint end = min(begin + outputs_each, outputs);
  for (uint first = begin; first < end; first += TILE_OUTPUTS) {
    global const uchar *w_row[TILE_OUTPUTS];
#pragma unroll
    for (uint r = 0; r < TILE_OUTPUTS; r++)
      w_row[r] = w + (size_t)min(first + r, outputs - 1) * blocks * BLOCK_BYTES;

    float16 sum[TILE_OUTPUTS][TILE_TOKENS];
#pragma unroll
    for (uint r = 0; r < TILE_OUTPUTS; r++)
#pragma unroll
      for (uint t = 0; t < TILE_TOKENS; t++) sum[r][t] = (float16)(0.0f);

    for (uint b = 0; b < blocks; b++) {
      float16 low[TILE_OUTPUTS], high[TILE_OUTPUTS];
#pragma unroll
      for (uint r = 0; r < TILE_OUTPUTS; r++)
        BLOCK_VALUES(w_row[r] + (size_t)b * BLOCK_BYTES, &low[r], &high[r]);
#pragma unroll
      for (uint t = 0; t < TILE_TOKENS; t++) {
        float16 x_low, x_high;
        x_values(x_row[t], inputs, b, &x_low, &x_high);
#pragma unroll
        for (uint r = 0; r < TILE_OUTPUTS; r++) {
          sum[r][t] = low[r] * x_low + sum[r][t];
          sum[r][t] = high[r] * x_high + sum[r][t];
        }
      }
    }

#pragma unroll
    for (uint t = 0; t < TILE_TOKENS; t++)
#pragma unroll
      for (uint r = 0; r < TILE_OUTPUTS; r++)
        if (first_token + t < tokens && first + r < outputs)
          y[(size_t)(first_token + t) * outputs + first + r] =
              sum16(sum[r][t]) + (has_bias ? bias[first + r] : 0.0f);
  }
}
