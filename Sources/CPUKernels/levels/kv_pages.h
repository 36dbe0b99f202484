// Numbers in pages of keys and values, and the write of a token's.
//
// The keys of a page, and its values, are floats, or scales and then codes: include/CPUKernels.h has the layout.

enum { KV_BLOCK = 32 }; // numbers that share a scale

INLINE bool has_codes(cpu_kv_type type) { return type >= CPU_KV_I16; }

// Whether blocks of numbers share a scale, or a range, and bytes hold one code or more.
INLINE bool has_blocks(cpu_kv_type type) { return type >= CPU_KV_Q8; }

// Whether a number is base + step * code, and an element of a page's keys has a range of its own.
INLINE bool has_ranges(cpu_kv_type type) { return type == CPU_KV_K2V2; }

// Bits of a number, of codes beside its scale.
INLINE size_t key_bits(cpu_kv_type type) {
  switch (type) {
    case CPU_KV_F32: return 32;
    case CPU_KV_F16:
    case CPU_KV_BF16:
    case CPU_KV_I16: return 16;
    case CPU_KV_Q8: return 8;
    case CPU_KV_Q4:
    case CPU_KV_K4V2: return 4;
    case CPU_KV_K2V2: return 2;
  }
}
INLINE size_t value_bits(cpu_kv_type type) { return type == CPU_KV_K4V2 ? 2 : key_bits(type); }

// Bytes of the scales of a page's tokens, in front of their codes.
enum { TOKEN_SCALES = PAGE * 4 };

// Bytes of the keys of a head in a page, of its values, and of both.
INLINE size_t keys_bytes(cpu_kv_type type, size_t width) {
  if (type == CPU_KV_I16) return TOKEN_SCALES + width * PAGE * 2;
  return width * (PAGE / 8 * key_bits(type) + has_codes(type) + has_ranges(type));
}
INLINE size_t values_bytes(cpu_kv_type type, size_t width) {
  if (type == CPU_KV_I16) return keys_bytes(type, width);
  return width * (PAGE / 8 * value_bits(type) + has_codes(type));
}
INLINE size_t both_bytes(cpu_kv_type type, size_t width) {
  return keys_bytes(type, width) + values_bytes(type, width);
}

INLINE size_t head_bytes(const cpu_kv_pool *pool) {
  return both_bytes(pool->type, pool->head_width);
}

// ------------------------------------------------------------------------------------- floats

// bf16 is the upper half of a float.
INLINE vf kv_load(cpu_kv_type type, const void *base, size_t element) {
  if (type == CPU_KV_F32) return load((const uint8_t *)base + element * 4);
  const uint8_t *from = (const uint8_t *)base + element * 2;
  return type == CPU_KV_F16 ? widen(from)
                            : (vf)(__builtin_convertvector(*(const vh_any *)from, vu) << 16);
}

INLINE float kv_one(cpu_kv_type type, const void *base, size_t element) {
  if (type == CPU_KV_F32) return *(const f32_any *)((const uint8_t *)base + element * 4);
  const uint8_t *from = (const uint8_t *)base + element * 2;
  return type == CPU_KV_F16 ? widen_one(from)[0] : ((vf)((vu)*(const u16_any *)from << 16))[0];
}

// Numbers in two bytes each: f16 or bf16, to nearest even. What is not a number keeps a bit that says so.
INLINE void kv_narrow(cpu_kv_type type, uint16_t lanes[LANES], vf v) {
  if (type == CPU_KV_F16) {
    narrow(lanes, v);
    return;
  }
  vu bits = (vu)v, rounded = bits + 0x7fff + (bits >> 16 & 1), is_nan = (vu)(v != v);
  rounded = (is_nan & (bits | 0x400000)) | (~is_nan & rounded);
  *(vh_any *)lanes = __builtin_convertvector(rounded >> 16, vh);
}

// -------------------------------------------------------------------------------------- codes

typedef VECTOR(int8_t, 16) c16;
UNALIGNED(b16, b16_any);

