// Integer dot products of tiles with rows of int8 activations: what linear layers share with kernels
// that are fused from them. The host puts this text after the prelude where a program asks for it.
//
//   x, a row   K chars │ K/32 scales, f32 │ K/32 sums, f32
//
// TILES_DOT defines a function for rows that lie in one address space, and so many tiles at a time:
//
//   TILES_DOT(dots_global, global, STREAMS)
//   …
//   dots_global(tiles, x, inputs, apart, y);
//
// adds 16 rows of W of each tile times x to y, which starts as the bias, or zeros, and leaves `tiles` behind them.
// Tiles are read side by side, block after block, each from front to back. PREFETCH bytes are asked for ahead, shared by
// the streams; with INTEL_CORES 1 each stream's come to the second cache from half as far, and near from an eighth. The
// next call goes on `apart` bytes behind the end of each tile.
//
// With d, m the scale and minimum of a block, s and n those of its groups, the steps are those of the
// reference: y = fma(d s scale, Σ q x, y), then y = fma(m n, sum, y); with two groups, whose sums are
// whole numbers, y = fma(d scale, s₀ Σ₀ q x + s₁ Σ₁ q x, y), then y = fma(m scale, n₀ Σ₀ x + n₁ Σ₁ x, y).

#ifndef PREFETCH
#define PREFETCH 8192
#endif
// Tiles that are read side by side for one row of x. With VNNI other cores than Intel's are faster from one place, while
// plain code and AVX2 gain from four on either maker's.
#define STREAMS (VNNI && !INTEL_CORES ? 1 : 4)

// Bytes of a row of activations.
#define ROW_BYTES(inputs) ((size_t)(inputs) + (inputs) / BLOCK * 8)

// 16 numbers of f16.
#if VNNI
static inline float16 halves16(global const uchar *p)
{
  const ushort16 bits = vload16(0, (global const ushort *)p);
  float16 v;
  __asm__("vcvtph2ps %1, %0" : "=v"(v) : "v"(bits));
  return v;
}
#elif AVX2
static inline float16 halves16(global const uchar *p)
{
  float8 low, high;
  __asm__("vcvtph2ps %1, %0" : "=x"(low) : "x"(vload8(0, (global const ushort *)p)));
  __asm__("vcvtph2ps %1, %0" : "=x"(high) : "x"(vload8(1, (global const ushort *)p)));
  return (float16)(low, high);
}
#else
static inline float16 halves16(global const uchar *p) { return vload_half16(0, (global const half *)p); }
#endif

// d and m of a tile, from its head.
static inline float16 tile_scales(global const uchar *head)
{
#if POWER_SCALE
  return head_scales(head);
#else
  return halves16(head);
#endif
}

static inline float16 tile_minima(global const uchar *head)
{
  return HAS_MINIMUM ? halves16(head + MINIMUM_OFFSET) : (float16)(0.0f);
}

// What a block of a tile is multiplied by: d s and m n; with two groups d and m, and s and n of each.
typedef struct {
  float16 scale, minimum;
#if GROUPS == 2
  float16 s[2], n[2];
#endif
} block_factors;

// Those of the block whose first group is `group`.
static inline block_factors factors(float16 d, float16 m, global const uchar *head, uint group)
{
  block_factors f;
#if GROUPS == 1
  f.scale = HAS_GROUP_SCALES ? d * group_scales(head, group) : d;
  f.minimum = HAS_GROUP_MINIMA ? m * group_minima(head, group) : m;
#else
  f.scale = d;
  f.minimum = m;
  f.s[0] = group_scales(head, group);
  f.s[1] = group_scales(head, group + 1);
  f.n[0] = group_minima(head, group);
  f.n[1] = group_minima(head, group + 1);
#endif
  return f;
}

// y with a block added, from the products of its groups.
static inline float16 add_block(
    float16 y, const block_factors *f, const DOT *dot, float scale, float sum, const int *terms)
{
#if GROUPS == 1
  y = FUSED(f->scale * scale, DOT_FLOATS(dot[0]), y);
  return HAS_MINIMUM ? FUSED(f->minimum, (float16)(sum), y) : y;
#else
  const float16 products = FUSED(f->s[0], DOT_FLOATS(dot[0]), f->s[1] * DOT_FLOATS(dot[1]));
  y = FUSED(f->scale * scale, products, y);
#if HAS_MINIMUM
  const float16 minima = FUSED(f->n[0], (float16)((float)terms[0]), f->n[1] * (float)terms[1]);
  y = FUSED(f->minimum * scale, minima, y);
#endif
  return y;
#endif
}

// Of a tile, with its share of the head.
#define BYTES_A_BLOCK (TILE_BLOCK_BYTES + HEAD_BYTES / TILE_BLOCKS)
#define EARLY (PREFETCH / 2)
#define SOON(count) (PREFETCH / (INTEL_CORES ? 8 : (count)))
#define TILES_DOT(name, space, count)                                                           \
  static inline void name(                                                                      \
      global const uchar **tile, space const uchar *x, uint inputs, size_t apart, float16 *y)   \
  {                                                                                             \
    const uint blocks = inputs / BLOCK;                                                         \
    space const int *words = (space const int *)x;                                              \
    space const float *scales = (space const float *)(x + inputs);                              \
    for (uint b = 0; b < blocks;) {                                                             \
      global const uchar *head[count];                                                          \
      float16 d[count], m[count];                                                               \
      _Pragma("unroll") for (uint s = 0; s < count; s++)                                        \
      {                                                                                         \
        head[s] = tile[s];                                                                      \
        d[s] = tile_scales(head[s]);                                                            \
        m[s] = tile_minima(head[s]);                                                            \
        tile[s] += HEAD_BYTES;                                                                  \
      }                                                                                         \
      for (uint j = 0; j < TILE_BLOCKS; j++, b++) {                                             \
        int terms[GROUPS] = {0};                                                                \
        if (HAS_TERMS || !BYTES) block_terms(vload8(b, words), terms);                          \
        ROW_OF_BLOCK(row, space, words, b)                                                      \
        const uint left = (blocks - b) * BYTES_A_BLOCK, ahead = SOON(count);                    \
        const size_t soon = ahead + (left <= ahead ? apart : 0);                                \
        const size_t early = EARLY + (left <= EARLY ? apart : 0);                               \
        _Pragma("unroll") for (uint s = 0; s < count; s++)                                      \
        {                                                                                       \
          for (uint line = 0; line < BYTES_A_BLOCK; line += 64) {                               \
            ask_for(tile[s] + soon + line);                                                     \
            if (INTEL_CORES) ask_early(tile[s] + early + line);                                 \
          }                                                                                     \
          DOT dot[GROUPS];                                                                      \
          _Pragma("unroll") for (uint g = 0; g < GROUPS; g++)                                   \
          {                                                                                     \
            dot[g] = dot_start(terms[g]);                                                       \
            ADD_GROUP(dot[g], tile[s], g, row)                                                  \
          }                                                                                     \
          const block_factors f = factors(d[s], m[s], head[s], j * GROUPS);                     \
          y[s] = add_block(y[s], &f, dot, scales[b], scales[blocks + b], terms);                \
          tile[s] += TILE_BLOCK_BYTES;                                                          \
        }                                                                                       \
      }                                                                                         \
    }                                                                                           \
  }
