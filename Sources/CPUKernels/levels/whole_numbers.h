// Attention over keys and values that are whole numbers (CPU_KV_I16): sums of products are exact in 32 bits, two
// products an instruction and lane, so they may be added in any order.
//
// Tokens that a query does not see have the weight 0, whatever lies in their places.

// Queries whose scores become weights side by side: what waits for one goes on for another.
enum { WEIGHED = 4 };
_Static_assert(QUERY_TILE % WEIGHED == 0, "what is kept of queries has room for whole groups");

// Four numbers in the first lanes, and some in the others.
INLINE vf first_four(quad a) {
#if LANES == 16
  return __builtin_shufflevector(a, a, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3);
#else
  return __builtin_shufflevector(a, a, 0, 1, 2, 3, 0, 1, 2, 3);
#endif
}

// The codes of the first queries: the rule of Sources/Tensors/WholeNumbers.swift. Those behind them, up to a multiple of
// WEIGHED, have scores of zero.
INLINE void whole_queries(gathering *s, size_t queries) {
  size_t width = s->width;
  float *scales = s->whole.q_scale;
  vf part = reciprocal(splat((float)(QUERY_TOTAL - width)));
  for (size_t query = 0; query < queries; query += WEIGHED) {
    vf sums[WEIGHED], most[WEIGHED];
    for (size_t j = 0; j < WEIGHED; j++) {
      const float *q = s->q + (query + j < queries ? query + j : query) * width;
      vf lanes[SUM_VECTORS];
      for (int c = 0; c < SUM_VECTORS; c++) lanes[c] = most[j] = (vf)0.0f;
      for (size_t i = 0; i < width; i += 16)
        for (int c = 0; c < SUM_VECTORS; c++) {
          vf size = magnitude(load(q + i + (size_t)(c * LANES)));
          lanes[c] += size;
          most[j] = max_of(size, most[j]);
        }
      sums[j] = SUM_VECTORS == 2 ? lanes[0] + lanes[SUM_VECTORS - 1] : lanes[0];
    }
    vf largest = first_four(largest_of_four(most));
    vf by_most = choose(largest > LARGEST_NUMBER, splat(LARGEST_NUMBER), largest) * (1 / KEY_LIMIT);
    vf scale = max_of(first_four(sums_of(sums)) * part, by_most);
    store_some(scales + query, choose(scale < LEAST_SCALE, (vf)0.0f, scale), WEIGHED);
  }
  for (size_t query = 0; query < queries; query++) {
    vf inverse = inverse_scale(scales[query]);
    for (size_t i = query * width; i < (query + 1) * width; i += LANES)
      *(vs_any *)(s->whole.q + i) = whole_codes(load(s->q + i), inverse, KEY_LIMIT);
  }
  for (size_t j = queries; j % WEIGHED != 0; j++) __builtin_memset(s->p[j], 0, sizeof s->p[j]);
}

// Two codes side by side, in every lane.
INLINE vi pair_of(const int16_t *codes) {
  int32_t pair;
  __builtin_memcpy(&pair, codes, sizeof pair);
  return (vi)pair;
}

// The scores of `queries` queries against `pages` pages (both constants) from page `from` on.
INLINE void score_codes_tile(cpu_kv_type type, int queries, int pages, gathering *s, size_t query, const window *w,
                             size_t from, bool fetches) {
  vi sums[QUERIES][TILE_VECTORS];
  size_t width = s->width, line = keys_bytes(type, width) / (width / 2);
  const int16_t *q = s->whole.q + query * width;
  const uint8_t *keys[TILE_PAGES];
  for (int p = 0; p < pages; p++) keys[p] = w->here[from + (size_t)p];
  for (int j = 0; j < queries; j++)
    for (int c = 0; c < pages * PAGE_VECTORS; c++) sums[j][c] = (vi){0};
  for (size_t d = 0; d < width; d += 2) {
    vi key[TILE_VECTORS];
    if (fetches) fetch(w, d / 2 * line, line);
    for (int p = 0; p < pages; p++)
      for (int c = 0; c < PAGE_VECTORS; c++)
        key[p * PAGE_VECTORS + c] =
            *(const vi_any *)(keys[p] + TOKEN_SCALES + (d / 2 * PAGE + (size_t)(c * LANES)) * 4);
    for (int j = 0; j < queries; j++) {
      vi x = pair_of(q + (size_t)j * width + d);
      for (int c = 0; c < pages * PAGE_VECTORS; c++) sums[j][c] = dot2(sums[j][c], key[c], x);
    }
  }
  for (int p = 0; p < pages; p++)
    for (int c = 0; c < PAGE_VECTORS; c++) {
      vf scales = load(keys[p] + c * LANES * 4);
      for (int j = 0; j < queries; j++)
        store(&s->p[query + (size_t)j][(from + (size_t)p) * PAGE + (size_t)(c * LANES)],
              __builtin_convertvector(sums[j][p * PAGE_VECTORS + c], vf) * scales *
                  splat(s->whole.q_scale[query + (size_t)j]));
    }
}

