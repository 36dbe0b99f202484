// Numbers as a scale and whole numbers up to a limit: the rule of Sources/Tensors/WholeNumbers.swift. The host puts this
// text before common/page_writes.cl and common/attention.cl where keys and values are I16.
//
// A page of such, of one head; two codes that are summed together share a word, the first in its lower half:
//
//   keys      scales f32 [16 tokens] | codes i16 [width / 2][16 tokens][2]
//   values    scales f32 [16 tokens] | codes i16 [8][width][2], of tokens 2 i and 2 i + 1

#define KEY_LIMIT 32767.0f
#define KEY_STEP 0x1.0002p-15f // 1 / KEY_LIMIT
#define VALUE_LIMIT 4095.0f
#define VALUE_STEP 0x1.001002p-12f
#define WEIGHT_STEP 0x1.0008p-13f // of weights up to 8191
// A query's codes add up to so much at most, less their count.
#define QUERY_TOTAL 65535

// The scale where numbers are so large at most; what is not a number or nearly nothing has none.
static inline float whole_scale(float most, float step)
{
  const float scale = (most > 1e30f ? 1e30f : most) * step;
  return scale < 1e-30f ? 0.0f : scale;
}
// The largest of numbers, whatever a lane has that is none.
static inline float greatest16(float16 v)
{
  const float8 a = LARGER(v.lo, v.hi);
  const float4 b = LARGER(a.lo, a.hi);
  const float2 c = LARGER(b.lo, b.hi);
  return LARGER(c.x, c.y);
}
static inline float inverse_scale(float scale) { return scale == 0.0f ? 0.0f : reciprocal1(scale); }

// Codes of 16 numbers, two in a word.
static inline int8 whole_codes(float16 x, float inverse, float limit)
{
  float16 code = x * inverse;
  code = code > (float16)(limit) ? (float16)(limit) : code;
  code = code < (float16)(-limit) ? (float16)(-limit) : code;
  return as_int8(
      convert_short16(select((int16)(0), as_int16(code + ROUNDER) - 0x4B400000, code == code)));
}

// Each lane += two codes of a times two of b. Sums that mean something stay within 32 bits.
static inline int16 dot_pairs(int16 sum, int16 a, int16 b)
{
#if VNNI
  __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
  return sum;
#elif AVX2
  int8 low, high;
  __asm__("vpmaddwd %2, %1, %0" : "=x"(low) : "x"(a.lo), "x"(b.lo));
  __asm__("vpmaddwd %2, %1, %0" : "=x"(high) : "x"(a.hi), "x"(b.hi));
  return sum + (int16)(low, high);
#else
  return sum + (a << 16 >> 16) * (b << 16 >> 16) + (a >> 16) * (b >> 16);
#endif
}

// exp(x) for x <= 0, within 4e-6 of it: PortableMath.coarseExponential.
static inline float16 coarse_exponential16(float16 x)
{
  x = x < (float16)(-86.0f) ? (float16)(-86.0f) : x;
  const float16 shifted = FUSED(x, (float16)(1.44269504f), (float16)(ROUNDER));
  const float16 r = FUSED(x, (float16)(1.44269504f), -(shifted - ROUNDER));
  float16 p = (float16)(0x1.3a02ccp-7f);
  p = FUSED(p, r, (float16)(0x1.c9fc46p-5f));
  p = FUSED(p, r, (float16)(0x1.ec0378p-3f));
  p = FUSED(p, r, (float16)(0x1.62e12cp-1f));
  p = FUSED(p, r, (float16)(1.0f));
  return as_float16(as_uint16(p) + (as_uint16(shifted) << 23u));
}
