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
//   block of W, 16 rows:   16 d f16 │ Q4_1: 16 m f16 │ 16 bytes of element (or pair) 0 │ of 1 │ …
//                          a pair is element j in the low nibble and j + 16 in the high one
//   x, INT8 0   f32
//   x, INT8 1   a row: K chars │ K/32 scales, f32 │ K/32 sums, f32
//
// A lane is a row of W, so nothing is added up over lanes and W is read as one stream. With int8
// activations the products of a block are summed as whole numbers, which floats hold exactly, and
// the blocks are added in order with fused multiply-adds: the same bits on every device.
//
// Global ids: (group of outputs, tile of tokens). Tiles and tokens beyond the edge are clamped when
// read and skipped when written.

#ifndef WEIGHT
#define WEIGHT Q4_1
#endif
#ifndef INT8
#define INT8 0
#endif
#ifndef TILES
#define TILES 1
#endif
#ifndef TOKENS
#define TOKENS 4
#endif

#if WEIGHT == Q4_1
#define TILE_BLOCK_BYTES (16 * Q4_1_BYTES)
#define WEIGHTS 64
#elif WEIGHT == Q8_0
#define TILE_BLOCK_BYTES (16 * Q8_0_BYTES)
#define WEIGHTS 32
#endif

#if INT8
#define X_BYTES(inputs) ((size_t)(inputs) + (inputs) / BLOCK * 8)
#else
#define X_BYTES(inputs) ((size_t)(inputs) * 4)
#endif

// Elements j and j + 16 of a block of 16 rows, as whole numbers.
static inline void integers(global const uchar *block, uint j, float16 *first, float16 *second)
{
#if WEIGHT == Q4_1
  const uchar16 pair = vload16(j, block + WEIGHTS);
  *first = convert_float16(pair & (uchar16)(15));
  *second = convert_float16(pair >> (uchar16)(4));
#else
  *first = convert_float16(vload16(j, (global const char *)block + WEIGHTS));
  *second = convert_float16(vload16(j + 16, (global const char *)block + WEIGHTS));
#endif
}

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
    global const uchar *block[TILES];
    float16 sum[TILES][TOKENS];
#pragma unroll
    for (uint r = 0; r < TILES; r++) {
      const uint tile = min(first / 16 + r, last_tile);
      block[r] = w + (size_t)tile * blocks * TILE_BLOCK_BYTES;
      const float16 start =
          has_bias ? load_some(bias + tile * 16, outputs - tile * 16) : (float16)(0.0f);
#pragma unroll
      for (uint t = 0; t < TOKENS; t++) sum[r][t] = start;
    }

    for (uint b = 0; b < blocks; b++) {
#if INT8
      float x[TOKENS][BLOCK];
      float16 dot[TILES][TOKENS];
#pragma unroll
      for (uint t = 0; t < TOKENS; t++) {
        global const char *bytes = (global const char *)x_row[t];
        vstore16(convert_float16(vload16(2 * b, bytes)), 0, x[t]);
        vstore16(convert_float16(vload16(2 * b + 1, bytes)), 1, x[t]);
#pragma unroll
        for (uint r = 0; r < TILES; r++) dot[r][t] = (float16)(0.0f);
      }
#define X(t, k) x[t][k]
#define ADD(r, t, w, x) dot[r][t] = FUSED(w, (float16)(x), dot[r][t])
#else
#define X(t, k) ((global const float *)x_row[t])[b * BLOCK + (k)]
#define ADD(r, t, w, x) sum[r][t] = FUSED(w, (float16)(x), sum[r][t])
      float16 d[TILES], m[TILES];
#pragma unroll
      for (uint r = 0; r < TILES; r++) {
        d[r] = vload_half16(0, (global const half *)block[r]);
        m[r] = WEIGHT == Q4_1 ? vload_half16(1, (global const half *)block[r]) : (float16)(0.0f);
      }
#endif
      for (uint j = 0; j < 16; j++) {
#pragma unroll
        for (uint r = 0; r < TILES; r++) {
          float16 low, high;
          integers(block[r], j, &low, &high);
#if !INT8
          low = FUSED(low, d[r], m[r]);
          high = FUSED(high, d[r], m[r]);
#endif
#pragma unroll
          for (uint t = 0; t < TOKENS; t++) {
            ADD(r, t, low, X(t, j));
            ADD(r, t, high, X(t, j + 16));
          }
        }
      }
#if INT8
#pragma unroll
      for (uint r = 0; r < TILES; r++) {
        const float16 d = vload_half16(0, (global const half *)block[r]);
#pragma unroll
        for (uint t = 0; t < TOKENS; t++) {
          global const float *scales = (global const float *)(x_row[t] + inputs);
          sum[r][t] = FUSED(d * scales[b], dot[r][t], sum[r][t]);
#if WEIGHT == Q4_1
          const float16 m = vload_half16(1, (global const half *)block[r]);
          sum[r][t] = FUSED(m, (float16)(scales[blocks + b]), sum[r][t]);
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
