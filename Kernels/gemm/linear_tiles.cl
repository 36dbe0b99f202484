// y = x Wᵀ + bias, for quantised weights in tiles of 16 rows and float activations.
//
//            inputs (K, whole blocks of 32)            outputs (N)
//          ┌──────────────────────────┐            ┌────────┬──────
//   tokens │ x  f32  [t * K + k]      │     tokens │ T × 16R│   y  f32  [t * N + n]
//          └──────────────────────────┘            ├────────┘
//          ┌──────┬──────┬──────┬─────┐            │  one work-item: `outputs_each`
//  16 rows │ block│ block│ …    │     │ W          │  outputs, tile after tile
//          └──────┴──────┴──────┴─────┘
//
// common/prelude.cl draws the tiles of all formats. A lane is a row of W, so nothing is added up over
// lanes and W is read as one stream.
//
// Global ids: (group of outputs, tile of tokens). Tiles and tokens beyond the edge are clamped when
// read and skipped when written.

#ifndef TILES
#define TILES 1
#endif
#ifndef TOKENS
#define TOKENS 4
#endif

// Up to 16 numbers, the rest zero; and their store.
static inline float16 load_some(global const float *p, uint count)
{
  float lanes[16];
  for (uint i = 0; i < 16; i++) lanes[i] = i < count ? p[i] : 0.0f;
  return vload16(0, lanes);
}

static inline void store_some(float16 v, global float *p, uint count)
{
  float lanes[16];
  vstore16(v, 0, lanes);
  for (uint i = 0; i < min(count, 16u); i++) p[i] = lanes[i];
}

kernel void linear(
    global const uchar *x_buffer, ulong x_offset,
    global const uchar *w_buffer, ulong w_offset,
    global const uchar *bias_buffer, ulong bias_offset, uint has_bias,
    global uchar *y_buffer, ulong y_offset,
    uint tokens, uint inputs, uint outputs, uint outputs_each)
{
  global const float *x = (global const float *)(x_buffer + x_offset);
  global const uchar *w = w_buffer + w_offset;
  global const float *bias = (global const float *)(bias_buffer + bias_offset);
  global float *y = (global float *)(y_buffer + y_offset);

  const uint blocks = inputs / BLOCK;
  const uint last_tile = (outputs - 1) / 16;
  const uint first_token = get_global_id(1) * TOKENS;

  global const float *x_row[TOKENS];
#pragma unroll
  for (uint t = 0; t < TOKENS; t++)
    x_row[t] = x + (size_t)min(first_token + t, tokens - 1) * inputs;

  const uint begin = get_global_id(0) * outputs_each;
  const uint end = min(begin + outputs_each, outputs);
  for (uint first = begin; first < end; first += 16 * TILES) {
    global const uchar *head[TILES], *block[TILES];
    float16 sum[TILES][TOKENS];
#pragma unroll
    for (uint r = 0; r < TILES; r++) {
      const uint tile = min(first / 16 + r, last_tile);
      block[r] = w + tile * TILE_BYTES(inputs);
      const float16 start =
          has_bias ? load_some(bias + tile * 16, outputs - tile * 16) : (float16)(0.0f);
#pragma unroll
      for (uint t = 0; t < TOKENS; t++) sum[r][t] = start;
    }

    for (uint b = 0; b < blocks; b++) {
      const uint groups = b % TILE_BLOCKS * GROUPS;
      if (groups == 0) {
#pragma unroll
        for (uint r = 0; r < TILES; r++) {
          head[r] = block[r];
          block[r] += HEAD_BYTES;
        }
      }
      for (uint g = 0; g < GROUPS; g++) {
        float16 scale[TILES], minimum[TILES];
#pragma unroll
        for (uint r = 0; r < TILES; r++) {
          scale[r] = head_scales(head[r]) * group_scales(head[r], groups + g);
          minimum[r] = head_minima(head[r]) * group_minima(head[r], groups + g);
        }
        for (uint i = g * (8 / GROUPS); i < (g + 1) * (8 / GROUPS); i++) {
#pragma unroll
          for (uint r = 0; r < TILES; r++) {
            uint16 words = code_words(block[r], i);
#pragma unroll
            for (uint e = 0; e < 4; e++) {
              const float16 value = FUSED(integer16(words), scale[r], minimum[r]);
#pragma unroll
              for (uint t = 0; t < TOKENS; t++)
                sum[r][t] = FUSED(value, (float16)(x_row[t][b * BLOCK + 4 * i + e]), sum[r][t]);
              words >>= 8u;
            }
          }
        }
      }
#pragma unroll
      for (uint r = 0; r < TILES; r++) block[r] += TILE_BLOCK_BYTES;
    }

#pragma unroll
    for (uint t = 0; t < TOKENS; t++)
#pragma unroll
      for (uint r = 0; r < TILES; r++) {
        const uint n = first + 16 * r;
        if (first_token + t < tokens && n < outputs)
          store_some(
              sum[r][t], y + (size_t)(first_token + t) * outputs + n, outputs - n);
      }
  }
}