// The scores of the first queries against the pages from ..< to of a window.
OUT_OF_LINE void score_codes(gathering *s, size_t queries, const window *w, size_t from, size_t to) {
  const cpu_kv_type type = CPU_KV_I16;
  for (size_t page = from, j; page < to;) {
    if (TILE_PAGES >= 4 && to - page >= 4) {
      j = 0;
      IN_CONSTANT_TILES(j, queries, score_codes_tile, TILE_PAGES >= 4 ? 4 : 1, s, j, w, page, j == 0)
      page += 4;
    } else if (TILE_PAGES >= 2 && to - page >= 2) {
      j = 0;
      IN_CONSTANT_TILES(j, queries, score_codes_tile, TILE_PAGES >= 2 ? 2 : 1, s, j, w, page, j == 0 && page == from)
      page += 2;
    } else {
      j = 0;
      IN_CONSTANT_TILES(j, queries, score_codes_tile, 1, s, j, w, page, j == 0 && page == from)
      page += 1;
    }
  }
}

// What a query sees of a window.
typedef struct {
  int32_t first, last;
} sight;

INLINE vi seen_of(sight sees, int vector) {
  vi lane;
  for (int i = 0; i < LANES; i++) lane[i] = i;
  return (lane >= sees.first - vector * LANES) & (lane < sees.last - vector * LANES);
}

// The peaks of WEIGHED queries with a window's scores, and what earlier sums shrink by. `masked`, a constant, says that a
// query may see a part of the window, or nothing.
INLINE void raise_peaks(gathering *s, size_t query, const sight *sees, bool masked) {
  vf peaks[WEIGHED];
  for (int j = 0; j < WEIGHED; j++) {
    float *p = s->p[query + (size_t)j];
#pragma clang loop unroll(full)
    for (int i = 0; i < WINDOW / LANES; i++) {
      vf score = load(p + i * LANES);
      if (masked)
        store(p + i * LANES, score = choose(seen_of(sees[j], i), score, (vf)-__builtin_inff()));
      peaks[j] = i == 0 ? score : max_of(score, peaks[j]);
    }
  }
  vf before = first_four(*(const quad_any *)(s->peak + query));
  vf peak = max_of(first_four(largest_of_four(peaks)), before);
  store_some(s->peak + query, peak, WEIGHED);
  store_some(s->whole.shrink + query,
             choose(peak > before, exponential_below(before - peak), (vf)1.0f), WEIGHED);
}