// Vector `index` of codes.
INLINE b16 load_codes(const uint8_t *codes, size_t index) {
  return *(const b16_any *)(codes + index * 16);
}

// The codes in one part of the bytes, of which there are 8 / bits: vector c of PAGE_VECTORS. Those of 2 bits are 0 … 3.
INLINE vf whole_numbers(size_t bits, b16 bytes, size_t part, int c) {
  c16 codes = bits == 8   ? (c16)bytes
              : bits == 4 ? (c16)(part == 0 ? bytes & 15 : bytes >> 4) - 8
                          : (c16)(bytes >> (uint8_t)(2 * part) & 3);
#if LANES == 16
  (void)c;
  return __builtin_convertvector(codes, vf);
#else
  return c == 0
             ? __builtin_convertvector(
                   __builtin_shufflevector(codes, codes, 0, 1, 2, 3, 4, 5, 6, 7), vf)
             : __builtin_convertvector(
                   __builtin_shufflevector(codes, codes, 8, 9, 10, 11, 12, 13, 14, 15), vf);
#endif
}

// The codes 0 … 3 of half a block of a value, 0 or 1: vector c of PAGE_VECTORS.
INLINE vu few_codes(const uint8_t *block, size_t half, int c) {
  typedef VECTOR(uint8_t, 8) b8;
  UNALIGNED(b8, b8_any);
  b8 bytes = *(const b8_any *)block;
#if LANES == 16
  (void)c;
  vu wide = __builtin_convertvector(
      __builtin_shufflevector(bytes, bytes, 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7), vu);
  vu parts = {0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 2};
  return wide >> (parts + (uint32_t)(4 * half)) & 3;
#else
  return __builtin_convertvector(bytes, vu) >> (uint32_t)(4 * half + 2 * (size_t)c) & 3;
#endif
}

// Floats in a byte each, of those in the lowest bits: KVRange.Byte of Sources/Tensors.
INLINE vf byte_floats(vu bits) {
  vu size = bits & 0x7f, sign = (bits & 0x80) << 24;
  return (vf)((vu)(size != 0) & (sign | ((size << 21) + (448u << 21))));
}
INLINE uint32_t float_byte(float number) {
  uint32_t bits = (uint32_t)((vi)splat(number))[0];
  int32_t size = (int32_t)(((bits & 0x7fffffff) + (1u << 20)) >> 21) - 448;
  return size <= 0 ? 0 : (bits >> 24 & 0x80) | (uint32_t)(size < 127 ? size : 127);
}

// The ranges of LANES elements or blocks: their bases and steps.
typedef struct {
  vf base, step;
} ranges;
INLINE ranges load_ranges(const uint8_t *half, size_t index) {
  vu pairs = __builtin_convertvector(*(const vh_any *)(half + index * 2), vu);
  return (ranges){byte_floats(pairs & 0xff), byte_floats(pairs >> 8)};
}
INLINE ranges load_range(const uint8_t *half, size_t index) {
  vu pair = (vu)(uint32_t)*(const u16_any *)(half + index * 2);
  return (ranges){byte_floats(pair & 0xff), byte_floats(pair >> 8)};
}

// Codes of 16 bits: a number is the even one of its word, or the odd one.
INLINE vi even_codes(const uint8_t *words) { return *(const vi_any *)words << 16 >> 16; }
INLINE vi odd_codes(const uint8_t *words) { return *(const vi_any *)words >> 16; }

// Where the codes of keys begin.
INLINE const uint8_t *key_codes(cpu_kv_type type, const uint8_t *keys, size_t width) {
  return keys + width * (1 + has_ranges(type));
}

