// Numbers in a page of keys and values, and how they are read. The host puts this text after the prelude where a
// program asks for it.
//
//   of codes, a number being code × scale, which is exact; heads are whole blocks of 32
//   keys      scales f16 [width / 32][16 tokens] | codes [width][16 tokens]
//   values    scales f16 [16 tokens][width / 32] | codes [16 tokens][width]
//   codes     8 bits: signed bytes. 4 bits: 8 is added; of keys elements 2 i and 2 i + 1 share a byte, of a block of
//             values elements i and i + 16. 2 bits: -3, -1, 1, 3 as 0 … 3; of a block of values elements i, i + 8,
//             i + 16 and i + 24 share a byte. The first is in the lowest bits.
//
// With K2V2 a number is base + step × code, where codes of 2 bits are 0 … 3; both are floats in a byte:
//
//   keys      (base, step) [width] | codes [width / 4][16 tokens], of elements 4 i … 4 i + 3 in a byte
//   values    (base, step) [16 tokens][width / 32] | codes as above
//
// VNNI and AVX2 say whether halves are widened by an instruction.

#ifndef ELEMENT
#define ELEMENT F16
#endif
#ifndef HEAD_WIDTH
#define HEAD_WIDTH 64
#endif
#if ELEMENT == F16
typedef half element;
#define LOAD(i, source) vload_half(i, source)
#elif ELEMENT == BF16
typedef ushort element;
#define LOAD(i, source) OF_UPPER_HALF((source)[i])
#elif ELEMENT == F32
typedef float element;
#define LOAD(i, source) (source)[i]
#else
typedef uchar element;
// Never reached: heads are whole vectors.
#define LOAD(i, source) 0.0f
#endif

// Sixteen halves as floats.
static inline float16 widened(global const half *source)
{
#if VNNI
  float16 v;
  __asm__("vcvtph2ps %1, %0" : "=v"(v) : "v"(vload16(0, (global const ushort *)source)));
  return v;
#elif AVX2
  float8 low, high;
  __asm__("vcvtph2ps %1, %0" : "=x"(low) : "x"(vload8(0, (global const ushort *)source)));
  __asm__("vcvtph2ps %1, %0" : "=x"(high) : "x"(vload8(1, (global const ushort *)source)));
  return (float16)(low, high);
#else
  return vload_half16(0, source);
#endif
}

#if !HAS_CODES
static inline float16 load_elements(global const element *source)
{
#if ELEMENT == F32
  return vload16(0, source);
#elif ELEMENT == BF16
  return OF_UPPER_HALF16(vload16(0, source));
#else
  return widened(source);
#endif
}

// Element d of the keys of a page's tokens, vector j of the value of one of them; and where its value begins.
#define KEY_AT(page, d) load_elements((page) + (d) * PAGE)
#define VALUE_AT(page, token, j) load_elements(VALUE_OF(page, token) + 16 * (j))
#define VALUE_OF(page, token) ((page) + KEYS_OF(HEAD_WIDTH) + (token) * HEAD_WIDTH)

#elif HAS_WHOLE

// Words of the keys of a page's tokens: elements d and d + 1. Vector j of the values of tokens t and t + 1.
static inline int16 key_words(global const element *page, uint d)
{
  return vload16(d / 2, (global const int *)(page + TOKEN_SCALES));
}
static inline int16 value_words(global const element *page, uint token, uint j)
{
  return vload16(
      token / 2 * (HEAD_WIDTH / 16) + j,
      (global const int *)(page + KEYS_OF(HEAD_WIDTH) + TOKEN_SCALES));
}
static inline float16 key_scales(global const element *page)
{
  return vload16(0, (global const float *)page);
}
static inline float16 value_scales(global const element *page)
{
  return vload16(0, (global const float *)(page + KEYS_OF(HEAD_WIDTH)));
}
static inline float16 KEY_AT(global const element *page, uint d)
{
  const int16 words = key_words(page, d);
  return convert_float16(d % 2 == 0 ? words << 16 >> 16 : words >> 16) * key_scales(page);
}

#else

#if HAS_RANGES
#define KEY_SCALES (2 * HEAD_WIDTH)
#else
#define KEY_SCALES HEAD_WIDTH
#endif

// Behind so many bytes of scales come the codes of keys: vectors of 16 bytes with CODES of them in each byte. Those
// of values come behind HEAD_WIDTH bytes.
#define CODES (8 / KEY_BITS)
static inline uchar16 load_key_codes(global const element *page, uint vector)
{
  return vload16(vector, page + KEY_SCALES);
}

// The codes of keys in one part of the bytes, of values too where they have as many bits. Those of 2 bits are 0 … 3.
static inline float16 whole_numbers(uchar16 bytes, uint part)
{
#if KEY_BITS == 8
  return convert_float16(as_char16(bytes));
#elif KEY_BITS == 4
  const uchar16 codes = part == 0 ? bytes & (uchar)15 : bytes >> (uchar)4;
  return convert_float16(as_char16(codes - (uchar)8));
#else
  return convert_float16(bytes >> (uchar)(2 * part) & (uchar)3);
#endif
}

#if HAS_RANGES
// What codes stand for in range `i` of keys or values. The product is exact.
static inline float16 in_range(global const element *half_page, uint i, float16 codes)
{
  return byte_float(half_page[2 * i + 1]) * codes + byte_float(half_page[2 * i]);
}
// Elements of keys have no scales in common.
#define KEY_SCALES_OF(page, block) 0.0f
#define KEY_NUMBERS(page, d, codes, scales) in_range(page, d, codes)
#else
#define KEY_SCALES_OF(page, block) widened((global const half *)(page) + 16 * (block))
#define KEY_NUMBERS(page, d, codes, scales) ((codes) * (scales))
#endif

static inline float16 KEY_AT(global const element *page, uint d)
{
  const float16 codes = whole_numbers(load_key_codes(page, d / CODES), d % CODES);
  return KEY_NUMBERS(page, d, codes, KEY_SCALES_OF(page, d / BLOCK));
}

static inline float16 VALUE_AT(global const element *page, uint token, uint j)
{
  global const element *values = page + KEYS_OF(HEAD_WIDTH);
  const uint block = token * (HEAD_WIDTH / BLOCK) + j / 2;
#if VALUE_BITS == 2
  const uchar8 bytes = vload8(block, values + HEAD_WIDTH) >> (uchar)(j % 2 * 4);
  const uchar16 codes = (uchar16)(bytes & (uchar)3, bytes >> (uchar)2 & (uchar)3);
#if HAS_RANGES
  return in_range(values, block, convert_float16(codes));
#else
  const float16 numbers = convert_float16(as_char16(codes * (uchar)2 - (uchar)3));
#endif
#else
  const uint vector = token * (HEAD_WIDTH / 16) + j;
  const float16 numbers =
      whole_numbers(vload16(vector / CODES, values + HEAD_WIDTH), vector % CODES);
#endif
#if !HAS_RANGES
  return numbers * vload_half(block, (global const half *)values);
#endif
}
#define VALUE_OF(page, token) (page)

#endif
