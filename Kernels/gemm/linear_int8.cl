// y = x Wᵀ + bias, for quantised weights in tiles of 16 rows and int8 activations.
//
//            inputs (K, whole blocks of 32)            outputs (N)
//          ┌──────────────────────────┐            ┌────────┬──────
//   tokens │ x  a row: K chars │ K/32 │     tokens │ T × 16R│   y  f32  [t * N + n]
//          │ scales │ K/32 sums, f32  │            ├────────┘
//          └──────────────────────────┘            │  one work-item: `outputs_each`
//          ┌──────┬──────┬──────┬─────┐            │  outputs, tile after tile
//  16 rows │ block│ block│ …    │     │ W
//          └──────┴──────┴──────┴─────┘
//
// A lane is a row of W, so nothing is added up over lanes and W is read in order; prelude.cl draws
// it, code_products.cl and tile_dot.cl have the arithmetic. A block's bytes are put together once for T tokens. With
// UNPACKS 1 they wait in private memory, and meet a few of these at a time (many_rows.cl).
//
// Global ids: (group of outputs, tile of tokens). Tiles and tokens beyond the edge are clamped when
// read and skipped when written.

// Whether a comes on top: y = a + (x Wᵀ + bias), a as y. Else it is not read.
#ifndef ADDS
#define ADDS 0
#endif

// Up to 16 numbers, the rest zero; and their store.
static inline float16 load_some(global const float *p, uint count)
{
  if (count >= 16) return vload16(0, p);
  float lanes[16];
  for (uint i = 0; i < 16; i++) lanes[i] = i < count ? p[i] : 0.0f;
  return vload16(0, lanes);
}

static inline void store_some(float16 v, global float *p, uint count)
{
  if (count >= 16) {
    vstore16(v, 0, p);
    return;
  }
  float lanes[16];
  vstore16(v, 0, lanes);
  for (uint i = 0; i < count; i++) p[i] = lanes[i];
}

// Writes numbers of y, with a added where there is one.
static inline void finish(
    float16 v, global const float *a, global float *y, size_t place, uint count)
{
  if (ADDS) v = load_some(a + place, count) + v;
  store_some(v, y + place, count);
}

#if TOKENS == 1
TILES_DOT(dot_global, global, 1)
TILES_DOT(dots_global, global, STREAMS)
#endif

