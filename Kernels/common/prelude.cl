// What every kernel file may lean on. The host puts this text before each file when it builds a
// program, so a kernel file neither includes nor repeats it.
//
// Rules of all kernels: OpenCL C 1.2 without extensions, no double, no barrier, no local memory.
// A buffer comes as two arguments, a cl_mem and a byte offset, since many operands share one slab.
// Offsets are multiples of 128, but rows inside a buffer may lie anywhere: vectors are read by
// vload, which asks only for the alignment of an element.

// Types of floats, by their GGUF ids.
#define F32 0
#define F16 1
#define BF16 30
// A number of the last is the upper half of a float.
#define OF_UPPER_HALF(bits) as_float((uint)(bits) << 16)
#define OF_UPPER_HALF16(bits) as_float16(convert_uint16(bits) << 16u)
// Codes of 8 and of 4 bits, which keys and values may be.
#define Q8 108
#define Q4 104
// Whether keys and values are: what ELEMENT says in programs that read or write pages.
#define HAS_CODES (ELEMENT == Q8 || ELEMENT == Q4)

// Elements that share a scale of int8 activations.
#define BLOCK 32

// Tokens of one key-value page.
#define PAGE 16

// --- Tiles of quantised weights -------------------------------------------------------------------
//
// Every quantised format lies in device memory as one stream of tiles of 16 rows, which
// Sources/OpenCLBackend/ResidentLayout.swift writes; the host describes the format by the defines
// below. A lane is a row.
//
//   tile of 16 rows   head │ block of 32 │ block of 32 │ …   as long as a block of the format, then the
//                     next head: BLOCK_LENGTH elements in all
//   head              16 d │ 16 m │ s of 4 groups │ of the next 4 │ … │ n of 4 groups │ …
//                     d: f16, or a byte e that stands for 2^(e - 128); m: f16
//                     s, n of 4 groups: a word for each row with a byte for each group, s signed
//   block of 32       low bits │ high bits
//   plane of p bits   p vectors of 64 bytes: a word for each row. Bits f p … f p + p - 1 of byte e of
//                     vector v belong to element 4 (f p + v) + e
//
// Formats that lack m, s, n or high bits leave them out.
// An element is d s × integer + m n, where the integer is code - ZERO, or a byte of the codebook.

#ifndef BLOCK_LENGTH
#define BLOCK_LENGTH 256
#endif
// Bits of a code in either plane: 2, 4 or 8, and 0, 1 or 2.
#ifndef LOW_BITS
#define LOW_BITS 4
#endif
#ifndef HIGH_BITS
#define HIGH_BITS 1
#endif
#ifndef ZERO
#define ZERO 0
#endif
// Sixteen bytes, the first in the low byte of the first word, each with ZERO added.
#ifndef HAS_CODEBOOK
#define HAS_CODEBOOK 0
#endif
#ifndef CODEBOOK_0
#define CODEBOOK_0 0
#endif
#ifndef CODEBOOK_1
#define CODEBOOK_1 0
#endif
#ifndef CODEBOOK_2
#define CODEBOOK_2 0
#endif
#ifndef CODEBOOK_3
#define CODEBOOK_3 0
#endif
// Whether d is a power of two, and what there is beside it.
#ifndef POWER_SCALE
#define POWER_SCALE 0
#endif
#ifndef HAS_MINIMUM
#define HAS_MINIMUM 1
#endif
// Groups in a block of 32, 1 or 2, and whether they have s and n of their own.
#ifndef GROUPS
#define GROUPS 1
#endif
#ifndef HAS_GROUP_SCALES
#define HAS_GROUP_SCALES 1
#endif
#ifndef HAS_GROUP_MINIMA
#define HAS_GROUP_MINIMA 1
#endif

#define TILE_BLOCKS (BLOCK_LENGTH / BLOCK)
#define MINIMUM_OFFSET (POWER_SCALE ? 16 : 32)
#define SCALES_OFFSET (MINIMUM_OFFSET + 32 * HAS_MINIMUM)
#define MINIMA_OFFSET (SCALES_OFFSET + 16 * TILE_BLOCKS * GROUPS * HAS_GROUP_SCALES)
#define HEAD_BYTES (MINIMA_OFFSET + 16 * TILE_BLOCKS * GROUPS * HAS_GROUP_MINIMA)
#define TILE_BLOCK_BYTES (64 * (LOW_BITS + HIGH_BITS))
#define TILE_BYTES(width) \
  ((size_t)(width) / BLOCK_LENGTH * (HEAD_BYTES + TILE_BLOCKS * TILE_BLOCK_BYTES))

