// Products of a group of codes with int8 activations, in one of three ways: with VNNI 1 or AVX2 1 of bytes, else of
// floats. What tile_dot.cl and many_rows.cl do with each group; the host puts this text before those.
//
//   ROW_OF_BLOCK(row, global, words, b)   row: block b of a row of activations, as ADD_GROUP takes it
//   DOT dot = dot_start(term);            16 sums of a group, of 16 rows of W; the term is TERM_FACTOR Σ x of the group
//   ADD_GROUP(dot, tile, g, row)          adds the products of group g
//   DOT_FLOATS(dot)                       as numbers
//
// Plain OpenCL C has codes in floats, which takes a step less than whole numbers do:
//
//   0x3F800000 │ code << CODE_PLACE   the bits of 1 + code / CODE_ONE
//
// is (code - ZERO) / CODE_ONE and ASIDE. ASIDE comes off each code where many rows of x share it, and ASIDE Σ x off the
// sums where a row of x meets many tiles. Nothing is rounded: sums stay below 2¹⁴, and are multiples of 1 / CODE_ONE.

// Whether bytes are multiplied.
#define BYTES (VNNI || AVX2)

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
// are TERM_FACTOR Σ x. Sums of floats that begin with ASIDE need them besides.
#if TAKES_ZERO || GROUPS == 2 && HAS_MINIMUM
#define HAS_TERMS 1
#else
#define HAS_TERMS 0
#endif

// Words of four elements in a group.
#define WORDS (8 / GROUPS)
#define CODE_BITS (LOW_BITS + HIGH_BITS)

#if BYTES
#define DOT int16
#define DOT_FLOATS(dot) convert_float16(dot)
#else
#define DOT float16
#define CODE_PLACE (HAS_CODEBOOK || CODE_BITS == 8 ? 15 : 16)
#define CODE_ONE (1 << (23 - CODE_PLACE))
#define ASIDE (1.0f + (float)ZERO / CODE_ONE)
#define DOT_FLOATS(dot) ((dot) * (float)CODE_ONE)
#endif

#if VNNI
// Adds four products of an unsigned and a signed byte in each lane.
static inline int16 dot_bytes(int16 dot, uint16 codes, int16 x)
{
  __asm__("vpdpbusd %2, %1, %0" : "+v"(dot) : "v"(codes), "v"(x));
  return dot;
}
#elif AVX2
// Sums of neighbouring products in 16 bits, of eight rows each. Those of ROOM words fit: two products of a
// word are at most 256 times the largest code.
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

// What the products of a group with one row start from.
static inline DOT dot_start(int term)
{
#if BYTES
  return (DOT)(TAKES_ZERO ? term : 0);
#else
  return (DOT)(-ASIDE * (float)term);
#endif
}

#if !BYTES
// a × b + c where nothing is rounded.
#define EXACT(a, b, c) (SPLITS_FMA ? (a) * (b) + (c) : fma(a, b, c))
// Words that a vector of the low plane holds of a group, and word `layer` of vector v of group g.
#define LAYERS (WORDS > LOW_BITS ? WORDS / LOW_BITS : 1)
#define WORD_OF(g, layer, v) ((g) * WORDS + (layer) * LOW_BITS + (v))

// The bytes of a block as floats: element 4 i + e comes to 8 e + i.
static inline void block_floats(int8 words, float *x)
{
#pragma unroll
  for (uint e = 0; e < 4; e++) vstore8(convert_float8(words << (24 - 8 * e) >> 24), e, x);
}

// 1 + code / CODE_ONE of 16 rows, of the codes that begin at a bit of each word.
static inline float16 floats_at(uint16 words, uint bit, uint bits)
{
  words = bit > CODE_PLACE ? words >> (bit - CODE_PLACE) : words << (CODE_PLACE - bit);
  return as_float16(words & (((1u << bits) - 1) << CODE_PLACE) | 0x3F800000u);
}

// The same of elements 4 i + e, from the words of i, or those of the low plane where there is no other.
static inline float16 code_floats(uint16 words, uint i, uint e)
{
#if HAS_CODEBOOK
  return floats_at(BYTE_OF(uint16, (words >> 8 * e)), 0, 8);
#else
  return floats_at(words, 8 * e + (HIGH_BITS ? 0 : i / LOW_BITS * LOW_BITS), CODE_BITS);
#endif
}

static inline uint16 float_words(global const uchar *block, uint i)
{
  return HAS_CODEBOOK || HIGH_BITS ? code_words(block, i)
                                   : vload16(i % LOW_BITS, (global const uint *)block);
}

// Adds the products of a group with one row. Words are taken in a loop, so that numbers of x wait in memory, from
// where a multiplication takes them at no cost; out of a register it would have to bring each to all lanes.
static inline DOT add_floats(DOT dot, global const uchar *block, uint g, const float *x)
{
  DOT sums[4] = {dot, (DOT)(0.0f), (DOT)(0.0f), (DOT)(0.0f)};
#pragma unroll 1
  for (uint v = 0; v < WORDS / LAYERS; v++) {
#pragma unroll
    for (uint layer = 0; layer < LAYERS; layer++) {
      const uint i = WORD_OF(g, layer, v);
      const uint16 words = float_words(block, i);
#pragma unroll
      for (uint e = 0; e < 4; e++)
        sums[e] = EXACT(code_floats(words, i, e), (float16)(x[8 * e + i]), sums[e]);
    }
  }
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}
#endif

// What a block of a row is to ADD_GROUP, which adds the products of a group with it.
#if BYTES
#define ROW_OF_BLOCK(row, space, words, b) space const int *row = words + 8 * b;
#else
#define ROW_OF_BLOCK(row, space, words, b)                                                      \
  float row[BLOCK];                                                                             \
  block_floats(vload8(b, words), row);
#endif
#if AVX2
#define ADD_GROUP(dot, block, g, four)                                                          \
  _Pragma("unroll") for (uint i = (g) * WORDS; i < ((g) + 1) * WORDS; i += ROOM)                \
  {                                                                                             \
    pair_sums sums = pairs_of(dot_words(block, i), (int8)((four)[i]));                          \
    _Pragma("unroll") for (uint r = 1; r < ROOM; r++)                                           \
        sums = plus_pairs(sums, dot_words(block, i + r), (int8)((four)[i + r]));                \
    dot = add_pairs(dot, sums);                                                                 \
  }
#elif VNNI
#define ADD_GROUP(dot, block, g, four)                                                          \
  _Pragma("unroll") for (uint i = (g) * WORDS; i < ((g) + 1) * WORDS; i++)                      \
      dot = dot_bytes(dot, dot_words(block, i), (int16)((four)[i]));
#else
#define ADD_GROUP(dot, block, g, floats) dot = add_floats(dot, block, g, floats);
#endif