kernel void linear(
    global const uchar *x_buffer, ulong x_offset,
    global const uchar *w_buffer, ulong w_offset,
    global const uchar *bias_buffer, ulong bias_offset, uint has_bias,
    global const uchar *a_buffer, ulong a_offset,
    global uchar *y_buffer, ulong y_offset,
    uint tokens, uint inputs, uint outputs, uint outputs_each)
{
  global const uchar *w = w_buffer + w_offset;
  global const float *bias = (global const float *)(bias_buffer + bias_offset);
  global float *y = (global float *)(y_buffer + y_offset);
  global const float *a = (global const float *)(a_buffer + a_offset);

  const uint begin = get_global_id(0) * outputs_each;
  const uint end = min(begin + outputs_each, outputs);
#if TOKENS == 1
  const size_t t = get_global_id(1);
  global const uchar *x = x_buffer + x_offset + t * ROW_BYTES(inputs);
  // As many places as there are streams, each with so many tiles; then what is left.
  const uint each = (end - begin + 15) / 16 / STREAMS;
  for (uint i = 0; i < each; i++) {
    global const uchar *tile[STREAMS];
    float16 sum[STREAMS];
#pragma unroll
    for (uint s = 0; s < STREAMS; s++) {
      const uint n = begin + (s * each + i) * 16;
      tile[s] = w + n / 16 * TILE_BYTES(inputs);
      sum[s] = has_bias ? load_some(bias + n, outputs - n) : (float16)(0.0f);
    }
    dots_global(tile, x, inputs, 0, sum);
#pragma unroll
    for (uint s = 0; s < STREAMS; s++) {
      const uint n = begin + (s * each + i) * 16;
      finish(sum[s], a, y, t * outputs + n, outputs - n);
    }
  }
  for (uint n = begin + each * STREAMS * 16; n < end; n += 16) {
    global const uchar *tile = w + n / 16 * TILE_BYTES(inputs);
    float16 sum = has_bias ? load_some(bias + n, outputs - n) : (float16)(0.0f);
    dot_global(&tile, x, inputs, 0, &sum);
    finish(sum, a, y, t * outputs + n, outputs - n);
  }
#elif UNPACKS
  const uint blocks = inputs / BLOCK, last_tile = (outputs - 1) / 16, first_token = get_global_id(1) * TOKENS;
  const uint count = min(tokens - first_token, (uint)TOKENS);
  global const uchar *x = x_buffer + x_offset + first_token * ROW_BYTES(inputs);
  for (uint first = begin; first < end; first += 16 * TILES) {
    global const uchar *tile[TILES];
    float16 sums[TOKENS][TILES];
#pragma unroll
    for (uint r = 0; r < TILES; r++) {
      const uint n = min(first / 16 + r, last_tile) * 16;
      tile[r] = w + n / 16 * TILE_BYTES(inputs);
      const float16 start = has_bias ? load_some(bias + n, outputs - n) : (float16)(0.0f);
      for (uint t = 0; t < count; t++) sums[t][r] = start;
    }
    for (uint b = 0; b < blocks; b += UNPACKED) {
      uint16 codes[TILES][UNPACKED][8];
      block_factors f[TILES][UNPACKED];
      const uint some = min(blocks - b, (uint)UNPACKED);
      for (uint r = 0; r < TILES; r++) tile[r] = unpack(tile[r], some, codes[r], f[r]);
      for (uint t = 0; t < count; t += MEET) {
        // Rows behind the last one stand for it.
        global const uchar *rows[MEET];
        float16 meeting[TILES][MEET];
#pragma unroll
        for (uint k = 0; k < MEET; k++) {
          const uint row = min(t + k, count - 1);
          rows[k] = x + row * ROW_BYTES(inputs);
#pragma unroll
          for (uint r = 0; r < TILES; r++) meeting[r][k] = sums[row][r];
        }
        add_rows(rows, inputs, b, some, codes, f, meeting);
#pragma unroll
        for (uint k = 0; k < MEET; k++)
#pragma unroll
          for (uint r = 0; r < TILES; r++) sums[min(t + k, count - 1)][r] = meeting[r][k];
      }
    }
    for (uint t = 0; t < count; t++)
#pragma unroll
      for (uint r = 0; r < TILES; r++) {
        const uint n = first + 16 * r;
        if (n < outputs) finish(sums[t][r], a, y, (size_t)(first_token + t) * outputs + n, outputs - n);
      }
  }
#else
  const uint blocks = inputs / BLOCK;
  const uint last_tile = (outputs - 1) / 16;
  const uint first_token = get_global_id(1) * TOKENS;

  global const uchar *x_row[TOKENS];
#pragma unroll
  for (uint t = 0; t < TOKENS; t++)
    x_row[t] = x_buffer + x_offset + min(first_token + t, tokens - 1) * ROW_BYTES(inputs);

  for (uint first = begin; first < end; first += 16 * TILES) {
    global const uchar *head[TILES], *block[TILES];
    float16 d[TILES], m[TILES], sum[TILES][TOKENS];
#pragma unroll
    for (uint r = 0; r < TILES; r++) {
      const uint tile = min(first / 16 + r, last_tile);
      block[r] = w + tile * TILE_BYTES(inputs);
      const float16 start =
          has_bias ? load_some(bias + tile * 16, outputs - tile * 16) : (float16)(0.0f);
#pragma unroll
      for (uint t = 0; t < TOKENS; t++) sum[r][t] = start;
    }

    for (uint eight = 0; eight < blocks; eight += AT_ONCE) {
      const uint count = min(blocks - eight, (uint)AT_ONCE);
      int terms[TOKENS][AT_ONCE][GROUPS];
#if HAS_TERMS
#pragma unroll
      for (uint t = 0; t < TOKENS; t++) terms_of(x_row[t], inputs, eight, count, terms[t]);
#endif
      for (uint j = 0; j < count; j++) {
        const uint b = eight + j;
        const uint group = j % TILE_BLOCKS * GROUPS;
        DOT dot[TILES][TOKENS][GROUPS];
#pragma unroll
        for (uint r = 0; r < TILES; r++) {
          if (group == 0) {
            head[r] = block[r];
            d[r] = tile_scales(head[r]);
            m[r] = tile_minima(head[r]);
            block[r] += HEAD_BYTES;
          }
#pragma unroll
          for (uint t = 0; t < TOKENS; t++)
#pragma unroll
            for (uint g = 0; g < GROUPS; g++)
              dot[r][t][g] = BYTES ? dot_start(HAS_TERMS ? terms[t][j][g] : 0) : (DOT)(0);
        }
#if VNNI
#pragma unroll
        for (uint i = 0; i < 8; i++) {
          uint16 words[TILES];
#pragma unroll
          for (uint r = 0; r < TILES; r++) words[r] = dot_words(block[r], i);
#pragma unroll
          for (uint t = 0; t < TOKENS; t++) {
            const int16 x = (int16)(((global const int *)x_row[t])[8 * b + i]);
#pragma unroll
            for (uint r = 0; r < TILES; r++)
              dot[r][t][i / WORDS] = dot_bytes(dot[r][t][i / WORDS], words[r], x);
          }
        }
#else
        float x[TOKENS][BLOCK];
#pragma unroll
        for (uint t = 0; t < TOKENS; t++) block_floats(vload8(b, (global const int *)x_row[t]), x[t]);
#pragma unroll
        for (uint g = 0; g < GROUPS; g++)
#pragma unroll 1
          for (uint v = 0; v < WORDS / LAYERS; v++)
#pragma unroll
            for (uint layer = 0; layer < LAYERS; layer++) {
              const uint i = WORD_OF(g, layer, v);
#pragma unroll
              for (uint r = 0; r < TILES; r++) {
                const uint16 words = float_words(block[r], i);
#pragma unroll
                for (uint e = 0; e < 4; e++) {
                  const float16 value = code_floats(words, i, e) - ASIDE;
#pragma unroll
                  for (uint t = 0; t < TOKENS; t++)
                    dot[r][t][g] = EXACT(value, (float16)(x[t][8 * e + i]), dot[r][t][g]);
                }
              }
            }
#endif
#pragma unroll
        for (uint r = 0; r < TILES; r++) {
          const block_factors f = factors(d[r], m[r], head[r], group);
#pragma unroll
          for (uint t = 0; t < TOKENS; t++) {
            global const float *scales = (global const float *)(x_row[t] + inputs);
            sum[r][t] =
                add_block(sum[r][t], &f, dot[r][t], scales[b], scales[blocks + b], terms[t][j]);
          }
          block[r] += TILE_BLOCK_BYTES;
        }
      }
    }

#pragma unroll
    for (uint t = 0; t < TOKENS; t++)
#pragma unroll
      for (uint r = 0; r < TILES; r++) {
        const uint n = first + 16 * r;
        if (first_token + t < tokens && n < outputs)
          finish(sum[r][t], a, y, (size_t)(first_token + t) * outputs + n, outputs - n);
      }
  }
#endif
}
