// Vectors of LANES floats, and what can be said of them without an instruction set.
//
// A level defines LANES (8 or 16) and HAS_FMA (whether `fused` is an instruction), the shapes of its register
// tiles, and includes this under its target attribute; it then adds
//
//   widen       LANES halves in memory -> vf
//   narrow      vf -> LANES halves in memory
//   dot2        int32 lane += two int16 of a times two of b
//   dot4        int32 lane += four bytes of w times four signed bytes of x
//   pairs_of    sums of two such products in 16 bits, where HAS_PAIRS is 1; add_pairs adds them to int32 lanes
//   look_up     bytes below 16 -> the bytes of that index in a table
#include <stddef.h>
#include <stdint.h>

// Results are defined to the last bit: the compiler fuses nothing by itself. Only the products of
// float rows, which may be summed in any way, allow it again.
#pragma clang fp contract(off)

#define INLINE static inline __attribute__((always_inline))
#define VECTOR(type, count) type __attribute__((ext_vector_type(count)))

typedef VECTOR(float, LANES) vf;
typedef VECTOR(int32_t, LANES) vi;
typedef VECTOR(uint32_t, LANES) vu;
typedef VECTOR(uint16_t, LANES) vh;
typedef VECTOR(int8_t, LANES) vc;
typedef VECTOR(uint8_t, LANES) vo;
typedef VECTOR(uint8_t, LANES * 4) vb; // the bytes of LANES / 8 blocks of 32
typedef VECTOR(uint8_t, 16) b16;

// Blocks of 32 bytes in a vector.
enum { PAIR = LANES / 8 };

// Loads and stores of any address and of any dynamic type.
#define UNALIGNED(type, name) \
  typedef type name __attribute__((aligned(1), may_alias))
UNALIGNED(vf, vf_any);
UNALIGNED(vu, vu_any);
UNALIGNED(vi, vi_any);
UNALIGNED(vh, vh_any);
UNALIGNED(vo, vo_any);
UNALIGNED(vc, vc_any);
UNALIGNED(vb, vb_any);
UNALIGNED(uint16_t, u16_any);
UNALIGNED(uint32_t, u32_any);
UNALIGNED(float, f32_any);

INLINE vf load(const void *p) { return *(const vf_any *)p; }
INLINE void store(void *p, vf v) { *(vf_any *)p = v; }
INLINE vf splat(float x) { return (vf)x; }

// The first n lanes, the rest zero.
INLINE vf load_some(const void *p, size_t n) {
  vf v = (vf)0.0f;
  __builtin_memcpy(&v, p, n * sizeof(float));
  return v;
}
INLINE void store_some(void *p, vf v, size_t n) { __builtin_memcpy(p, &v, n * sizeof(float)); }

// The lanes i ..< last of an array, the rest zero.
INLINE vf load_up_to(const float *p, size_t i, size_t last) {
  return i + LANES <= last ? load(p + i) : i < last ? load_some(p + i, last - i) : (vf)0.0f;
}
INLINE void store_up_to(float *p, size_t i, size_t last, vf v) {
  if (i + LANES <= last)
    store(p + i, v);
  else if (i < last)
    store_some(p + i, v, last - i);
}

// Keeps the compiler from choosing among halves, and then widening what was chosen once more for each choice.
#ifndef KEEP_APART
#define KEEP_APART(v)
#endif

// Keep the compiler from adding in another order, and from loading earlier, which take more registers than there are.
#ifndef IN_TURN
#define IN_TURN(v)
#define LOADS_IN_TURN
#endif

INLINE vf choose(vi mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); }
INLINE vf max_of(vf a, vf b) { return choose(a > b, a, b); }
INLINE vf magnitude(vf a) { return (vf)((vu)a & 0x7fffffffu); }

// a * b + c, rounded once.
#if HAS_FMA
INLINE vf fused(vf a, vf b, vf c) { return __builtin_elementwise_fma(a, b, c); }
#else
// The product is exact in double. The sum is rounded to odd there, by the error that rounding to
// nearest made (Knuth's two-sum): then rounding to float is as if it were the first (Boldo &
// Melquiond, 2008).
INLINE vf fused(vf a, vf b, vf c) {
  typedef VECTOR(double, LANES) vd;
  typedef VECTOR(int64_t, LANES) vl;
  vd product = __builtin_convertvector(a, vd) * __builtin_convertvector(b, vd);
  vd addend = __builtin_convertvector(c, vd);
  vd sum = product + addend;
  vd added = sum - product;
  vd error = (product - (sum - added)) + (addend - added);
  vl bits = (vl)sum;
  vl rounded = (error < 0.0) | (error > 0.0); // false for NaN, the error of what is no number
  vl even = (bits & 1) - 1;
  vl toward = (bits ^ (vl)error) >> 63 | 1;
  return __builtin_convertvector((vd)(bits + (toward & rounded & even)), vf);
}
#endif

