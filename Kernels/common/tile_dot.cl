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
// Tiles are read side by side, block after block, each from front to back: memory hands out several streams faster
// than one. PREFETCH bytes are asked for ahead, shared by the streams; with ASKS_EARLY 1 each stream's come to the
// second cache from half as far, and near from an eighth. The next call goes on `apart` bytes behind the end of each
// tile.
//
// With d, m the scale and minimum of a block, s and n those of its groups, the steps are those of the
// reference: y = fma(d s scale, Σ q x, y), then y = fma(m n, sum, y); with two groups, whose sums are
// whole numbers, y = fma(d scale, s₀ Σ₀ q x + s₁ Σ₁ q x, y), then y = fma(m scale, n₀ Σ₀ x + n₁ Σ₁ x, y).
//
// Plain OpenCL C adds the products of a group as floats, which hold them exactly.

// Whether bytes are multiplied.
#define BYTES (VNNI || AVX2)
#ifndef PREFETCH
#define PREFETCH 8192
#endif
// Tiles that are read side by side for one row of x; where bytes are not multiplied four at once in a register,
// products take longer than memory.
#define STREAMS (VNNI ? 4 : 1)

// Bytes of a row of activations.
#define ROW_BYTES(inputs) ((size_t)(inputs) + (inputs) / BLOCK * 8)

// Products of AVX2 are 16 bits wide, so codes of more than 7 bits come as signed bytes, of which ZERO is off.
#if AVX2 && (HAS_CODEBOOK || LOW_BITS == 8)
#define SIGNED 1
#else
#define SIGNED 0
#endif

// Otherwise bytes of weights are unsigned, so ZERO Σ x of a group comes off their products.
#if BYTES && ZERO != 0 && !SIGNED
#define TAKES_ZERO 1
#define TERM_FACTOR (-ZERO)
#else
#define TAKES_ZERO 0
#define TERM_FACTOR 1
#endif

// Whether a block needs Σ x of its groups as whole numbers, for that or for minima of groups. Its terms
// are TERM_FACTOR Σ x.
#if TAKES_ZERO || GROUPS == 2 && HAS_MINIMUM
#define HAS_TERMS 1
#else
#define HAS_TERMS 0
#endif

// Words of four elements in a group.
#define WORDS (8 / GROUPS)

#if BYTES
#define DOT int16
#define DOT_FLOATS(dot) convert_float16(dot)
#else
#define DOT float16
#define DOT_FLOATS(dot) (dot)
#endif

#if VNNI
// Adds four products of an unsigned and a signed byte in each lane.
static inline int16 dot_bytes(int16 dot, uint16 codes, int16 x)
{
  __asm__("vpdpbusd %2, %1, %0" : "+v"(dot) : "v"(codes), "v"(x));
  return dot;
}

static inline float16 halves16(global const uchar *p)
{
  const ushort16 bits = vload16(0, (global const ushort *)p);
  float16 v;
  __asm__("vcvtph2ps %1, %0" : "=v"(v) : "v"(bits));
  return v;
}
#elif AVX2
// Sums of neighbouring products in 16 bits, of eight rows each. Those of ROOM words fit: two products of a
// word are at most 256 times the largest code.
#define CODE_BITS (LOW_BITS + HIGH_BITS)
#define ROOM (SIGNED ? 1 : CODE_BITS <= 4 ? WORDS : CODE_BITS == 5 ? 4 : 2)
typedef struct {
  short16 low, high;
} pair_sums;

static inline short16 eight_pairs(uint8 codes, int8 x)
{
  short16 pairs;
#if SIGNED
  // The sign of the weight moves to x.
  uint8 sizes;
  __asm__("vpsignb %1, %2, %0" : "=x"(x) : "x"(codes), "x"(x));
  __asm__("vpabsb %1, %0" : "=x"(sizes) : "x"(codes));
  codes = sizes;
#endif
  __asm__("vpmaddubsw %2, %1, %0" : "=x"(pairs) : "x"(codes), "x"(x));
  return pairs;
}

static inline pair_sums pairs_of(uint16 codes, int8 x)
{
  return (pair_sums){eight_pairs(codes.lo, x), eight_pairs(codes.hi, x)};
}

static inline pair_sums plus_pairs(pair_sums sums, uint16 codes, int8 x)
{
  return (pair_sums){sums.low + eight_pairs(codes.lo, x), sums.high + eight_pairs(codes.hi, x)};
}

static inline int16 add_pairs(int16 dot, pair_sums sums)
{
  int8 low, high;
  const short16 ones = (short16)(1);
  __asm__("vpmaddwd %1, %2, %0" : "=x"(low) : "x"(sums.low), "x"(ones));
  __asm__("vpmaddwd %1, %2, %0" : "=x"(high) : "x"(sums.high), "x"(ones));
  return (int16)(dot.lo + low, dot.hi + high);
}

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

