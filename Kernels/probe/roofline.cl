// What a device reaches at best: reading, float and int8 arithmetic. Only ever run to measure a device;
// no model needs them.
//
//   read      item i reads vectors i * first, i * first + step, … and adds them up: one stretch for
//             each item (first = each, step = 1), or neighbours together (first = 1, step = items)
//   floats    CHAINS chains of x * m + b
//   integers  CHAINS chains of sum += four products of bytes, in each 32-bit lane
//
// Every item writes one word, so that nothing can be left out.

// Words of a vector: 16 where an item is a whole vector unit, 4 where it is a lane of one.
#ifndef WIDTH
#define WIDTH 16
#endif
// Chains that hide the latency of an instruction.
#ifndef CHAINS
#define CHAINS 12
#endif
// With VNNI or AVX2 1 bytes are multiplied as kernels do where they can, and WIDTH is 16.

#define NAME2(name, width) name##width
#define NAME1(name, width) NAME2(name, width)
#define words NAME1(uint, WIDTH)
#define reals NAME1(float, WIDTH)
#define ints NAME1(int, WIDTH)
#define load_words NAME1(vload, WIDTH)
#define as_words NAME1(as_uint, WIDTH)
#define as_ints NAME1(as_int, WIDTH)

static inline uint fold(words v)
{
#if WIDTH == 16
  const uint8 a = v.lo ^ v.hi;
  const uint4 b = a.lo ^ a.hi;
#else
  const uint4 b = v;
#endif
  return b.x ^ b.y ^ b.z ^ b.w;
}

kernel void read(
    global const uchar *bytes, ulong bytes_offset, global uchar *results, ulong results_offset,
    uint each, uint first, uint step)
{
  const size_t item = get_global_id(0);
  global const uint *p = (global const uint *)(bytes + bytes_offset) + item * first * WIDTH;
  const size_t stride = (size_t)step * WIDTH;
  words a = (words)(0u), b = (words)(0u), c = (words)(0u), d = (words)(0u);
  for (uint i = 0; i + 4 <= each; i += 4) {
    a ^= load_words(0, p);
    b ^= load_words(0, p + stride);
    c ^= load_words(0, p + 2 * stride);
    d ^= load_words(0, p + 3 * stride);
    p += 4 * stride;
  }
  ((global uint *)(results + results_offset))[item] = fold(a ^ b ^ c ^ d);
}

// The factors come from memory, so that nothing is known of them.
kernel void floats(
    global const uchar *bytes, ulong bytes_offset, global uchar *results, ulong results_offset,
    uint rounds)
{
  global const float *factors = (global const float *)(bytes + bytes_offset);
  const reals m = (reals)(factors[0]), b = (reals)(factors[1]);
  reals x[CHAINS];
  for (int i = 0; i < CHAINS; i++) x[i] = (reals)((float)i);
  for (uint round = 0; round < rounds; round++)
#pragma unroll
    for (int i = 0; i < CHAINS; i++) x[i] = FUSED(x[i], m, b);
  reals sum = x[0];
  for (int i = 1; i < CHAINS; i++) sum += x[i];
  ((global uint *)(results + results_offset))[get_global_id(0)] = fold(as_words(sum));
}

#if AVX2
static inline int8 eight_products(int8 w, int8 x)
{
  short16 pairs;
  int8 fours;
  __asm__("vpmaddubsw %2, %1, %0" : "=x"(pairs) : "x"(w), "x"(x));
  __asm__("vpmaddwd %1, %2, %0" : "=x"(fours) : "x"(pairs), "x"((short16)(1)));
  return fours;
}
#endif

// Bytes of a lane, one after the other, as shifts bring them into place.
static inline ints products(ints sum, ints w, ints x)
{
#if VNNI
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(w), "v"(x));
  return sum;
#elif AVX2
  return sum + (int16)(eight_products(w.lo, x.lo), eight_products(w.hi, x.hi));
#else
  sum += ((w << 24) >> 24) * ((x << 24) >> 24);
  sum += ((w << 16) >> 24) * ((x << 16) >> 24);
  sum += ((w << 8) >> 24) * ((x << 8) >> 24);
  return sum + (w >> 24) * (x >> 24);
#endif
}

kernel void integers(
    global const uchar *bytes, ulong bytes_offset, global uchar *results, ulong results_offset,
    uint rounds)
{
  global const uint *p = (global const uint *)(bytes + bytes_offset);
  const ints x = as_ints(load_words(0, p));
  ints sums[CHAINS];
  for (int i = 0; i < CHAINS; i++) sums[i] = (ints)(0);
  for (uint round = 0; round < rounds; round++) {
    // Sixteen places, so that the words come from the nearest cache.
    global const uint *w = p + WIDTH * (1 + round % 16);
#pragma unroll
    for (int i = 0; i < CHAINS; i++) sums[i] = products(sums[i], as_ints(load_words(i, w)), x);
  }
  ints sum = sums[0];
  for (int i = 1; i < CHAINS; i++) sum += sums[i];
  ((global uint *)(results + results_offset))[get_global_id(0)] = fold(as_words(sum));
}