// The whole number that a code in the low byte of a word stands for, and 2^(e - 128), which is
// subnormal for the two smallest e: a device may take those for zero. A float whose bits are
// 0x4B000000 + n is 2^23 + n.
#if HAS_CODEBOOK
#define BYTE_OF(natural, code)                                                                  \
  (((code & (natural)(8u)) == (natural)(0u)                                                     \
        ? ((code & (natural)(4u)) == (natural)(0u) ? (natural)((uint)CODEBOOK_0)                \
                                                   : (natural)((uint)CODEBOOK_1))               \
        : ((code & (natural)(4u)) == (natural)(0u) ? (natural)((uint)CODEBOOK_2)                \
                                                   : (natural)((uint)CODEBOOK_3)))              \
      >> ((code & (natural)(3u)) << (natural)(3u)))
#else
#define BYTE_OF(natural, code) code
#endif

#define TILE_NUMBERS(suffix, real, natural, as_real)                                            \
  static inline real integer##suffix(natural code)                                              \
  {                                                                                             \
    const natural byte = BYTE_OF(natural, code) & (natural)(255u);                              \
    return as_real(byte | (natural)(0x4B000000u)) - (real)(8388608.0f + ZERO);                  \
  }                                                                                             \
  static inline real power_of_two##suffix(natural e)                                            \
  {                                                                                             \
    return as_real(                                                                             \
        e < (natural)(2u) ? (natural)(0x00200000u) << e : (e - (natural)(1u)) << (natural)(23u)); \
  }

TILE_NUMBERS(1, float, uint, as_float)
TILE_NUMBERS(16, float16, uint16, as_float16)

// What a plane holds of elements 4 i … 4 i + 3 of 16 rows: a word for each row, a byte for each
// element.
static inline uint16 plane_words(global const uchar *plane, uint bits, uint i)
{
  return vload16(i % bits, (global const uint *)plane) >> (i / bits * bits)
      & (0x01010101u * ((1u << bits) - 1));
}

// The codes of those elements.
static inline uint16 code_words(global const uchar *block, uint i)
{
  uint16 words = plane_words(block, LOW_BITS, i);
#if HIGH_BITS
  words |= plane_words(block + 64 * LOW_BITS, HIGH_BITS, i) << LOW_BITS;
#endif
  return words;
}

// d of 16 rows, and m.
static inline float16 head_scales(global const uchar *head)
{
#if POWER_SCALE
  return power_of_two16(convert_uint16(vload16(0, head)));
#else
  return vload_half16(0, (global const half *)head);
#endif
}

static inline float16 head_minima(global const uchar *head)
{
  return HAS_MINIMUM ? vload_half16(0, (global const half *)(head + MINIMUM_OFFSET))
                     : (float16)(0.0f);
}

// s and n of a group of 16 rows; 1 where groups have none of their own.
static inline float16 group_scales(global const uchar *head, uint group)
{
  if (!HAS_GROUP_SCALES) return (float16)(1.0f);
  const int16 words = vload16(group / 4, (global const int *)(head + SCALES_OFFSET));
  return convert_float16(words << (24 - group % 4 * 8) >> 24);
}

static inline float16 group_minima(global const uchar *head, uint group)
{
  if (!HAS_GROUP_MINIMA) return (float16)(1.0f);
  const uint16 words = vload16(group / 4, (global const uint *)(head + MINIMA_OFFSET));
  return convert_float16(words >> (group % 4 * 8) & 255u);
}

// --- Reductions over one vector -----------------------------------------------------------------

static inline float sum4(float4 v)
{
  float2 a = v.lo + v.hi;
  return a.x + a.y;
}

static inline float sum16(float16 v)
{
  float8 a = v.lo + v.hi;
  return sum4(a.lo + a.hi);
}

// The larger; b where either is no number.
#define LARGER(a, b) ((a) > (b) ? (a) : (b))

static inline float max16(float16 v)
{
  float8 a = fmax(v.lo, v.hi);
  float4 b = fmax(a.lo, a.hi);
  float2 c = fmax(b.lo, b.hi);
  return fmax(c.x, c.y);
}

// --- Arithmetic that gives the same bits on every device ------------------------------------------
//
// The steps of Sources/Tensors/PortableMath.swift, in +, -, *, fused multiply-add and integers only:
// OpenCL lets a driver's division, sqrt, exp, sin and cos differ, these it defines to the last bit.
// Nothing is fused unless it says so.

#pragma OPENCL FP_CONTRACT OFF

