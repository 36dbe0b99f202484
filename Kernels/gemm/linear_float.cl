// y = x Wᵀ + bias, for float weights of any width.
//
//            inputs (K, any)                           outputs (N)
//          ┌──────────────────────────┐            ┌───────┬──────
//   tokens │ x  f32   [t * K + k]     │     tokens │ T × R │   y  f32  [t * N + n]
//          └──────────────────────────┘            ├───────┘
//          ┌──────────────────────────┐            │  one work-item: `outputs_each`
//  outputs │ W  [n * K + k]          │            │  outputs, tile after tile
//          └──────────────────────────┘
//
// A tile keeps T × R sums of 16 lanes in registers; what is left of K after the last 16 is added
// number by number. Global ids: (group of outputs, tile of tokens). Rows and tokens beyond the
// edge are clamped when read and skipped when written.

#ifndef WEIGHT
#define WEIGHT F32
#endif
#ifndef TILE_OUTPUTS
#define TILE_OUTPUTS 4
#endif
#ifndef TILE_TOKENS
#define TILE_TOKENS 4
#endif

#if WEIGHT == F32
typedef float weight;
#define LOAD16(i, row) vload16(i, row)
#define LOAD(i, row) (row)[i]
#elif WEIGHT == F16
typedef half weight;
#define LOAD16(i, row) vload_half16(i, row)
#define LOAD(i, row) vload_half(i, row)
#elif WEIGHT == BF16
typedef ushort weight;
#define LOAD16(i, row) OF_UPPER_HALF16(vload16(i, row))
#define LOAD(i, row) OF_UPPER_HALF((row)[i])
#endif

kernel void linear(
    global const uchar *x_buffer, ulong x_offset,
    global const uchar *w_buffer, ulong w_offset,
    global const uchar *bias_buffer, ulong bias_offset, uint has_bias,
    global uchar *y_buffer, ulong y_offset,
    uint tokens, uint inputs, uint outputs, uint outputs_each)
{
  global const float *x = (global const float *)(x_buffer + x_offset);
  global const weight *w = (global const weight *)(w_buffer + w_offset);
  global const float *bias = (global const float *)(bias_buffer + bias_offset);
  global float *y = (global float *)(y_buffer + y_offset);

  const uint vectors = inputs / 16;
  const uint first_token = get_global_id(1) * TILE_TOKENS;
  const uint last_token = tokens - 1;

  global const float *x_row[TILE_TOKENS];
#pragma unroll
  for (uint t = 0; t < TILE_TOKENS; t++)
    x_row[t] = x + (size_t)min(first_token + t, last_token) * inputs;

  const uint begin = get_global_id(0) * outputs_each;
  const uint end = min(begin + outputs_each, outputs);
  for (uint first = begin; first < end; first += TILE_OUTPUTS) {
    global const weight *w_row[TILE_OUTPUTS];
#pragma unroll
    for (uint r = 0; r < TILE_OUTPUTS; r++)
      w_row[r] = w + (size_t)min(first + r, outputs - 1) * inputs;

    float16 sum[TILE_OUTPUTS][TILE_TOKENS];
#pragma unroll
    for (uint r = 0; r < TILE_OUTPUTS; r++)
#pragma unroll
      for (uint t = 0; t < TILE_TOKENS; t++) sum[r][t] = (float16)(0.0f);

    for (uint v = 0; v < vectors; v++) {
      float16 values[TILE_OUTPUTS];
#pragma unroll
      for (uint r = 0; r < TILE_OUTPUTS; r++) values[r] = LOAD16(v, w_row[r]);
#pragma unroll
      for (uint t = 0; t < TILE_TOKENS; t++) {
        const float16 x_values = vload16(v, x_row[t]);
#pragma unroll
        for (uint r = 0; r < TILE_OUTPUTS; r++) sum[r][t] = FUSED(values[r], x_values, sum[r][t]);
      }
    }

#pragma unroll
    for (uint t = 0; t < TILE_TOKENS; t++)
#pragma unroll
      for (uint r = 0; r < TILE_OUTPUTS; r++)
        if (first_token + t < tokens && first + r < outputs) {
          float total = sum16(sum[r][t]) + (has_bias ? bias[first + r] : 0.0f);
          for (uint k = vectors * 16; k < inputs; k++)
            total = FUSED(LOAD(k, w_row[r]), x_row[t][k], total);
          y[(size_t)(first_token + t) * outputs + first + r] = total;
        }
  }
}