// Their weights, each times its value's scale, with totals and the scale of codes.
INLINE void scale_weights(gathering *s, size_t query, const vf *scales, bool masked) {
  vf totals[WEIGHED], most[WEIGHED];
  for (int j = 0; j < WEIGHED; j++) {
    float *p = s->p[query + (size_t)j], peak = s->peak[query + (size_t)j];
    vf lanes[SUM_VECTORS];
#pragma clang loop unroll(full)
    for (int i = 0; i < WINDOW / LANES; i++) {
      vf score = load(p + i * LANES), weight = coarse_exponential(score - peak);
      vi seen = score != -__builtin_inff();
      // Zero before it is multiplied: so small a number takes some CPUs long.
      if (masked) weight = choose(seen, weight, (vf)0.0f);
      vf scaled = weight * scales[i];
      if (masked) scaled = choose(seen, scaled, (vf)0.0f);
      lanes[i % SUM_VECTORS] = i < SUM_VECTORS ? weight : lanes[i % SUM_VECTORS] + weight;
      most[j] = i == 0 ? scaled : max_of(scaled, most[j]);
      store(p + i * LANES, scaled);
    }
    totals[j] = SUM_VECTORS == 2 ? lanes[0] + lanes[SUM_VECTORS - 1] : lanes[0];
  }
  vf shrink = first_four(*(const quad_any *)(s->whole.shrink + query));
  vf total = first_four(*(const quad_any *)(s->total + query)) * shrink + first_four(sums_of(totals));
  vf scale = first_four(largest_of_four(most)) * (1 / WEIGHT_LIMIT);
  store_some(s->total + query, total, WEIGHED);
  store_some(s->whole.weight_scale + query, choose(scale < LEAST_SCALE, (vf)0.0f, scale), WEIGHED);
}

// And their codes.
INLINE void code_weights(gathering *s, size_t query) {
  vf scale = first_four(*(const quad_any *)(s->whole.weight_scale + query));
  vf inverse = choose(scale == 0.0f, (vf)0.0f, reciprocal(scale));
  for (int j = 0; j < WEIGHED; j++)
#pragma clang loop unroll(full)
    for (int i = 0; i < WINDOW / LANES; i++) {
      // The lower half of the bits is the nearest whole number. None is beyond the limit.
      vu bits = (vu)(load(&s->p[query + (size_t)j][i * LANES]) * inverse[j] + ROUNDER);
      *(vh_any *)(s->whole.weights[query + (size_t)j] + i * LANES) = __builtin_convertvector(bits, vh);
    }
}

// The weights of the first queries, by what each sees; those behind them, up to a multiple of WEIGHED, see nothing.
// In passes: each has many queries whose chains of operations overlap.
OUT_OF_LINE void weigh_window(gathering *s, size_t queries, const window *w, const sight *sees) {
  vf scales[WINDOW / LANES];
  bool masked[QUERY_TILE / WEIGHED];
  for (int i = 0; i < WINDOW / LANES; i++)
    scales[i] =
        load(w->here[i / PAGE_VECTORS] + keys_bytes(CPU_KV_I16, s->width) + i % PAGE_VECTORS * LANES * 4);
  for (size_t query = 0; query < queries; query += WEIGHED) {
    bool some = false;
    for (size_t j = query; j < query + WEIGHED; j++) some = some || sees[j].first > 0 || sees[j].last < WINDOW;
    masked[query / WEIGHED] = some;
    if (some)
      raise_peaks(s, query, sees + query, true);
    else
      raise_peaks(s, query, sees + query, false);
  }
  for (size_t query = 0; query < queries; query += WEIGHED)
    if (masked[query / WEIGHED])
      scale_weights(s, query, scales, true);
    else
      scale_weights(s, query, scales, false);
  for (size_t query = 0; query < queries; query += WEIGHED) code_weights(s, query);
}

// Adds sums of codes to what a query has gathered, shrunk: vectors from element d on.
INLINE void add_codes(gathering *s, size_t query, size_t d, int vectors, const vi *sums) {
  float *o = s->o + query * s->width + d;
  vf scale = splat(s->whole.weight_scale[query]), shrink = splat(s->whole.shrink[query]);
  for (int c = 0; c < vectors; c++)
    store(o + c * LANES, fused(__builtin_convertvector(sums[c], vf), scale, load(o + c * LANES) * shrink));
}