#if LANES == 16
typedef VECTOR(float, 8) half_vf;
INLINE half_vf lower(vf a) {
  return __builtin_shufflevector(a, a, 0, 1, 2, 3, 4, 5, 6, 7);
}
INLINE half_vf upper(vf a) {
  return __builtin_shufflevector(a, a, 8, 9, 10, 11, 12, 13, 14, 15);
}
#else
typedef vf half_vf;
#endif

// The sum of the lanes, by halves.
INLINE float sum_of(vf a) {
#if LANES == 16
  half_vf h = lower(a) + upper(a);
#else
  half_vf h = a;
#endif
  h += __builtin_shufflevector(h, h, 4, 5, 6, 7, 0, 1, 2, 3);
  h += __builtin_shufflevector(h, h, 2, 3, 0, 1, 6, 7, 4, 5);
  return h[0] + h[1];
}

// Lanes with their neighbours swapped, their neighbouring twos, fours and eights.
#if LANES == 16
#define ONES_SWAPPED(a) \
  __builtin_shufflevector(a, a, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14)
#define TWOS_SWAPPED(a) \
  __builtin_shufflevector(a, a, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13)
#define FOURS_SWAPPED(a) \
  __builtin_shufflevector(a, a, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11)
#define EIGHTS_SWAPPED(a) \
  __builtin_shufflevector(a, a, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7)
#else
#define ONES_SWAPPED(a) __builtin_shufflevector(a, a, 1, 0, 3, 2, 5, 4, 7, 6)
#define TWOS_SWAPPED(a) __builtin_shufflevector(a, a, 2, 3, 0, 1, 6, 7, 4, 5)
#define FOURS_SWAPPED(a) __builtin_shufflevector(a, a, 4, 5, 6, 7, 0, 1, 2, 3)
#define EIGHTS_SWAPPED(a) (a)
#endif

// Lanes of pairs apart, and together again.
#if LANES == 16
#define EVEN_LANES(a, b) \
  __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)
#define ODD_LANES(a, b) \
  __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)
#define LOW_PAIRS(a, b) \
  __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define HIGH_PAIRS(a, b) \
  __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#else
#define EVEN_LANES(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14)
#define ODD_LANES(a, b) __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15)
#define LOW_PAIRS(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define HIGH_PAIRS(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#endif

// The largest of numbers, in all lanes; and the sum of integers.
INLINE vf largest_of(vf a) {
  a = max_of(a, EIGHTS_SWAPPED(a));
  a = max_of(a, FOURS_SWAPPED(a));
  a = max_of(a, TWOS_SWAPPED(a));
  return max_of(a, ONES_SWAPPED(a));
}
INLINE int32_t total_of(vi a) {
  if (LANES == 16) a += EIGHTS_SWAPPED(a);
  a += FOURS_SWAPPED(a);
  a += TWOS_SWAPPED(a);
  return a[0] + a[1];
}

// Four sums, or the four largest numbers, at once: lane i of the result is that of the lanes of v[i].
typedef VECTOR(float, 4) quad;
UNALIGNED(quad, quad_any);
typedef VECTOR(float, 8) octet;
#if LANES == 16
#define OCTET(COMBINE, a) COMBINE(lower(a), upper(a))
#else
#define OCTET(COMBINE, a) (a)
#endif
#define OF_FOUR(name, COMBINE)                                                       \
  INLINE quad name(const vf v[4]) {                                                  \
    octet a = OCTET(COMBINE, v[0]), b = OCTET(COMBINE, v[1]);                        \
    octet c = OCTET(COMBINE, v[2]), d = OCTET(COMBINE, v[3]);                        \
    octet ab = COMBINE(__builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11),      \
                       __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15));   \
    octet cd = COMBINE(__builtin_shufflevector(c, d, 0, 1, 2, 3, 8, 9, 10, 11),      \
                       __builtin_shufflevector(c, d, 4, 5, 6, 7, 12, 13, 14, 15));   \
    /* ab: a0 a1 a2 a3 b0 b1 b2 b3, cd likewise; then a a c c b b d d */             \
    octet s = COMBINE(__builtin_shufflevector(ab, cd, 0, 1, 8, 9, 4, 5, 12, 13),     \
                      __builtin_shufflevector(ab, cd, 2, 3, 10, 11, 6, 7, 14, 15));  \
    return COMBINE(__builtin_shufflevector(s, s, 0, 4, 2, 6),                        \
                   __builtin_shufflevector(s, s, 1, 5, 3, 7));                       \
  }
#define PLUS(a, b) ((a) + (b))
// The second where either is no number, which is one instruction.
#define LARGER(a, b)                                                                 \
  ({                                                                                 \
    __typeof__(a) x = a, y = b;                                                      \
    __typeof__(x > y) is = x > y;                                                    \
    (__typeof__(x))((is & (__typeof__(is))x) | (~is & (__typeof__(is))y));           \
  })
