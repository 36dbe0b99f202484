// What every kernel file may lean on. The host puts this text before each file when it builds a
// program, so a kernel file neither includes nor repeats it.
//
// Rules of all kernels: OpenCL C 1.2 without extensions, no double, no barrier, no local memory.
// A buffer comes as two arguments, a cl_mem and a byte offset, since many operands share one slab.
// Offsets are multiples of 128, but rows inside a buffer may lie anywhere: vectors are read by
// vload, which asks only for the alignment of an element.

// Storage formats, by their GGUF type ids.
#define F32 0
#define F16 1
#define Q4_1 3
#define Q8_0 8

// Elements of one block of a quantised format.
#define BLOCK 32

// Bytes of one block: Q4_1 is {half d, half m, 16 bytes of nibbles}, Q8_0 {half d, 32 chars}.
#define Q4_1_BYTES 20
#define Q8_0_BYTES 34

// Tokens of one key-value page.
#define PAGE 16

// --- Reductions over one vector -----------------------------------------------------------------

static inline float sum16(float16 v)
{
  float8 a = v.lo + v.hi;
  float4 b = a.lo + a.hi;
  float2 c = b.lo + b.hi;
  return c.x + c.y;
}

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

#define FUSED(a, b, c) fma(a, b, c)

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
PORTABLE_MATH(16, float16, uint16, as_float16, as_uint16)

static inline float reciprocal_square_root(float x)
{
  const float half_x = 0.5f * x;
  float r = as_float(0x5F375A86u - (as_uint(x) >> 1));
  for (int i = 0; i < 4; i++) r *= FUSED(-(half_x * r), r, 1.5f);
  return r;
}
