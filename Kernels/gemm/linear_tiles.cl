// y = x Wᵀ + bias, for quantised weights in tiles of 16 rows.
//
//            inputs (K, whole blocks of 32)            outputs (N)
//          ┌──────────────────────────┐            ┌────────┬──────
//   tokens │ x  [t * K + k]           │     tokens │ T × 16R│   y  f32  [t * N + n]
//          └──────────────────────────┘            ├────────┘
//          ┌──────┬──────┬──────┬─────┐            │  one work-item: `outputs_each`
//  16 rows │ block│ block│ …    │     │ W          │  outputs, tile after tile
//          └──────┴──────┴──────┴─────┘
//
//   W           common/prelude.cl draws the tiles of all formats
//   x, INT8 0   f32
//   x, INT8 1   a row: K chars │ K/32 scales, f32 │ K/32 sums, f32
//
// A lane is a row of W, so nothing is added up over lanes and W is read as one stream. With int8
// activations the products of a block of 32 are summed as whole numbers, which floats hold exactly,
// and the blocks are added in order with fused multiply-adds: the same bits on every device.
//
// Global ids: (group of outputs, tile of tokens). Tiles and tokens beyond the edge are clamped when
// read and skipped when written.

#ifndef INT8
#define INT8 0
#endif
#ifndef TILES
#define TILES 1
#endif
#ifndef TOKENS
#define TOKENS 4
#endif

#if INT8
#define X_BYTES(inputs) ((size_t)(inputs) + (inputs) / BLOCK * 8)
#else
#define X_BYTES(inputs) ((size_t)(inputs) * 4)
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
  global const uchar *w = w_buffer + w_offset;
  global const float *bias = (global const float *)(bias_buffer + bias_offset);
  global float *y = (global float *)(y_buffer + y_offset);

  const uint blocks = inputs / BLOCK;
  const uint last_tile = (outputs - 1) / 16;
  const uint first_token = get_global_id(1) * TOKENS;

  global const uchar *x_row[TOKENS];
#pragma unroll
  for (uint t = 0; t < TOKENS; t++)
    x_row[t] = x_buffer + x_offset + min(first_token + t, tokens - 1) * X_BYTES(inputs);

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
#if INT8
      // Element 4 i + e lies at 8 e + i, as it comes from words of four.
      float x[TOKENS][BLOCK];
      float16 dot[TILES][TOKENS];
#pragma unroll
      for (uint t = 0; t < TOKENS; t++) {
        const int8 words = vload8(b, (global const int *)x_row[t]);
#pragma unroll
        for (uint e = 0; e < 4; e++)
          vstore8(convert_float8(words << (24 - 8 * e) >> 24), e, x[t]);
#pragma unroll
        for (uint r = 0; r < TILES; r++) dot[r][t] = (float16)(0.0f);
      }
#define X(t, i, e) x[t][8 * (e) + (i)]
#define ADD(r, t, w, x) dot[r][t] = FUSED(w, (float16)(x), dot[r][t])
#else
#define X(t, i, e) ((global const float *)x_row[t])[b * BLOCK + 4 * (i) + (e)]
#define ADD(r, t, w, x) sum[r][t] = FUSED(w, (float16)(x), sum[r][t])
#endif
      for (uint g = 0; g < GROUPS; g++) {
        float16 scale[TILES], minimum[TILES];
#pragma unroll
        for (uint r = 0; r < TILES; r++) {
          scale[r] = group_scales(head[r], groups + g);
#if !INT8
          scale[r] *= head_scales(head[r]);
          minimum[r] = head_minima(head[r]) * group_minima(head[r], groups + g);
#endif
        }
        for (uint i = g * (8 / GROUPS); i < (g + 1) * (8 / GROUPS); i++) {
#pragma unroll
          for (uint r = 0; r < TILES; r++) {
            uint16 words = code_words(block[r], i);
#pragma unroll
            for (uint e = 0; e < 4; e++) {
              float16 value = integer16(words);
#if !INT8
              value = FUSED(value, scale[r], minimum[r]);
#else
              if (GROUPS == 2) value *= scale[r];
#endif
#pragma unroll
              for (uint t = 0; t < TOKENS; t++) ADD(r, t, value, X(t, i, e));
              words >>= 8u;
            }
          }
        }
      }
#if INT8
#pragma unroll
      for (uint r = 0; r < TILES; r++) {
        float16 d = head_scales(head[r]);
        float16 m = head_minima(head[r]);
#if GROUPS == 1
        d *= group_scales(head[r], groups);
        m *= group_minima(head[r], groups);
#endif
#pragma unroll
        for (uint t = 0; t < TOKENS; t++) {
          global const float *scales = (global const float *)(x_row[t] + inputs);
          sum[r][t] = FUSED(d * scales[b], dot[r][t], sum[r][t]);
#if HAS_MINIMUM && GROUPS == 1
          sum[r][t] = FUSED(m, (float16)(scales[blocks + b]), sum[r][t]);
#elif HAS_MINIMUM
          const float8 x_sums = vload8(0, x[t]) + vload8(1, x[t]) + vload8(2, x[t]) + vload8(3, x[t]);
          const float16 n = FUSED(
              group_minima(head[r], groups), (float16)(sum4(x_sums.lo)),
              group_minima(head[r], groups + 1) * sum4(x_sums.hi));
          sum[r][t] = FUSED(m * scales[b], n, sum[r][t]);
#endif
        }
      }
#endif
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
