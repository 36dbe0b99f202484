// How keys and values get into pages: what kernels that write them share. The host puts this text after the
// prelude where a program asks for it; common/kv_numbers.cl has the layout.

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

// The keys of the page that has a slot, of one head of a pool of so many pages; its values lie behind them.
static inline global element *page_of(
    global uchar *pool, uint pool_pages, uint head, int slot, uint width)
{
  return (global element *)pool
      + ((size_t)head * pool_pages + slot / PAGE) * PAGE_OF((size_t)width);
}

// Asks memory for the keys of a page, of which a token's lie in as many places as it has elements.
static inline void ask_for_keys(global const element *keys, uint width)
{
#if PREFETCHES
  for (uint line = 0; line < KEYS_OF(width) * sizeof(element); line += 64)
    ask_for((global const uchar *)keys + line);
#endif
}

#if HAS_WHOLE

// The key or the value of a token: VECTOR(i) is vector i of its numbers. Of the words of values another work-item may
// write the other half.
#define STORE_WHOLE(VECTOR, is_key, half_page, width, token)                                     \
  do {                                                                                           \
    float16 most = (float16)(0.0f);                                                              \
    for (uint i = 0; i < (width) / 16; i++) most = LARGER(fabs(VECTOR(i)), most);                \
    const float scale = whole_scale(greatest16(most), (is_key) ? KEY_STEP : VALUE_STEP);         \
    const float inverse = inverse_scale(scale);                                                  \
    ((global float *)(half_page))[token] = scale;                                                \
    global uchar *words = (half_page) + TOKEN_SCALES;                                            \
    for (uint i = 0; i < (width) / 16; i++) {                                                    \
      const int8 codes = whole_codes(VECTOR(i), inverse, (is_key) ? KEY_LIMIT : VALUE_LIMIT);    \
      if (is_key) {                                                                              \
        int pairs[8];                                                                            \
        vstore8(codes, 0, pairs);                                                                \
        for (uint d = 0; d < 8; d++)                                                             \
          ((global int *)words)[(8 * i + d) * PAGE + (token)] = pairs[d];                        \
      } else {                                                                                   \
        short lanes[16];                                                                         \
        vstore16(as_short16(codes), 0, lanes);                                                   \
        for (uint d = 0; d < 16; d++)                                                            \
          ((global short *)words)[((token) / 2 * (width) + 16 * i + d) * 2 + (token) % 2] = lanes[d]; \
      }                                                                                          \
    }                                                                                            \
  } while (0)

#elif HAS_CODES

// The steps of Sources/Tensors/KVBlock.swift. The lowest code is -LIMIT, unless it has 2 bits.
#define LIMIT (KEY_BITS == 8 ? 128.0f : 8.0f)
#define LARGEST_SCALE 65504.0f

static inline int16 code_of(float16 x)
{
  x = x > (float16)(LIMIT - 1.0f) ? (float16)(LIMIT - 1.0f) : x;
  x = x < (float16)(-LIMIT) ? (float16)(-LIMIT) : x;
  return select((int16)(0), as_int16(x + ROUNDER) - 0x4B400000, x == x);
}

#if VALUE_BITS == 2 && !HAS_RANGES
// Block `block` of the value of a token.
static inline void store_few(
    float16 low, float16 high, global element *values, uint width, uint token, uint block)
{
  const float16 most = (float16)(LARGEST_SCALE), zero = (float16)(0.0f);
  float16 a = fabs(low), b = fabs(high);
  a = select(zero, a > most ? most : a, a == a);
  b = select(zero, b > most ? most : b, b == b);
  float border = sum16(a + b) * (1.25f / BLOCK);
  for (uint round = 0; round < 2; round++) {
    const float16 part_a = a >= border ? (float16)(3.0f) : (float16)(1.0f);
    const float16 part_b = b >= border ? (float16)(3.0f) : (float16)(1.0f);
    border = sum16(part_a * a + part_b * b) * reciprocal1(sum16(part_a * part_a + part_b * part_b)) * 2.0f;
  }
  global half *scales = (global half *)values;
  const size_t place = token * (width / BLOCK) + block;
  vstore_half_rte(min(border * 0.5f, LARGEST_SCALE), place, scales);
  border = vload_half(place, scales) * 2.0f;
  const int16 far_a = select((int16)(0), (int16)(1), a >= border);
  const int16 far_b = select((int16)(0), (int16)(1), b >= border);
  const int16 codes_a = select(2 + far_a, 1 - far_a, low < zero);
  const int16 codes_b = select(2 + far_b, 1 - far_b, high < zero);
  const int8 bytes = codes_a.lo | codes_a.hi << 2 | codes_b.lo << 4 | codes_b.hi << 6;
  vstore8(convert_uchar8(bytes), place, values + width);
}
#endif