// a × b + c, rounded once.
#ifndef SPLITS_FMA
#define SPLITS_FMA 0
#endif
#if SPLITS_FMA
// Of float operations, for drivers that build fma from whole numbers of 64 bits, with branches, for each
// number of a vector: the product and its error (Dekker), two exact sums (Knuth), and what they leave
// rounded to odd (Boldo and Melquiond, Emulation of a FMA, 2008). Small products are computed scaled, as
// their errors would be subnormal; what overflows is rounded twice.
#define SUM_AND_ERROR(real, sum, error, x, y)                                                   \
  const real sum = x + y;                                                                       \
  const real error = (x - (sum - (sum - x))) + (y - (sum - x));

#define SPLIT_FUSED(real, natural, whole, as_real, as_natural)                                  \
  static inline real __attribute__((overloadable)) fused(real a, real b, real c)                \
  {                                                                                             \
    const real plain = a * b + c;                                                               \
    const whole is_small = (fabs(a * b) < (real)(0x1p-60f)) & (fabs(c) < (real)(0x1p+40f));     \
    a *= is_small ? (real)(0x1p+64f) : (real)(1.0f);                                            \
    c *= is_small ? (real)(0x1p+64f) : (real)(1.0f);                                            \
    const real product = a * b;                                                                 \
    const real high_a = as_real(as_natural(a) & (natural)(0xFFFFF000u)), low_a = a - high_a;    \
    const real high_b = as_real(as_natural(b) & (natural)(0xFFFFF000u)), low_b = b - high_b;    \
    const real lost =                                                                           \
        ((high_a * high_b - product) + high_a * low_b + low_a * high_b) + low_a * low_b;        \
    SUM_AND_ERROR(real, inner, inner_error, c, lost)                                            \
    SUM_AND_ERROR(real, outer, outer_error, product, inner)                                     \
    SUM_AND_ERROR(real, rest, rest_error, inner_error, outer_error)                             \
    const natural bits = as_natural(rest);                                                      \
    const natural outward = as_natural(rest_error) ^ bits;                                      \
    const natural odd = (bits & (natural)(1u)) == (natural)(1u) ? bits                          \
        : (outward >> (natural)(31u)) == (natural)(0u) ? bits + (natural)(1u)                   \
                                                       : bits - (natural)(1u);                  \
    const real once = (outer + (rest_error == (real)(0.0f) ? rest : as_real(odd)))              \
        * (is_small ? (real)(0x1p-64f) : (real)(1.0f));                                         \
    return ((product != (real)(0.0f)) & (fabs(plain) < (real)(0x1p+126f))) ? once : plain;      \
  }

SPLIT_FUSED(float, uint, int, as_float, as_uint)
SPLIT_FUSED(float4, uint4, int4, as_float4, as_uint4)
SPLIT_FUSED(float8, uint8, int8, as_float8, as_uint8)
SPLIT_FUSED(float16, uint16, int16, as_float16, as_uint16)
#define FUSED(a, b, c) fused(a, b, c)
#else
#define FUSED(a, b, c) fma(a, b, c)
#endif

// 1.5 * 2^23 rounds what is added to it to an integer, ties to even, and keeps it in the low bits.
#define ROUNDER 12582912.0f

