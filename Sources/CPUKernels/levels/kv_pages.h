// Numbers in pages of keys and values, and the write of a token's.
//
// A half page, its keys or its values, is floats, or scales and then codes: include/CPUKernels.h has the layout.

enum { KV_BLOCK = 32 }; // numbers that share a scale

INLINE bool has_codes(cpu_kv_type type) { return type == CPU_KV_Q8 || type == CPU_KV_Q4; }

INLINE size_t half_bytes(cpu_kv_type type, size_t width) {
  return width * (type == CPU_KV_F32 ? 64 : type == CPU_KV_Q8 ? 17 : type == CPU_KV_Q4 ? 9 : 32);
}

INLINE size_t head_bytes(const cpu_kv_pool *pool) {
  return 2 * half_bytes(pool->type, pool->head_width);
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

// Vector `index` of the bytes behind the scales of a half page.
INLINE b16 load_codes(const uint8_t *half, size_t width, size_t index) {
  return *(const b16_any *)(half + width + index * 16);
}

// The codes in one part of the bytes, 0 or 1: vector c of PAGE_VECTORS.
INLINE vf whole_numbers(cpu_kv_type type, b16 bytes, size_t part, int c) {
  c16 codes = type == CPU_KV_Q8 ? (c16)bytes : (c16)(part == 0 ? bytes & 15 : bytes >> 4) - 8;
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

// Element d of the keys of a page: vector c of its tokens.
INLINE vf key_vector(cpu_kv_type type, const uint8_t *keys, size_t width, size_t d, int c) {
  if (!has_codes(type)) return kv_load(type, keys, d * PAGE + (size_t)(c * LANES));
  size_t parts = type == CPU_KV_Q4 ? 2 : 1;
  return whole_numbers(type, load_codes(keys, width, d / parts), d % parts, c) *
         widen(keys + (d / KV_BLOCK * PAGE + (size_t)(c * LANES)) * 2);
}

// The elements from d on, a multiple of 16, of the value of a token: whole sixteens.
INLINE void value_numbers(cpu_kv_type type, const uint8_t *values, size_t width, size_t token,
                          size_t d, int vectors, vf *v) {
  for (int c = 0; c < vectors; c += PAGE_VECTORS) {
    size_t at = d + (size_t)(c * LANES), block = token * (width / KV_BLOCK) + at / KV_BLOCK;
    vf scale = splat(widen_one(values + block * 2)[0]);
    b16 codes = type == CPU_KV_Q4 ? load_codes(values, width, block)
                                  : load_codes(values, width, token * (width / 16) + at / 16);
    for (int i = 0; i < PAGE_VECTORS; i++)
      v[c + i] = whole_numbers(type, codes, at / 16 % 2, i) * scale;
  }
}

// A block of a key or a value: the steps of Sources/Tensors/KVBlock.swift.
INLINE void store_block(cpu_kv_type type, uint8_t *half, bool is_key, size_t width, size_t token,
                        size_t block, const float *x) {
  vf above = (vf)0.0f, below = (vf)0.0f;
  for (size_t i = 0; i < KV_BLOCK; i += LANES) {
    above = max_of(load(x + i), above);
    below = max_of(-load(x + i), below);
  }
  float most = largest_of(above)[0], least = largest_of(below)[0];
  float limit = type == CPU_KV_Q8 ? 128.0f : 8.0f;
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
    if (type == CPU_KV_Q4) whole += 8;
    *(vo_any *)(codes + i) = __builtin_convertvector((vu)whole & 0xff, vo);
  }
  size_t bytes = type == CPU_KV_Q8 ? KV_BLOCK : KV_BLOCK / 2, other = is_key ? 1 : KV_BLOCK / 2;
  for (size_t i = 0; i < bytes; i++) {
    size_t low = type == CPU_KV_Q8 || !is_key ? i : 2 * i;
    uint8_t byte = type == CPU_KV_Q8 ? codes[low] : (uint8_t)(codes[low] | codes[low + other] << 4);
    target[is_key ? (block * bytes + i) * PAGE + token
                  : (token * (width / KV_BLOCK) + block) * bytes + i] = byte;
  }
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
  uint8_t *keys = page_of(pool, head, slot), *values = keys + head_bytes(pool) / 2;
  if (has_codes(pool->type)) {
    for (size_t i = 0; i < width / KV_BLOCK; i++)
      if (pool->type == CPU_KV_Q8) {
        store_block(CPU_KV_Q8, keys, true, width, token, i, k + i * KV_BLOCK);
        store_block(CPU_KV_Q8, values, false, width, token, i, v + i * KV_BLOCK);
      } else {
        store_block(CPU_KV_Q4, keys, true, width, token, i, k + i * KV_BLOCK);
        store_block(CPU_KV_Q4, values, false, width, token, i, v + i * KV_BLOCK);
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
  for (size_t r = first; r < last; r++) {
    if (a->slots[r] < 0) continue;
    for (size_t h = 0; h < heads; h++)
      store_token(&a->pool, h, (size_t)a->slots[r], a->k + (r * heads + h) * width,
                  a->v + (r * heads + h) * width);
  }
}

static void copy_kv(const void *arguments, size_t first, size_t last) {
  const cpu_copy_kv_arguments *a = arguments;
  size_t width = a->to.head_width, half = half_bytes(a->from.type, width);
  for (size_t r = first; r < last; r++) {
    if (a->sources[r] < 0 || a->slots[r] < 0) continue;
    size_t source = (size_t)a->sources[r], token = source % PAGE;
    for (size_t h = 0; h < a->to.heads; h++) {
      const uint8_t *keys = page_of(&a->from, h, source);
      float k[CPU_MAX_HEAD_WIDTH], v[CPU_MAX_HEAD_WIDTH];
      for (size_t d = 0; d < width; d++) {
        k[d] = kv_one(a->from.type, keys, d * PAGE + token);
        v[d] = kv_one(a->from.type, keys + half, token * width + d);
      }
      store_token(&a->to, h, (size_t)a->slots[r], k, v);
    }
  }
}