#if BYTES
// Codes, or what a codebook has in their place; both with ZERO added, unless they are signed.
static inline uint16 dot_words(global const uchar *block, uint i)
{
  uint16 words = code_words(block, i);
#if HAS_CODEBOOK
  const uint4 book = (uint4)(CODEBOOK_0, CODEBOOK_1, CODEBOOK_2, CODEBOOK_3);
#if VNNI
  __asm__("vpshufb %1, %2, %0" : "=v"(words) : "v"(words), "v"((uint16)(book, book, book, book)));
#else
  uint8 low, high;
  __asm__("vpshufb %1, %2, %0" : "=x"(low) : "x"(words.lo), "x"((uint8)(book, book)));
  __asm__("vpshufb %1, %2, %0" : "=x"(high) : "x"(words.hi), "x"((uint8)(book, book)));
  words = (uint16)(low, high);
#endif
#endif
  return SIGNED ? words ^ 0x80808080u : words;
}
#endif

#if BYTES
// Four bytes of activations added in each lane.
static inline int16 sums_of_bytes(int16 x)
{
#if VNNI
  return dot_bytes((int16)(0), (uint16)(0x01010101u), x);
#else
  const uint8 ones = (uint8)(0x01010101u);
  const short16 pair = (short16)(1);
  short16 low, high;
  int8 a, b;
  __asm__("vpmaddubsw %2, %1, %0" : "=x"(low) : "x"(ones), "x"(x.lo));
  __asm__("vpmaddubsw %2, %1, %0" : "=x"(high) : "x"(ones), "x"(x.hi));
  __asm__("vpmaddwd %1, %2, %0" : "=x"(a) : "x"(low), "x"(pair));
  __asm__("vpmaddwd %1, %2, %0" : "=x"(b) : "x"(high), "x"(pair));
  return (int16)(a, b);
#endif
}
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

// What the products of a group start from.
static inline DOT dot_start(int term) { return (DOT)(TAKES_ZERO ? term : 0); }

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

// The terms of a block.
static inline void block_terms(int8 words, int *terms)
{
  int8 sums = (int8)(0);
#pragma unroll
  for (uint e = 0; e < 4; e++) sums += words << (24 - 8 * e) >> 24;
  sums *= TERM_FACTOR;
  const int4 pairs = (int4)(sums.lo.lo + sums.lo.hi, sums.hi.lo + sums.hi.hi);
  terms[0] = GROUPS == 2 ? pairs.x + pairs.y : pairs.x + pairs.y + pairs.z + pairs.w;
  terms[GROUPS - 1] = GROUPS == 2 ? pairs.z + pairs.w : terms[0];
}

// Adds the products of a group with one row, whose words are `four`.
#if AVX2
#define ADD_GROUP(dot, block, g, four)                                                          \
  _Pragma("unroll") for (uint i = (g) * WORDS; i < ((g) + 1) * WORDS; i += ROOM)                \
  {                                                                                             \
    pair_sums sums = pairs_of(dot_words(block, i), (int8)((four)[i]));                          \
    _Pragma("unroll") for (uint r = 1; r < ROOM; r++)                                           \
        sums = plus_pairs(sums, dot_words(block, i + r), (int8)((four)[i + r]));                \
    dot = add_pairs(dot, sums);                                                                 \
  }
#else
static inline DOT add_word(DOT dot, global const uchar *block, uint i, int four)
{
#if VNNI
  return dot_bytes(dot, dot_words(block, i), (int16)(four));
#else
  uint16 codes = code_words(block, i);
#pragma unroll
  for (uint e = 0; e < 4; e++, codes >>= 8u)
    dot = FUSED(integer16(codes), (float16)((float)(four << (24 - 8 * e) >> 24)), dot);
  return dot;
#endif
}
#define ADD_GROUP(dot, block, g, four)                                                          \
  _Pragma("unroll") for (uint i = (g) * WORDS; i < ((g) + 1) * WORDS; i++)                      \
      dot = add_word(dot, block, i, (four)[i]);
#endif

// Of a tile, with its share of the head.
#define BYTES_A_BLOCK (TILE_BLOCK_BYTES + HEAD_BYTES / TILE_BLOCKS)
#define EARLY (PREFETCH / 2)
#define SOON(count) (PREFETCH / (ASKS_EARLY ? 8 : (count)))
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
        int terms[GROUPS];                                                                      \
        if (HAS_TERMS) block_terms(vload8(b, words), terms);                                    \
        const uint left = (blocks - b) * BYTES_A_BLOCK, ahead = SOON(count);                    \
        const size_t soon = ahead + (left <= ahead ? apart : 0);                                \
        const size_t early = EARLY + (left <= EARLY ? apart : 0);                               \
        _Pragma("unroll") for (uint s = 0; s < count; s++)                                      \
        {                                                                                       \
          for (uint line = 0; line < BYTES_A_BLOCK; line += 64) {                               \
            ask_for(tile[s] + soon + line);                                                     \
            ask_early(tile[s] + early + line);                                                  \
          }                                                                                     \
          DOT dot[GROUPS];                                                                      \
          _Pragma("unroll") for (uint g = 0; g < GROUPS; g++)                                   \
          {                                                                                     \
            dot[g] = dot_start(HAS_TERMS ? terms[g] : 0);                                       \
            ADD_GROUP(dot[g], tile[s], g, words + 8 * b)                                        \
          }                                                                                     \
          const block_factors f = factors(d[s], m[s], head[s], j * GROUPS);                     \
          y[s] = add_block(y[s], &f, dot, scales[b], scales[blocks + b], terms);                \
          tile[s] += TILE_BLOCK_BYTES;                                                          \
        }                                                                                       \
      }                                                                                         \
    }                                                                                           \
  }