// Adds the weighted values of the pages from ..< to of a window to `queries` queries: `vectors` vectors (both
// constants) from element d on, behind what was there, shrunk.
INLINE void gather_codes_tile(cpu_kv_type type, int queries, int vectors, gathering *s, size_t query, const window *w,
                              size_t d, size_t from, size_t to, bool fetches) {
  vi sums[QUERIES][TILE_VECTORS];
  const whole_gathering *whole = &s->whole;
  size_t width = s->width, keys = keys_bytes(type, width);
  size_t line = keys / (WINDOW_PAGES * PAGE / 2) * (size_t)(vectors * LANES) / width;
  for (int j = 0; j < queries; j++)
    for (int c = 0; c < vectors; c++) sums[j][c] = (vi){0};
  for (size_t page = from; page < to; page++) {
    const uint8_t *words = w->here[page] + keys + TOKEN_SCALES + d * 4;
    for (size_t t = 0; t < PAGE; t += 2, words += width * 4) {
      vi v[TILE_VECTORS];
      if (fetches) fetch(w, keys + keys * d / width + (page * PAGE + t) / 2 * line, line);
      for (int c = 0; c < vectors; c++) v[c] = *(const vi_any *)(words + c * LANES * 4);
      for (int j = 0; j < queries; j++) {
        vi weight = pair_of(&whole->weights[query + (size_t)j][page * PAGE + t]);
        for (int c = 0; c < vectors; c++) sums[j][c] = dot2(sums[j][c], v[c], weight);
      }
    }
  }
  for (int j = 0; j < queries; j++) add_codes(s, query + (size_t)j, d, vectors, sums[j]);
}

// The sums of the first queries over the pages from ..< to of a window.
OUT_OF_LINE void gather_codes(gathering *s, size_t queries, const window *w, size_t from, size_t to) {
  const cpu_kv_type type = CPU_KV_I16;
  size_t d = 0, width = s->width;
  for (; d + TILE_VECTORS * LANES <= width; d += TILE_VECTORS * LANES) {
    size_t j = 0;
    IN_CONSTANT_TILES(j, queries, gather_codes_tile, TILE_VECTORS, s, j, w, d, from, to, j == 0)
  }
  for (; d < width; d += LANES) {
    size_t j = 0;
    IN_CONSTANT_TILES(j, queries, gather_codes_tile, 1, s, j, w, d, from, to, j == 0)
  }
}

// Whole windows and a few queries, as whole_windows.h has floats: a line of each page at a time.
#if LANES == 16

INLINE void score_code_lines(size_t queries, gathering *s, const window *w) {
  const uint8_t *here[WINDOW_PAGES], *near[WINDOW_PAGES], *next[WINDOW_PAGES];
  size_t keys = keys_bytes(CPU_KV_I16, s->width), width = s->width;
  bool intel = cpu_is_intel;
  vi sums[QUERIES][WINDOW_PAGES];
  for (int i = 0; i < WINDOW_PAGES; i++) {
    here[i] = w->here[i], next[i] = w->next[i];
    near[i] = here[i] + keys;
    __builtin_prefetch(near[i]);
    ask_early(next[i], intel);
  }
  for (size_t j = 0; j < queries; j++)
    for (int i = 0; i < WINDOW_PAGES; i++) sums[j][i] = (vi){0};
  const int16_t *q = s->whole.q;
  for (size_t place = TOKEN_SCALES; place < keys; place += 64, q += 2) {
    vi key[WINDOW_PAGES];
    for (int i = 0; i < WINDOW_PAGES; i++) {
      __builtin_prefetch(near[i] + place);
      ask_early(next[i] + place, intel);
    }
    for (int i = 0; i < WINDOW_PAGES; i++) key[i] = *(const vi_any *)(here[i] + place);
    for (size_t j = 0; j < queries; j++) {
      vi x = pair_of(q + j * width);
      for (int i = 0; i < WINDOW_PAGES; i++) sums[j][i] = dot2(sums[j][i], key[i], x);
    }
  }
  // The first lines of the next values come while scores become weights.
  for (size_t place = keys; place < keys + TOKEN_SCALES + PAGE * PAGE * 2; place += 64)
    for (int i = 0; i < WINDOW_PAGES; i++) ask_early(next[i] + place, intel);
  for (int i = 0; i < WINDOW_PAGES; i++)
    for (size_t j = 0; j < queries; j++)
      store(&s->p[j][i * LANES],
            __builtin_convertvector(sums[j][i], vf) * load(here[i]) * splat(s->whole.q_scale[j]));
}

