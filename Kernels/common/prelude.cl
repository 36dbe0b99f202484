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
// Codes of 8 and of 4 bits, which keys and values may be, and of 4 bits of keys and 2 of values.
#define Q8 108
#define Q4 104
#define K4V2 142
// Codes of 2 bits with ranges: a number is base + step * code, and each element of a page's keys has one.
#define K2V2 122
#define HAS_RANGES (ELEMENT == K2V2)
// Whole numbers of 16 bits: each token of a page has a scale for its key and one for its value, in front of the codes.
#define I16 116
#define HAS_WHOLE (ELEMENT == I16)
#define TOKEN_SCALES (4 * PAGE)
// Whether keys and values are, and their bits: what ELEMENT says in programs that read or write pages.
#define HAS_CODES (HAS_WHOLE || ELEMENT == Q8 || ELEMENT == Q4 || ELEMENT == K4V2 || HAS_RANGES)
#define KEY_BITS (ELEMENT == F32 ? 32 : ELEMENT == Q8 ? 8 : HAS_RANGES ? 2 : HAS_CODES && !HAS_WHOLE ? 4 : 16)
#define VALUE_BITS (ELEMENT == K4V2 ? 2 : KEY_BITS)
// Elements of the keys of a head in a page, or bytes of their scales and codes, and the same of keys and values.
#define CODE_BYTES(bits) (PAGE / 8 * (bits) + 1)
#define KEY_BYTES (CODE_BYTES(KEY_BITS) + HAS_RANGES)
#define KEYS_OF(width) \
  (HAS_WHOLE ? TOKEN_SCALES + 2 * PAGE * (width) : (HAS_CODES ? KEY_BYTES : PAGE) * (width))
#define PAGE_OF(width) \
  (HAS_WHOLE ? 2 * KEYS_OF(width) : (HAS_CODES ? KEY_BYTES + CODE_BYTES(VALUE_BITS) : 2 * PAGE) * (width))

// Elements that share a scale of int8 activations.
#define BLOCK 32

// Tokens of one key-value page.
#define PAGE 16

// --- What some drivers take -----------------------------------------------------------------------
//
// VNNI 1 is for a CPU that has AVX-512 VNNI, and AVX2 1 for one that has AVX2, under a driver that takes inline
// assembly. PREFETCHES 1 is for a compiler of which it is known that it makes an instruction of __builtin_prefetch.
// INTEL_CORES 1 is for Intel's, which wait for few lines at a time in their first cache.

#ifndef VNNI
#define VNNI 0
#endif
#ifndef AVX2
#define AVX2 0
#endif
#ifndef PREFETCHES
#define PREFETCHES (VNNI || AVX2)
#endif
#ifndef INTEL_CORES
#define INTEL_CORES 0
#endif

// Asks memory for a line that will be read soon. Elsewhere the hardware may do as well, and prefetch() may be slow: one
// driver calls a function.
static inline void ask_for(global const void *line)
{
#if PREFETCHES
  __builtin_prefetch((const void *)(size_t)line, 0, 3);
#endif
}

// The same for a line that is asked for once more before it is read: with INTEL_CORES 1 it need come no nearer than the
// second cache.
static inline void ask_early(global const void *line)
{
#if PREFETCHES
  __builtin_prefetch((const void *)(size_t)line, 0, INTEL_CORES ? 2 : 3);
#endif
}

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