// Element d of the keys of a page: vector c of its tokens.
INLINE vf key_vector(cpu_kv_type type, const uint8_t *keys, size_t width, size_t d, int c) {
  if (!has_codes(type)) return kv_load(type, keys, d * PAGE + (size_t)(c * LANES));
  if (type == CPU_KV_I16) {
    const uint8_t *words = keys + TOKEN_SCALES + (d / 2 * PAGE + (size_t)(c * LANES)) * 4;
    vi codes = d % 2 ? odd_codes(words) : even_codes(words);
    return __builtin_convertvector(codes, vf) * load(keys + c * LANES * 4);
  }
  size_t bits = key_bits(type), parts = 8 / bits;
  vf codes = whole_numbers(bits, load_codes(key_codes(type, keys, width), d / parts), d % parts, c);
  if (has_ranges(type)) {
    ranges range = load_range(keys, d);
    return range.step * codes + range.base;
  }
  return codes * widen(keys + (d / KV_BLOCK * PAGE + (size_t)(c * LANES)) * 2);
}

// The elements from d on, a multiple of 16, of the value of a token: whole sixteens.
INLINE void value_numbers(cpu_kv_type type, const uint8_t *values, size_t width, size_t token,
                          size_t d, int vectors, vf *v) {
  for (int c = 0; c < vectors; c += PAGE_VECTORS) {
    size_t at = d + (size_t)(c * LANES), block = token * (width / KV_BLOCK) + at / KV_BLOCK;
    size_t bits = value_bits(type), half = at / 16 % 2;
    if (has_ranges(type)) {
      ranges range = load_range(values, block);
      for (int i = 0; i < PAGE_VECTORS; i++)
        v[c + i] =
            range.step * __builtin_convertvector(few_codes(values + width + block * 8, half, i), vf) +
            range.base;
      continue;
    }
    vf scale = splat(widen_one(values + block * 2)[0]);
    if (bits == 2) {
      for (int i = 0; i < PAGE_VECTORS; i++) {
        vi codes = (vi)few_codes(values + width + block * 8, half, i);
        v[c + i] = __builtin_convertvector(2 * codes - 3, vf) * scale;
      }
      continue;
    }
    b16 codes = load_codes(values + width, bits == 4 ? block : 2 * block + half);
    for (int i = 0; i < PAGE_VECTORS; i++) v[c + i] = whole_numbers(bits, codes, half, i) * scale;
  }
}

// Whole numbers up to a limit, and their scale: the rule of Sources/Tensors/WholeNumbers.swift.
typedef VECTOR(int16_t, LANES) vs;
UNALIGNED(vs, vs_any);
#define LEAST_SCALE 1e-30f
#define LARGEST_NUMBER 1e30f
#define KEY_LIMIT 32767.0f
#define VALUE_LIMIT 4095.0f
#define WEIGHT_LIMIT 8191.0f
#define QUERY_TOTAL 65535

INLINE float counted_scale(float scale) { return scale < LEAST_SCALE ? 0.0f : scale; }
INLINE vf inverse_scale(float scale) { return scale == 0.0f ? (vf)0.0f : reciprocal(splat(scale)); }
INLINE vs whole_codes(vf x, vf inverse, float limit) {
  vf code = x * inverse;
  code = choose(code > limit, splat(limit), code);
  code = choose(code < -limit, splat(-limit), code);
  vi whole = ((vi)(code + ROUNDER) - 0x4b400000) & (code == code);
  return __builtin_convertvector(whole, vs);
}
INLINE float most_of(const float *x, size_t width) {
  vf most = (vf)0.0f;
  for (size_t i = 0; i < width; i += LANES) most = max_of(magnitude(load(x + i)), most);
  float largest = largest_of(most)[0];
  return largest > LARGEST_NUMBER ? LARGEST_NUMBER : largest;
}

// Its codes, of which it returns the scale.
INLINE float make_whole(int16_t *codes, const float *x, size_t width, float limit) {
  float scale = counted_scale(most_of(x, width) * (1 / limit));
  vf inverse = inverse_scale(scale);
  for (size_t i = 0; i < width; i += LANES) *(vs_any *)(codes + i) = whole_codes(load(x + i), inverse, limit);
  return scale;
}

