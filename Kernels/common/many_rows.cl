// What linear_int8 does for many rows of activations beside the arithmetic of tile_dot.cl: sums of eight blocks at
// once, and weights that wait unpacked. The host puts this text behind that one.
//
// TILES tiles of 16 rows of W meet MEET rows of x at a time, block after block:
//
//          unpack                       add_rows
//   tile ─────────▶ codes, factors ─────────────────▶ sum[TILES][MEET]
//                   of UNPACKED blocks    for every MEET of a work-item's TOKENS rows
//
// Where bytes are put together in a step or two the trip through private memory costs as much.

#ifndef TILES
#define TILES 2
#endif
#ifndef TOKENS
#define TOKENS 4
#endif
// Blocks whose sums of activations are prepared at once, whole heads of tiles.
#define AT_ONCE 8
// Whether weights wait unpacked in private memory for all tokens of a work-item: of how many blocks, and how many
// tokens meet them at a time.
#ifndef UNPACKS
#define UNPACKS (AVX2 && TOKENS > 1)
#endif
#define UNPACKED 16
#ifndef MEET
#define MEET 2
#endif

#if BYTES && HAS_TERMS
// The terms of eight blocks. Where a block has one group, Σ x is its sum over its scale, as the sum is
// the product of both, rounded once, and Σ x is below 2¹².
static inline void eight_terms(global const int *words, global const float *scales, uint blocks, int *terms)
{
#if GROUPS == 1
  const float8 scale = vload8(0, scales);
  const float8 sum = scale > 0.0f ? vload8(0, scales + blocks) / scale : (float8)(0.0f);
  // A float whose bits are 0x4B400000 + n is 3 × 2²² + n.
  vstore8((as_int8(sum + 12582912.0f) - 0x4B400000) * TERM_FACTOR, 0, terms);
#else
  int16 fours[4];
#pragma unroll
  for (uint v = 0; v < 4; v++) fours[v] = sums_of_bytes(vload16(v, words));
  const int16 low = (int16)(fours[0].even, fours[1].even) + (int16)(fours[0].odd, fours[1].odd);
  const int16 high = (int16)(fours[2].even, fours[3].even) + (int16)(fours[2].odd, fours[3].odd);
  const int16 sums = (int16)(low.even, high.even) + (int16)(low.odd, high.odd);
  vstore16(sums * TERM_FACTOR, 0, terms);
#endif
}
#endif

#if HAS_TERMS
// The terms of blocks first … first + count - 1 of a row, AT_ONCE or fewer.
static inline void terms_of(global const uchar *x, uint inputs, uint first, uint count, int (*terms)[GROUPS])
{
  global const int *words = (global const int *)x + first * 8;
#if BYTES
  if (count == AT_ONCE) {
    eight_terms(words, (global const float *)(x + inputs) + first, inputs / BLOCK, terms[0]);
    return;
  }
#endif
  for (uint j = 0; j < count; j++) block_terms(vload8(j, words), terms[j]);
}
#endif

#if UNPACKS
// Brings blocks of a tile into private memory; returns what is behind them.
static inline global const uchar *unpack(
    global const uchar *tile, uint blocks, uint16 (*codes)[8], block_factors *f)
{
  global const uchar *head = tile;
  float16 d, m;
  for (uint b = 0; b < blocks; b++) {
    if (b % TILE_BLOCKS == 0) {
      head = tile;
      d = tile_scales(head);
      m = tile_minima(head);
      tile += HEAD_BYTES;
    }
    f[b] = factors(d, m, head, b % TILE_BLOCKS * GROUPS);
#pragma unroll
    for (uint i = 0; i < 8; i++) codes[b][i] = dot_words(tile, i);
    tile += TILE_BLOCK_BYTES;
  }
  return tile;
}

// Adds the products of a group of block b, which was unpacked as `at`.
static inline void add_group(
    const uint16 (*codes)[UNPACKED][8], uint at, global const uchar *const *x, uint b, uint g,
    DOT (*dot)[MEET][GROUPS])
{
#if AVX2
#pragma unroll
  for (uint r = 0; r < TILES; r++)
#pragma unroll
    for (uint i = g * WORDS; i < (g + 1) * WORDS; i += ROOM) {
      pair_sums sums[MEET];
#pragma unroll
      for (uint n = 0; n < ROOM; n++)
#pragma unroll
        for (uint t = 0; t < MEET; t++) {
          const int8 four = (int8)(((global const int *)x[t])[8 * b + i + n]);
          const uint16 words = codes[r][at][i + n];
          sums[t] = n == 0 ? pairs_of(words, four) : plus_pairs(sums[t], words, four);
        }
#pragma unroll
      for (uint t = 0; t < MEET; t++) dot[r][t][g] = add_pairs(dot[r][t][g], sums[t]);
    }
#else
#pragma unroll
  for (uint i = g * WORDS; i < (g + 1) * WORDS; i++)
#pragma unroll
    for (uint t = 0; t < MEET; t++) {
      const int16 four = (int16)(((global const int *)x[t])[8 * b + i]);
#pragma unroll
      for (uint r = 0; r < TILES; r++) dot[r][t][g] = dot_bytes(dot[r][t][g], codes[r][at][i], four);
    }
#endif
}

// Adds the blocks first … first + count - 1 of MEET rows.
static inline void add_rows(
    global const uchar *const *x, uint inputs, uint first, uint count,
    const uint16 (*codes)[UNPACKED][8], const block_factors (*f)[UNPACKED], float16 (*sum)[MEET])
{
  const uint blocks = inputs / BLOCK;
  for (uint eight = 0; eight < count; eight += AT_ONCE) {
    const uint some = min(count - eight, (uint)AT_ONCE);
    int terms[MEET][AT_ONCE][GROUPS];
#if HAS_TERMS
#pragma unroll
    for (uint t = 0; t < MEET; t++) terms_of(x[t], inputs, first + eight, some, terms[t]);
#endif
    for (uint j = 0; j < some; j++) {
      const uint b = first + eight + j;
      DOT dot[TILES][MEET][GROUPS];
#pragma unroll
      for (uint g = 0; g < GROUPS; g++) {
#pragma unroll
        for (uint t = 0; t < MEET; t++)
#pragma unroll
          for (uint r = 0; r < TILES; r++) dot[r][t][g] = dot_start(HAS_TERMS ? terms[t][j][g] : 0);
        add_group(codes, eight + j, x, b, g, dot);
      }
#pragma unroll
      for (uint t = 0; t < MEET; t++) {
        global const float *scales = (global const float *)(x[t] + inputs);
#pragma unroll
        for (uint r = 0; r < TILES; r++)
          sum[r][t] = add_block(
              sum[r][t], &f[r][eight + j], dot[r][t], scales[b], scales[blocks + b], terms[t][j]);
      }
    }
  }
}
#endif