INLINE void gather_code_lines(size_t queries, gathering *s, const window *w) {
  const whole_gathering *whole = &s->whole;
  size_t width = s->width, keys = keys_bytes(CPU_KV_I16, width), element = PAGE * 2;
  bool intel = cpu_is_intel;
  for (int i = 0; i < WINDOW_PAGES; i++) __builtin_prefetch(w->next[i]);
  for (size_t d = 0; d < width; d += TILE_VECTORS * LANES) {
    vi sums[QUERIES][TILE_VECTORS];
    for (size_t j = 0; j < queries; j++)
      for (int c = 0; c < TILE_VECTORS; c++) sums[j][c] = (vi){0};
#pragma clang loop unroll(disable)
    for (size_t page = 0; page < WINDOW_PAGES; page++) {
      const uint8_t *value = w->here[page] + keys + TOKEN_SCALES + d * 4, *near[WINDOW_PAGES], *next[WINDOW_PAGES];
      // In equal shares, as gather_lines has them.
      size_t share = PAGE * element, place = TOKEN_SCALES + d * element + page * share;
      bool early = place + share < keys;
      for (int i = 0; i < WINDOW_PAGES; i++) {
        near[i] = w->next[i] + place;
        next[i] = w->next[i] + keys + place + share;
      }
      for (size_t t = 0; t < PAGE; t += 2, value += width * 4) {
        const int16_t *weights = &whole->weights[0][page * PAGE + t];
        vi v[TILE_VECTORS];
        for (int i = 0; i < WINDOW_PAGES; i++) __builtin_prefetch(near[i] + t * element);
        for (int i = 0; i < WINDOW_PAGES && early; i++) ask_early(next[i] + t * element, intel);
        for (int c = 0; c < TILE_VECTORS; c++) v[c] = *(const vi_any *)(value + c * LANES * 4);
        for (size_t j = 0; j < queries; j++) {
          vi weight = pair_of(weights + j * WINDOW);
          for (int c = 0; c < TILE_VECTORS; c++) sums[j][c] = dot2(sums[j][c], v[c], weight);
        }
      }
    }
    for (size_t j = 0; j < queries; j++) add_codes(s, j, d, TILE_VECTORS, sums[j]);
  }
}

#define LINES_FUNCTIONS(queries)                                                       \
  OUT_OF_LINE void score_code_lines_##queries(gathering *s, const window *w) {         \
    score_code_lines(queries, s, w);                                                   \
  }                                                                                    \
  OUT_OF_LINE void gather_code_lines_##queries(gathering *s, const window *w) {        \
    gather_code_lines(queries, s, w);                                                  \
  }
LINES_FUNCTIONS(1)
LINES_FUNCTIONS(2)
LINES_FUNCTIONS(3)
LINES_FUNCTIONS(4)
LINES_FUNCTIONS(5)
LINES_FUNCTIONS(6)
#undef LINES_FUNCTIONS

typedef void code_lines_function(gathering *s, const window *w);

#define LINES_ROW(name) {name##_1, name##_2, name##_3, name##_4, name##_5, name##_6}
static code_lines_function *const score_code_lines_of[QUERIES] = LINES_ROW(score_code_lines);
static code_lines_function *const gather_code_lines_of[QUERIES] = LINES_ROW(gather_code_lines);
#undef LINES_ROW

#endif

// What the first queries see of a window's pages from ..< to.
INLINE void attend_codes(gathering *s, size_t queries, const window *w, const sight *sees, size_t from, size_t to) {
#if LANES == 16
  if (queries <= QUERIES && s->width % (TILE_VECTORS * LANES) == 0 && from == 0 && to == WINDOW_PAGES) {
    score_code_lines_of[queries - 1](s, w);
    weigh_window(s, queries, w, sees);
    gather_code_lines_of[queries - 1](s, w);
    return;
  }
#endif
  score_codes(s, queries, w, from, to);
  weigh_window(s, queries, w, sees);
  gather_codes(s, queries, w, from, to);
}