// Keys, or values, of `tokens` tokens as whole numbers: one, or two that share words (a constant). Of one token's words
// another thread may write the other half.
INLINE void store_whole(uint8_t *half, bool is_key, size_t width, size_t token, size_t tokens, const float *x,
                        size_t stride) {
  int16_t codes[2][CPU_MAX_HEAD_WIDTH];
  for (size_t t = 0; t < tokens; t++)
    *(f32_any *)(half + (token + t) * 4) =
        make_whole(codes[t], x + t * stride, width, is_key ? KEY_LIMIT : VALUE_LIMIT);
  uint8_t *words = half + TOKEN_SCALES;
  if (is_key) {
    for (size_t i = 0; i < width; i += 2)
      for (size_t t = 0; t < tokens; t++)
        __builtin_memcpy(words + (i / 2 * PAGE + token + t) * 4, codes[t] + i, 4);
    return;
  }
  words += token / 2 * width * 4 + token % 2 * 2;
  if (tokens == 1)
    for (size_t i = 0; i < width; i++) __builtin_memcpy(words + i * 4, codes[0] + i, 2);
  else
    for (size_t i = 0; i < width; i += LANES) {
      vi low = __builtin_convertvector(*(const vs_any *)(codes[0] + i), vi) & 0xffff;
      vi high = __builtin_convertvector(*(const vs_any *)(codes[1] + i), vi) << 16;
      *(vi_any *)(words + i * 4) = low | high;
    }
}

// A block of a key or a value in codes of 8 or 4 bits: the steps of Sources/Tensors/KVBlock.swift.
INLINE void store_block(size_t bits, uint8_t *half, bool is_key, size_t width, size_t token,
                        size_t block, const float *x) {
  vf above = (vf)0.0f, below = (vf)0.0f;
  for (size_t i = 0; i < KV_BLOCK; i += LANES) {
    above = max_of(load(x + i), above);
    below = max_of(-load(x + i), below);
  }
  float most = largest_of(above)[0], least = largest_of(below)[0];
  float limit = bits == 8 ? 128.0f : 8.0f;
  float wanted = (most > least ? most : -least) * (-1.0f / limit);
  wanted = wanted > 65504.0f ? 65504.0f : wanted < -65504.0f ? -65504.0f : wanted;
  uint16_t halves[LANES];
  narrow(halves, splat(wanted));
  *(u16_any *)(half + (is_key ? block * PAGE + token : token * (width / KV_BLOCK) + block) * 2) =
      halves[0];
  vf scale = widen(halves);
  vf inverse = choose(scale == 0.0f, (vf)0.0f, reciprocal(scale));

  uint8_t codes[KV_BLOCK], *target = half + width;
  for (size_t i = 0; i < KV_BLOCK; i += LANES) {
    vf code = load(x + i) * inverse;
    code = choose(code > limit - 1, splat(limit - 1), code);
    code = choose(code < -limit, splat(-limit), code);
    vi whole = ((vi)(code + ROUNDER) - 0x4b400000) & (code == code);
    if (bits == 4) whole += 8;
    *(vo_any *)(codes + i) = __builtin_convertvector((vu)whole & 0xff, vo);
  }
  size_t bytes = KV_BLOCK / 8 * bits, other = is_key ? 1 : KV_BLOCK / 2;
  for (size_t i = 0; i < bytes; i++) {
    size_t low = bits == 8 || !is_key ? i : 2 * i;
    uint8_t byte = bits == 8 ? codes[low] : (uint8_t)(codes[low] | codes[low + other] << 4);
    target[is_key ? (block * bytes + i) * PAGE + token
                  : (token * (width / KV_BLOCK) + block) * bytes + i] = byte;
  }
}

// Four codes of 2 bits, `stride` apart, in a byte.
INLINE uint8_t four_codes(const uint8_t *codes, size_t stride) {
  return (uint8_t)(codes[0] | codes[stride] << 2 | codes[2 * stride] << 4 | codes[3 * stride] << 6);
}

