// How keys and values get into pages: what kernels that write them share. The host puts this text after the
// prelude where a program asks for it; common/attention.cl has the layout.

#ifndef ELEMENT
#define ELEMENT F16
#endif

#if ELEMENT == F16
typedef half element;
#define STORE(value, i, target) vstore_half_rte(value, i, target)
#elif ELEMENT == BF16
// The upper half of a float, to nearest even. What is not a number keeps a bit that says so.
static inline ushort upper_half(float value)
{
  const uint bits = as_uint(value);
  return (isnan(value) ? bits | 0x400000u : bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16;
}
typedef ushort element;
#define STORE(value, i, target) ((target)[i] = upper_half(value))
#elif ELEMENT == F32
typedef float element;
#define STORE(value, i, target) ((target)[i] = (value))
#else
typedef uchar element;
#endif

// Elements of the keys of a page, or of its values.
#if ELEMENT == Q8
#define HALF_PAGE_OF(width) (17 * (width))
#elif ELEMENT == Q4
#define HALF_PAGE_OF(width) (9 * (width))
#else
#define HALF_PAGE_OF(width) (PAGE * (width))
#endif

// The keys of the page that has a slot, of one head of a pool of so many pages; its values lie behind them.
static inline global element *page_of(
    global uchar *pool, uint pool_pages, uint head, int slot, uint width)
{
  return (global element *)pool
      + ((size_t)head * pool_pages + slot / PAGE) * 2 * HALF_PAGE_OF((size_t)width);
}

#if HAS_CODES

// The steps of Sources/Tensors/KVBlock.swift. The lowest code is -LIMIT.
#define LIMIT (ELEMENT == Q8 ? 128.0f : 8.0f)
#define LARGEST_SCALE 65504.0f

static inline int16 code_of(float16 x)
{
  x = x > (float16)(LIMIT - 1.0f) ? (float16)(LIMIT - 1.0f) : x;
  x = x < (float16)(-LIMIT) ? (float16)(-LIMIT) : x;
  return select((int16)(0), as_int16(x + ROUNDER) - 0x4B400000, x == x);
}

// Block `block` of the key or the value of a token: 32 numbers to a scale and codes.
static inline void store_block(
    float16 low, float16 high, bool is_key, global element *half_page, uint width, uint token,
    uint block)
{
  const float16 zero = (float16)(0.0f);
  const float above = max16(LARGER(high, LARGER(low, zero)));
  const float below = max16(LARGER(-high, LARGER(-low, zero)));
  const float wanted = (above > below ? above : -below) * (-1.0f / LIMIT);
  global half *scales = (global half *)half_page;
  const size_t place = is_key ? block * PAGE + token : token * (width / BLOCK) + block;
  vstore_half_rte(clamp(wanted, -LARGEST_SCALE, LARGEST_SCALE), place, scales);
  const float scale = vload_half(place, scales);
  const float inverse = scale == 0.0f ? 0.0f : reciprocal1(scale);
  const int16 first = code_of(low * inverse), second = code_of(high * inverse);

  global uchar *codes = half_page + width;
  uchar bytes[BLOCK];
#if ELEMENT == Q8
  vstore16(as_uchar16(convert_char16(first)), 0, bytes);
  vstore16(as_uchar16(convert_char16(second)), 1, bytes);
#else
  const int16 a = first + 8, b = second + 8;
  if (is_key) {
    vstore8(convert_uchar8(a.even | a.odd << 4), 0, bytes);
    vstore8(convert_uchar8(b.even | b.odd << 4), 1, bytes);
  } else {
    vstore16(convert_uchar16(a | b << 4), 0, bytes);
  }
#endif
  const uint count = ELEMENT == Q8 ? BLOCK : BLOCK / 2;
  if (is_key)
    for (uint i = 0; i < count; i++) codes[(block * count + i) * PAGE + token] = bytes[i];
  else
    for (uint i = 0; i < count; i++) codes[(token * (width / BLOCK) + block) * count + i] = bytes[i];
}

#endif