#if HAS_RANGES
// Numbers, brought within the limit; what is not a number stays so.
static inline float16 within(float16 x)
{
  const float16 limit = (float16)(49152.0f);
  return x > limit ? limit : x < -limit ? -limit : x;
}
// The same where what is not a number is never the largest.
static inline float16 counted(float16 x) { return select((float16)(-49152.0f), x, x == x); }

// The range of numbers whose largest is `above`, and whose negatives' is `below`: the steps of
// Sources/Tensors/KVRange.swift.
static inline void store_range(float above, float below, global uchar *pair)
{
  // Where there is no number, both are minus the limit.
  const bool is_empty = above < -below;
  const float least = is_empty ? 0.0f : -below, most = is_empty ? 0.0f : above;
  const bool rises = fabs(least) <= fabs(most);
  pair[0] = float_byte(rises ? least : most);
  const float near = (rises ? least : most) - byte_float(pair[0]);
  const float far = (rises ? most : least) - byte_float(pair[0]);
  pair[1] = float_byte((fabs(far) >= fabs(near) ? far : near) * 0x1.555556p-2f);
}
static inline uchar16 codes_in(float16 x, global const uchar *pair)
{
  const float inverse = pair[1] == 0 ? 0.0f : reciprocal1(byte_float(pair[1]));
  float16 code = (x - byte_float(pair[0])) * inverse;
  code = code > (float16)(3.0f) ? (float16)(3.0f) : code;
  code = code < (float16)(0.0f) ? (float16)(0.0f) : code;
  return convert_uchar16(select((int16)(0), as_int16(code + ROUNDER) - 0x4B400000, code == code));
}

// The keys of the first tokens of a page, from one of halves.
static inline void store_keys_by_element(
    global const half *from, global uchar *keys, uint width, uint tokens)
{
  const int16 lanes = (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  for (uint four = 0; four < width / 4; four++) {
    uchar16 bytes = (uchar16)(0);
    for (uint i = 0; i < 4; i++) {
      const uint d = four * 4 + i;
      const float16 x = select((float16)(NAN), within(vload_half16(d, from)), lanes < (int)tokens);
      store_range(max16(counted(x)), max16(counted(-x)), keys + 2 * d);
      bytes |= codes_in(x, keys + 2 * d) << (uchar)(2 * i);
    }
    vstore16(bytes, four, keys + 2 * width);
  }
}

// Block `block` of the value of a token.
static inline void store_value_range(
    float16 low, float16 high, global uchar *values, uint width, uint token, uint block)
{
  const float16 a = within(low), b = within(high);
  const uint place = token * (width / BLOCK) + block;
  global uchar *pair = values + 2 * place;
  store_range(
      max16(LARGER(counted(a), counted(b))), max16(LARGER(counted(-a), counted(-b))), pair);
  const uchar16 first = codes_in(a, pair), second = codes_in(b, pair);
  vstore8(
      first.lo | first.hi << (uchar)2 | second.lo << (uchar)4 | second.hi << (uchar)6, place,
      values + width);
}

#else

// Block `block` of the key or the value of a token: 32 numbers to a scale and codes.
static inline void store_block(
    float16 low, float16 high, bool is_key, global element *half_page, uint width, uint token,
    uint block)
{
#if VALUE_BITS == 2
  if (!is_key) {
    store_few(low, high, half_page, width, token, block);
    return;
  }
#endif
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
#if KEY_BITS == 8
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
  const uint count = BLOCK / 8 * KEY_BITS;
  if (is_key)
    for (uint i = 0; i < count; i++) codes[(block * count + i) * PAGE + token] = bytes[i];
  else
    for (uint i = 0; i < count; i++) codes[(token * (width / BLOCK) + block) * count + i] = bytes[i];
}

#endif
#endif
