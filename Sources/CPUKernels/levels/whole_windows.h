// Whole windows of floats and a few queries, which is what a token's attention far into a text is made of.
//
// Memory is its limit, and arithmetic takes half of the time that memory does; the two overlap as far as the core can
// look ahead. So these loops are short: a line of each page at a time, a function for each type and number of queries,
// all addresses in registers. Where registers are smaller, that serves a prompt's many queries too, some at a time, and
// the pages of a window that all of them see.

// Levels whose widening of halves keeps multipliers busy go page by page.
#if WIDENS_FREELY

_Static_assert(QUERIES == 6, "the tables have six functions");

// Pages whose scores, and vectors of a value, that are summed at a time: as many as registers hold beside the queries
// (constant).
INLINE size_t pages_together(size_t queries) {
  return LANES == 16 || queries == 1 ? WINDOW_PAGES : queries == 2 ? WINDOW_PAGES / 2 : 1;
}
INLINE size_t vectors_together(size_t queries) {
  return LANES == 16 ? 4 : queries == 1 ? 8 : queries == 2 ? 4 : 2;
}
enum { WHOLE_WIDTH = 64, MOST_TOGETHER = 128 / LANES };

// Elements of keys that share a line of a page.
INLINE size_t sharing_line(cpu_kv_type type) { return type == CPU_KV_F32 ? 1 : 2; }

// Some queries, from one on, and pages from ..< to of a window; whether to ask for what comes next meanwhile.
typedef struct {
  size_t query, from, to;
  bool asks;
} whole_part;

// All of it for the first queries is what larger registers take, and nothing is left to decide there.
INLINE whole_part part_of_window(whole_part part) {
  return LANES == 16 ? (whole_part){0, 0, WINDOW_PAGES, true} : part;
}

// The scores of the queries from `query` on against `pages` pages from `first` on.
INLINE void score_lines_of_pages(cpu_kv_type type, size_t queries, size_t pages, gathering *s, size_t query,
                                 size_t first, bool asks, const window *w) {
  const uint8_t *here[WINDOW_PAGES], *near[WINDOW_PAGES], *next[WINDOW_PAGES];
  size_t width = s->width, element = keys_bytes(type, 1), some = sharing_line(type);
  bool intel = cpu_is_intel;
  vf sums[QUERIES][WINDOW_PAGES * PAGE_VECTORS];
  for (size_t i = 0; i < pages; i++) {
    here[i] = w->here[first + i], next[i] = w->next[first + i];
    near[i] = here[i] + w->soon;
  }
  for (size_t j = 0; j < queries; j++)
    for (size_t i = 0; i < pages * PAGE_VECTORS; i++) sums[j][i] = (vf)0.0f;
  for (size_t place = 0; place < width * element; place += some * element) {
    const float *q = s->q + query * width + place / element;
    for (size_t i = 0; i < pages && asks; i++) {
      __builtin_prefetch(near[i] + place);
      ask_early(next[i] + place, intel);
    }
    for (size_t n = 0; n < some; n++) {
      vf key[WINDOW_PAGES * PAGE_VECTORS];
      for (size_t i = 0; i < pages * PAGE_VECTORS; i++)
        key[i] = kv_load(type, here[i / PAGE_VECTORS] + place + n * element, i % PAGE_VECTORS * LANES);
      for (size_t j = 0; j < queries; j++) {
        vf x = splat(q[j * width + n]);
        for (size_t i = 0; i < pages * PAGE_VECTORS; i++) sums[j][i] = fused(key[i], x, sums[j][i]);
      }
      LOADS_IN_TURN;
    }
  }
  // The first lines of the next values come while scores become weights.
  size_t keys = keys_bytes(type, width), share = PAGE * values_bytes(type, 1);
  for (size_t place = keys; place < keys + share && asks; place += 64)
    for (size_t i = 0; i < pages; i++) ask_early(next[i] + place, intel);
  for (size_t j = 0; j < queries; j++)
    for (size_t i = 0; i < pages * PAGE_VECTORS; i++)
      store(&s->p[query + j][first * PAGE + i * LANES], sums[j][i]);
}

INLINE void score_lines(cpu_kv_type type, size_t queries, gathering *s, whole_part part, const window *w) {
  size_t pages = pages_together(queries);
  part = part_of_window(part);
  for (size_t first = part.from / pages * pages; first < part.to; first += pages)
    score_lines_of_pages(type, queries, pages, s, part.query, first, part.asks, w);
}