// A block of a value in codes of 2 bits: the steps of the same file.
INLINE void store_few(uint8_t *half, size_t width, size_t token, size_t block, const float *x) {
  enum { VECTORS_OF_BLOCK = KV_BLOCK / LANES };
  vf sizes[VECTORS_OF_BLOCK], lanes[SUM_VECTORS];
  for (int i = 0; i < VECTORS_OF_BLOCK; i++) {
    vf size = magnitude(load(x + i * LANES));
    size = choose(size > 65504.0f, splat(65504.0f), size);
    sizes[i] = choose(size == size, size, (vf)0.0f);
  }
  for (int i = 0; i < SUM_VECTORS; i++) lanes[i] = sizes[i] + sizes[i + SUM_VECTORS];
  vf border = splat(sum_of_lanes(lanes) * (1.25f / KV_BLOCK));
  for (int round = 0; round < 2; round++) {
    vf part[VECTORS_OF_BLOCK], squares[SUM_VECTORS];
    for (int i = 0; i < VECTORS_OF_BLOCK; i++) part[i] = choose(sizes[i] >= border, splat(3), splat(1));
    for (int i = 0; i < SUM_VECTORS; i++) {
      lanes[i] = part[i] * sizes[i] + part[i + SUM_VECTORS] * sizes[i + SUM_VECTORS];
      squares[i] = part[i] * part[i] + part[i + SUM_VECTORS] * part[i + SUM_VECTORS];
    }
    border = splat(sum_of_lanes(lanes)) * reciprocal(splat(sum_of_lanes(squares))) * 2.0f;
  }
  vf wanted = border * 0.5f;
  wanted = choose(wanted > 65504.0f, splat(65504.0f), wanted);
  uint16_t halves[LANES];
  narrow(halves, wanted);
  *(u16_any *)(half + (token * (width / KV_BLOCK) + block) * 2) = halves[0];
  border = widen(halves) * 2.0f;
  uint8_t codes[KV_BLOCK], *target = half + width + (token * (width / KV_BLOCK) + block) * 8;
  for (int i = 0; i < VECTORS_OF_BLOCK; i++) {
    vi is_below = load(x + i * LANES) < 0.0f, is_far = sizes[i] >= border;
    vi code = (is_below & (1 + is_far)) | (~is_below & (2 - is_far));
    *(vo_any *)(codes + i * LANES) = __builtin_convertvector((vu)code, vo);
  }
  for (size_t i = 0; i < KV_BLOCK / 4; i++) target[i] = four_codes(codes + i, KV_BLOCK / 4);
}

// Some numbers in codes 0 … 3 and their range, of whole vectors that end in NaN: the steps of
// Sources/Tensors/KVRange.swift.
INLINE void store_range(uint8_t *pair, uint8_t *codes, const vf *x, size_t vectors) {
  vf limit = splat(49152.0f), seen[KV_BLOCK / LANES], above = -limit, below = -limit;
  vi any = (vi){0};
  for (size_t i = 0; i < vectors; i++) {
    seen[i] = choose(x[i] > limit, limit, choose(x[i] < -limit, -limit, x[i]));
    vi is_number = seen[i] == seen[i];
    any |= is_number;
    above = max_of(choose(is_number, seen[i], -limit), above);
    below = max_of(choose(is_number, -seen[i], -limit), below);
  }
  bool is_empty = total_of(any) == 0;
  float most = is_empty ? 0.0f : largest_of(above)[0], least = is_empty ? 0.0f : -largest_of(below)[0];
  bool rises = __builtin_fabsf(least) <= __builtin_fabsf(most);
  uint32_t first = float_byte(rises ? least : most);
  vf base = byte_floats((vu)first);
  float near = (rises ? least : most) - base[0], far = (rises ? most : least) - base[0];
  uint32_t second =
      float_byte((__builtin_fabsf(far) >= __builtin_fabsf(near) ? far : near) * (1.0f / 3));
  pair[0] = (uint8_t)first;
  pair[1] = (uint8_t)second;
  vf inverse = second == 0 ? (vf)0.0f : reciprocal(byte_floats((vu)second));
  for (size_t i = 0; i < vectors; i++) {
    vf code = (seen[i] - base) * inverse;
    code = choose(code > 3.0f, splat(3.0f), choose(code < 0.0f, (vf)0.0f, code));
    vi whole = ((vi)(code + ROUNDER) - 0x4b400000) & (code == code);
    *(vo_any *)(codes + i * LANES) = __builtin_convertvector((vu)whole & 0xff, vo);
  }
}

