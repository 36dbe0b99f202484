// Arithmetic that gives the same bits on every device. The host puts this text behind common/prelude.cl.
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
// rounded to odd (Boldo and Melquiond, Emulation of a FMA, 2008). Small products are computed with the smaller
// factor scaled, as their errors would be subnormal; sums from 2^126 on, and subnormal ones, are rounded twice.
#define SUM_AND_ERROR(real, sum, error, x, y)                                                   \
  const real sum = x + y;                                                                       \
  const real error = (x - (sum - (sum - x))) + (y - (sum - x));

#define SPLIT_FUSED(real, natural, whole, as_real, as_natural)                                  \
  static inline real __attribute__((overloadable)) fused(real a, real b, real c)                \
  {                                                                                             \
    const real plain = a * b + c;                                                               \
    const whole is_small = (fabs(a * b) < (real)(0x1p-60f)) & (fabs(c) < (real)(0x1p+40f));     \
    const real up = is_small ? (real)(0x1p+64f) : (real)(1.0f);                                 \
    const whole a_is_less = fabs(a) < fabs(b);                                                  \
    a *= a_is_less ? up : (real)(1.0f);                                                         \
    b *= a_is_less ? (real)(1.0f) : up;                                                         \
    c *= up;                                                                                    \
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

// A float in a byte, and back: KVRange.Byte of Sources/Tensors.
static inline float byte_float(uint bits)
{
  const uint size = bits & 0x7Fu;
  return size == 0 ? 0.0f : as_float((bits & 0x80u) << 24 | ((size << 21) + (448u << 21)));
}
static inline uint float_byte(float number)
{
  const uint bits = as_uint(number);
  const int size = (int)(((bits & 0x7FFFFFFFu) + (1u << 20)) >> 21) - 448;
  return size <= 0 ? 0u : (bits >> 24 & 0x80u) | (uint)min(size, 127);
}