// Adds the weighted values.
INLINE void gather_lines(cpu_kv_type type, size_t queries, gathering *s, whole_part part, const window *w) {
  size_t width = s->width, element = values_bytes(type, 1), keys = keys_bytes(type, width);
  size_t vectors = vectors_together(queries), wide = vectors * LANES;
  size_t some = sharing_line(type) * WHOLE_WIDTH / wide; // tokens that are added while a line of each page is asked for
  bool intel = cpu_is_intel;
  part = part_of_window(part);
  for (size_t d = 0; d < width; d += wide) {
    vf sums[QUERIES][MOST_TOGETHER];
    for (size_t j = 0; j < queries; j++)
      for (size_t c = 0; c < vectors; c++) sums[j][c] = load(s->o + (part.query + j) * width + d + c * LANES);
#pragma clang loop unroll(disable) // short, as above
    for (size_t page = part.from; page < part.to; page++) {
      const uint8_t *value = w->here[page] + keys + d * (element / PAGE), *near[WINDOW_PAGES], *next[WINDOW_PAGES];
      // All next pages' values are asked for in equal shares, in order of addresses: one while the tokens of a page are
      // added. What comes early is a share ahead of that.
      size_t share = wide * element / WINDOW_PAGES, place = keys + d * element + page * share;
      bool early = part.asks && place + share < w->page_bytes;
      for (int i = 0; i < WINDOW_PAGES; i++) {
        near[i] = w->next[i] + (place + w->soon - w->page_bytes);
        next[i] = w->next[i] + (place + share);
      }
      for (size_t t = 0; t < PAGE; t += some) {
        const float *weights = &s->p[part.query][page * PAGE + t];
        for (int i = 0; i < WINDOW_PAGES && part.asks; i++) __builtin_prefetch(near[i] + t * (share / PAGE));
        for (int i = 0; i < WINDOW_PAGES && early; i++) ask_early(next[i] + t * (share / PAGE), intel);
        for (size_t n = 0; n < some; n++, value += width * (element / PAGE)) {
          vf v[MOST_TOGETHER];
          for (size_t c = 0; c < vectors; c++) v[c] = kv_load(type, value, c * LANES);
          for (size_t j = 0; j < queries; j++) {
            vf weight = splat(weights[j * WINDOW + n]);
            for (size_t c = 0; c < vectors; c++) sums[j][c] = fused(v[c], weight, sums[j][c]);
          }
          LOADS_IN_TURN;
        }
      }
    }
    for (size_t j = 0; j < queries; j++)
      for (size_t c = 0; c < vectors; c++) store(s->o + (part.query + j) * width + d + c * LANES, sums[j][c]);
  }
}

typedef void lines_function(gathering *s, whole_part part, const window *w);

#define LINES_FUNCTIONS(type, queries)                                                                  \
  OUT_OF_LINE void score_lines_##type##_##queries(gathering *s, whole_part part, const window *w) {  \
    score_lines(CPU_KV_##type, queries, s, part, w);                                                 \
  }                                                                                                  \
  OUT_OF_LINE void gather_lines_##type##_##queries(gathering *s, whole_part part, const window *w) { \
    gather_lines(CPU_KV_##type, queries, s, part, w);                                                \
  }
#define LINES_OF_TYPE(type)                                                          \
  LINES_FUNCTIONS(type, 1)                                                           \
  LINES_FUNCTIONS(type, 2)                                                           \
  LINES_FUNCTIONS(type, 3)                                                           \
  LINES_FUNCTIONS(type, 4)                                                           \
  LINES_FUNCTIONS(type, 5)                                                           \
  LINES_FUNCTIONS(type, 6)
LINES_OF_TYPE(F32)
LINES_OF_TYPE(F16)
LINES_OF_TYPE(BF16)

#define LINES_ROW(name, type)                                                        \
  [CPU_KV_##type] = {name##_##type##_1, name##_##type##_2, name##_##type##_3,        \
                     name##_##type##_4, name##_##type##_5, name##_##type##_6}
static lines_function *const score_lines_of[][QUERIES] = {
    LINES_ROW(score_lines, F32), LINES_ROW(score_lines, F16), LINES_ROW(score_lines, BF16)};
static lines_function *const gather_lines_of[][QUERIES] = {
    LINES_ROW(gather_lines, F32), LINES_ROW(gather_lines, F16), LINES_ROW(gather_lines, BF16)};
#undef LINES_FUNCTIONS
#undef LINES_OF_TYPE
#undef LINES_ROW

// Whether so many queries are worked on so. Larger registers suit many queries as they are.
INLINE bool takes_whole_windows(cpu_kv_type type, size_t queries, size_t width) {
  return !has_codes(type) && type != CPU_KV_I16 && (LANES == 8 || queries <= QUERIES) && width % WHOLE_WIDTH == 0;
}
// And these pages of a window.
INLINE bool takes_pages(size_t from, size_t to) {
  return LANES == 8 ? from < to : from == 0 && to == WINDOW_PAGES;
}
INLINE void run_lines(lines_function *const functions[QUERIES], size_t queries, gathering *s, size_t from, size_t to,
                      const window *w) {
  for (size_t j = 0, some; j < queries; j += some) {
    size_t left = queries - j;
    some = left == 7 || left == 8 ? 4 : left < QUERIES ? left : QUERIES;
    functions[some - 1](s, (whole_part){j, from, to, j == 0}, w);
  }
}
INLINE void score_whole(cpu_kv_type type, size_t queries, gathering *s, size_t from, size_t to, const window *w) {
  run_lines(score_lines_of[type], queries, s, from, to, w);
}
INLINE void gather_whole(cpu_kv_type type, size_t queries, gathering *s, size_t from, size_t to, const window *w) {
  run_lines(gather_lines_of[type], queries, s, from, to, w);
}

#else

INLINE bool takes_whole_windows(cpu_kv_type type, size_t queries, size_t width) {
  (void)type, (void)queries, (void)width;
  return false;
}
INLINE bool takes_pages(size_t from, size_t to) {
  (void)from, (void)to;
  return false;
}
// Never called.
INLINE void score_whole(cpu_kv_type type, size_t queries, gathering *s, size_t from, size_t to, const window *w) {
  (void)type, (void)queries, (void)s, (void)from, (void)to, (void)w;
}
INLINE void gather_whole(cpu_kv_type type, size_t queries, gathering *s, size_t from, size_t to, const window *w) {
  (void)type, (void)queries, (void)s, (void)from, (void)to, (void)w;
}

#endif