OF_FOUR(sums_of, PLUS)
OF_FOUR(largest_of_four, LARGER)

// ---------------------------------------------------------------------- the same bits everywhere
//
// What follows are the steps of Sources/Tensors/PortableMath.swift, which says how good they are.

// Added to a small number, 1.5 * 2^23 rounds it to the nearest integer, ties to even, and leaves
// that integer in the low bits.
#define ROUNDER 12582912.0f

// exp(x) for x up to 88; below -86 the value there, and NaN stays NaN.
INLINE vf exponential_below(vf x) {
  x = choose(x < -86.0f, (vf)-86.0f, x);
  vf shifted = fused(x, (vf)1.44269504f, (vf)ROUNDER);
  vf n = shifted - ROUNDER;
  vf r = fused(n, (vf)2.12194440e-4f, fused(n, (vf)-0.693359375f, x));
  vf p = (vf)1.9875691500e-4f;
  p = fused(p, r, (vf)1.3981999507e-3f);
  p = fused(p, r, (vf)8.3334519073e-3f);
  p = fused(p, r, (vf)4.1665795894e-2f);
  p = fused(p, r, (vf)1.6666665459e-1f);
  p = fused(p, r, (vf)5.0000001201e-1f);
  p = fused(p, r * r, r) + 1.0f;
  return p * (vf)(((vu)shifted << 23) + (127u << 23));
}

// exp(x); beyond -86 ... 88 the value at the end of that range, and NaN stays NaN.
INLINE vf exponential(vf x) { return exponential_below(choose(x > 88.0f, (vf)88.0f, x)); }

// exp(x) for x <= 0, within 4e-6 of it.
INLINE vf coarse_exponential(vf x) {
  x = choose(x < -86.0f, (vf)-86.0f, x);
  vf shifted = fused(x, (vf)1.44269504f, (vf)ROUNDER);
  vf r = fused(x, (vf)1.44269504f, -(shifted - ROUNDER));
  vf p = (vf)0x1.3a02ccp-7f;
  p = fused(p, r, (vf)0x1.c9fc46p-5f);
  p = fused(p, r, (vf)0x1.ec0378p-3f);
  p = fused(p, r, (vf)0x1.62e12cp-1f);
  p = fused(p, r, (vf)1.0f);
  return (vf)((vu)p + ((vu)shifted << 23));
}

// 1 / x for 1e-37 ... 1e37.
INLINE vf reciprocal(vf x) {
  vf r = (vf)(0x7ef311c7u - (vu)x);
  for (int i = 0; i < 4; i++) r = fused(r, fused(-x, r, (vf)1.0f), r);
  return r;
}

// 1 / sqrt(x) for 1e-37 ... 1e37.
INLINE vf reciprocal_square_root(vf x) {
  vf half = x * 0.5f;
  vf r = (vf)(0x5f375a86u - ((vu)x >> 1));
  for (int i = 0; i < 4; i++) r *= fused(-(half * r), r, (vf)1.5f);
  return r;
}

// Sine and cosine for |x| up to a hundred thousand.
INLINE void sine_cosine(vf x, vf *sine, vf *cosine) {
  vf shifted = fused(x, (vf)0.636619772f, (vf)ROUNDER);
  vf quarters = shifted - ROUNDER;
  vf r = fused(quarters, (vf)-1.57079637f, x);
  r = fused(quarters, (vf)4.3711390e-8f, r);
  r = fused(quarters, (vf)1.7151245e-15f, r);
  vf z = r * r;
  vf odd = fused(fused((vf)-1.9515295891e-4f, z, (vf)8.3321608736e-3f), z, (vf)-1.6666654611e-1f);
  vf even = fused(fused((vf)2.443315712e-5f, z, (vf)-1.388731625e-3f), z, (vf)4.166664568e-2f);
  vf s = fused(odd * z, r, r);
  vf c = fused(even, z * z, fused((vf)-0.5f, z, (vf)1.0f));
  vi quarter = (vi)shifted & 3;
  vi swapped = -(quarter & 1);
  *sine = (vf)((vi)choose(swapped, c, s) ^ (quarter & 2) << 30);
  *cosine = (vf)((vi)choose(swapped, s, c) ^ ((quarter + 1) & 2) << 30);
}

// Sums over many numbers have 16 lanes whatever the vector: number i goes to lane i mod 16.
enum { SUM_VECTORS = 16 / LANES };

INLINE float sum_of_lanes(const vf lanes[SUM_VECTORS]) {
  return sum_of(SUM_VECTORS == 2 ? lanes[0] + lanes[SUM_VECTORS - 1] : lanes[0]);
}