// The keys of the first tokens of a page of halves, as a page of codes.
INLINE void store_keys_by_element(uint8_t *keys, const uint8_t *halves, size_t width, size_t tokens) {
  uint8_t *target = (uint8_t *)key_codes(CPU_KV_K2V2, keys, width), codes[4 * PAGE];
  vi lane;
  for (int i = 0; i < LANES; i++) lane[i] = i;
  for (size_t d = 0; d < width; d++) {
    vf x[PAGE_VECTORS];
    for (int c = 0; c < PAGE_VECTORS; c++)
      x[c] = choose(lane + c * LANES < (int32_t)tokens,
                    kv_load(CPU_KV_F16, halves, d * PAGE + (size_t)(c * LANES)),
                    splat(__builtin_nanf("")));
    store_range(keys + 2 * d, codes + d % 4 * PAGE, x, PAGE_VECTORS);
    if (d % 4 == 3)
      for (size_t t = 0; t < PAGE; t++) target[d / 4 * PAGE + t] = four_codes(codes + t, PAGE);
  }
}

// A block of a value in codes 0 … 3.
INLINE void store_value_range(uint8_t *values, size_t width, size_t token, size_t block,
                              const float *v) {
  size_t place = token * (width / KV_BLOCK) + block;
  uint8_t codes[KV_BLOCK];
  vf x[KV_BLOCK / LANES];
  for (size_t i = 0; i < KV_BLOCK / LANES; i++) x[i] = load(v + i * LANES);
  store_range(values + place * 2, codes, x, KV_BLOCK / LANES);
  for (size_t i = 0; i < KV_BLOCK / 4; i++)
    values[width + place * (KV_BLOCK / 4) + i] = four_codes(codes + i, KV_BLOCK / 4);
}

// -------------------------------------------------------------------------------------- write

// The keys of the page of a slot, of one head; its values lie behind them.
INLINE uint8_t *page_of(const cpu_kv_pool *pool, size_t head, size_t slot) {
  return (uint8_t *)pool->pages + (head * pool->page_count + slot / PAGE) * head_bytes(pool);
}

// The key and the value of a slot, of one head.
INLINE void store_token(const cpu_kv_pool *pool, size_t head, size_t slot, const float *k,
                        const float *v) {
  size_t width = pool->head_width, token = slot % PAGE;
  uint8_t *keys = page_of(pool, head, slot), *values = keys + keys_bytes(pool->type, width);
  if (pool->type == CPU_KV_I16) {
    store_whole(keys, true, width, token, 1, k, 0);
    store_whole(values, false, width, token, 1, v, 0);
    return;
  }
  if (has_codes(pool->type)) {
    for (size_t i = 0; i < width / KV_BLOCK; i++) {
      const float *key = k + i * KV_BLOCK, *value = v + i * KV_BLOCK;
      if (pool->type == CPU_KV_Q8)
        store_block(8, keys, true, width, token, i, key);
      else
        store_block(4, keys, true, width, token, i, key);
      switch (pool->type) {
        case CPU_KV_Q8: store_block(8, values, false, width, token, i, value); break;
        case CPU_KV_Q4: store_block(4, values, false, width, token, i, value); break;
        default: store_few(values, width, token, i, value);
      }
    }
    return;
  }
  for (size_t i = 0; i < width; i += LANES) {
    size_t n = width - i < LANES ? width - i : LANES;
    vf key = n == LANES ? load(k + i) : load_some(k + i, n);
    vf value = n == LANES ? load(v + i) : load_some(v + i, n);
    if (pool->type != CPU_KV_F32) {
      uint16_t lanes[LANES];
      kv_narrow(pool->type, lanes, key);
      for (size_t j = 0; j < n; j++) *(u16_any *)(keys + ((i + j) * PAGE + token) * 2) = lanes[j];
      kv_narrow(pool->type, lanes, value);
      __builtin_memcpy(values + (token * width + i) * 2, lanes, n * 2);
    } else {
      for (size_t j = 0; j < n; j++) *(f32_any *)(keys + ((i + j) * PAGE + token) * 4) = key[j];
      store_some(values + (token * width + i) * 4, value, n);
    }
  }
}