#define PORTABLE_MATH(suffix, real, natural, as_real, as_natural)                               \
  static inline real exponential##suffix(real x)                                                \
  {                                                                                             \
    x = x < (real)(-86.0f) ? (real)(-86.0f) : x;                                                \
    x = x > (real)(88.0f) ? (real)(88.0f) : x;                                                  \
    const real shifted = FUSED(x, (real)(1.44269504f), (real)(ROUNDER));                        \
    const real n = shifted - ROUNDER;                                                           \
    const real r =                                                                              \
        FUSED(n, (real)(2.12194440e-4f), FUSED(n, (real)(-0.693359375f), x));                   \
    real p = (real)(1.98756915e-4f);                                                            \
    p = FUSED(p, r, (real)(1.3981999507e-3f));                                                  \
    p = FUSED(p, r, (real)(8.3334519073e-3f));                                                  \
    p = FUSED(p, r, (real)(4.1665795894e-2f));                                                  \
    p = FUSED(p, r, (real)(1.6666665459e-1f));                                                  \
    p = FUSED(p, r, (real)(5.0000001201e-1f));                                                  \
    p = FUSED(p, r * r, r) + 1.0f;                                                              \
    return p * as_real((as_natural(shifted) << (natural)(23)) + (natural)(127u << 23));         \
  }                                                                                             \
  static inline real reciprocal##suffix(real x)                                                 \
  {                                                                                             \
    real r = as_real((natural)(0x7EF311C7u) - as_natural(x));                                   \
    r = FUSED(r, FUSED(-x, r, (real)(1.0f)), r);                                                \
    r = FUSED(r, FUSED(-x, r, (real)(1.0f)), r);                                                \
    r = FUSED(r, FUSED(-x, r, (real)(1.0f)), r);                                                \
    return FUSED(r, FUSED(-x, r, (real)(1.0f)), r);                                             \
  }                                                                                             \
  static inline void sine_cosine##suffix(real x, real *sine, real *cosine)                      \
  {                                                                                             \
    const real shifted = FUSED(x, (real)(0.636619772f), (real)(ROUNDER));                       \
    const real quarters = shifted - ROUNDER;                                                    \
    real r = FUSED(quarters, (real)(-1.57079637f), x);                                          \
    r = FUSED(quarters, (real)(4.3711390e-8f), r);                                              \
    r = FUSED(quarters, (real)(1.7151245e-15f), r);                                             \
    const real z = r * r;                                                                       \
    const real odd = FUSED(                                                                     \
        FUSED((real)(-1.9515295891e-4f), z, (real)(8.3321608736e-3f)), z,                       \
        (real)(-1.6666654611e-1f));                                                             \
    const real even = FUSED(                                                                    \
        FUSED((real)(2.443315712e-5f), z, (real)(-1.388731625e-3f)), z, (real)(4.166664568e-2f)); \
    const real s = FUSED(odd * z, r, r);                                                        \
    const real c = FUSED(even, z * z, FUSED((real)(-0.5f), z, (real)(1.0f)));                   \
    const natural quarter = as_natural(shifted);                                                \
    const real half_turn = (quarter & (natural)(1u)) == (natural)(0u) ? s : c;                  \
    const real other = (quarter & (natural)(1u)) == (natural)(0u) ? c : s;                      \
    *sine = (quarter & (natural)(2u)) == (natural)(0u) ? half_turn : -half_turn;                \
    *cosine = ((quarter + (natural)(1u)) & (natural)(2u)) == (natural)(0u) ? other : -other;    \
  }

PORTABLE_MATH(1, float, uint, as_float, as_uint)
PORTABLE_MATH(4, float4, uint4, as_float4, as_uint4)
PORTABLE_MATH(8, float8, uint8, as_float8, as_uint8)
PORTABLE_MATH(16, float16, uint16, as_float16, as_uint16)

static inline float reciprocal_square_root(float x)
{
  const float half_x = 0.5f * x;
  float r = as_float(0x5F375A86u - (as_uint(x) >> 1));
  for (int i = 0; i < 4; i++) r *= FUSED(-(half_x * r), r, 1.5f);
  return r;
}

// --- Steps that several kernels share -------------------------------------------------------------

// 1 / sqrt(mean(x²) + ε) of a row. Number i is added to lane i mod 16.
static inline float norm_scale(global const float *x, uint width, float epsilon)
{
  float16 squares = (float16)(0.0f);
  uint k = 0;
  for (; k + 16 <= width; k += 16) {
    const float16 v = vload16(0, x + k);
    squares = FUSED(v, v, squares);
  }
  float rest[16];
  for (uint j = 0; j < 16; j++) rest[j] = k + j < width ? x[k + j] : 0.0f;
  const float16 v = vload16(0, rest);
  squares = FUSED(v, v, squares);
  return reciprocal_square_root(sum16(squares) * reciprocal1((float)width) + epsilon);
}

// activation(g) = g / (1 + exp(-z)); the exponential is taken of -|z| only, which cannot overflow.
//
//   SILU   z = g
//   GELU   z = 2 √(2 / π) (g + 0.044715 g³)
#define SILU 0
#define GELU 1
#ifndef ACTIVATION
#define ACTIVATION SILU
#endif

#if ACTIVATION == SILU
#define GATE_ARGUMENT(real, g) (g)
#else
#define GATE_ARGUMENT(real, g) (FUSED((g) * (g) * 0.044715f, (g), (g)) * (real)(1.59576912f))
#endif

static inline float16 activation16(float16 g)
{
  const float16 z = GATE_ARGUMENT(float16, g);
  const float16 e = exponential16(-fabs(z));
  return (z >= 0.0f ? g : g * e) * reciprocal16(1.0f + e);
}

static inline float activation1(float g)
{
  const float z = GATE_ARGUMENT(float, g);
  const float e = exponential1(-fabs(z));
  return (z >= 0.0f ? g : g * e) * reciprocal1(1.0f + e);
}