static void write_kv(const void *arguments, size_t first, size_t last) {
  const cpu_write_kv_arguments *a = arguments;
  size_t heads = a->pool.heads, width = a->pool.head_width;
  const uint8_t *page = NULL;
  for (size_t r = first; r < last; r++) {
    if (a->slots[r] < 0) continue;
    // The elements of a key lie in as many places, which come from memory together.
    const uint8_t *first_head = page_of(&a->pool, 0, (size_t)a->slots[r]);
    for (size_t h = 0; h < heads && first_head != page; h++) {
      const uint8_t *keys = page_of(&a->pool, h, (size_t)a->slots[r]);
      for (size_t line = 0; line < keys_bytes(a->pool.type, width); line += 64)
        __builtin_prefetch(keys + line, 1);
    }
    page = first_head;
    if (a->pool.type == CPU_KV_I16 && a->slots[r] % 2 == 0 && r + 1 < last && a->slots[r + 1] == a->slots[r] + 1) {
      for (size_t h = 0; h < heads; h++) {
        size_t token = (size_t)a->slots[r] % PAGE, at = (r * heads + h) * width;
        uint8_t *keys = page_of(&a->pool, h, (size_t)a->slots[r]);
        store_whole(keys, true, width, token, 2, a->k + at, heads * width);
        store_whole(keys + keys_bytes(CPU_KV_I16, width), false, width, token, 2, a->v + at, heads * width);
      }
      r++;
      continue;
    }
    for (size_t h = 0; h < heads; h++)
      store_token(&a->pool, h, (size_t)a->slots[r], a->k + (r * heads + h) * width,
                  a->v + (r * heads + h) * width);
  }
}

static void copy_kv(const void *arguments, size_t first, size_t last) {
  const cpu_copy_kv_arguments *a = arguments;
  size_t width = a->to.head_width, half = keys_bytes(a->from.type, width);
  for (size_t r = first; r < last; r++) {
    if (a->sources[r] < 0 || a->slots[r] < 0) continue;
    size_t source = (size_t)a->sources[r], token = source % PAGE, slot = (size_t)a->slots[r];
    // Keys that share ranges are made by the last row of a step that has a token of their page.
    bool is_last = r + 1 == a->rows || a->sources[r + 1] < 0 ||
                   a->slots[r + 1] != a->slots[r] + 1 || token + 1 == PAGE;
    for (size_t h = 0; h < a->to.heads; h++) {
      const uint8_t *keys = page_of(&a->from, h, source);
      float k[CPU_MAX_HEAD_WIDTH], v[CPU_MAX_HEAD_WIDTH];
      for (size_t d = 0; d < width; d++) v[d] = kv_one(a->from.type, keys + half, token * width + d);
      if (has_ranges(a->to.type)) {
        uint8_t *target = page_of(&a->to, h, slot), *values = target + keys_bytes(a->to.type, width);
        for (size_t i = 0; i < width / KV_BLOCK; i++)
          store_value_range(values, width, slot % PAGE, i, v + i * KV_BLOCK);
        if (is_last) store_keys_by_element(target, keys, width, token + 1);
        continue;
      }
      for (size_t d = 0; d < width; d++) k[d] = kv_one(a->from.type, keys, d * PAGE + token);
      store_token(&a->to, h, slot, k, v);
    }
  }
}
