// Whole windows of floats and a few queries, which is what a token's attention far into a text is made of.
//
// Memory is its limit, and arithmetic takes half of the time that memory does; the two overlap as far as the core can
// look ahead. So these loops are short: a line of each page at a time, a function for each type and number of queries,
// all addresses in registers.

// Levels with smaller registers go page by page.
#if LANES == 16

_Static_assert(QUERIES == 6 && TILE_PAGES == WINDOW_PAGES && PAGE_VECTORS == 1,
               "the tables have six functions, whose tiles are a vector of each page");

// Elements of keys that share a line of a page; and how many of a page's tokens are added while a line of each page is
// asked for.
INLINE size_t sharing_line(cpu_kv_type type) { return type == CPU_KV_F32 ? 1 : 2; }

// The scores of the first queries.
INLINE void score_lines(cpu_kv_type type, size_t queries, gathering *s, const window *w) {
  const uint8_t *here[WINDOW_PAGES], *near[WINDOW_PAGES], *next[WINDOW_PAGES];
  size_t width = s->width, element = keys_bytes(type, 1), some = sharing_line(type);
  bool intel = cpu_is_intel;
  vf sums[QUERIES][WINDOW_PAGES];
  for (int i = 0; i < WINDOW_PAGES; i++) {
    here[i] = w->here[i], next[i] = w->next[i];
    near[i] = here[i] + w->soon;
  }
  for (size_t j = 0; j < queries; j++)
    for (int i = 0; i < WINDOW_PAGES; i++) sums[j][i] = (vf)0.0f;
  for (size_t place = 0; place < width * element; place += some * element) {
    const float *q = s->q + place / element;
    for (int i = 0; i < WINDOW_PAGES; i++) {
      __builtin_prefetch(near[i] + place);
      ask_early(next[i] + place, intel);
    }
    for (size_t n = 0; n < some; n++) {
      vf key[WINDOW_PAGES];
      for (int i = 0; i < WINDOW_PAGES; i++) key[i] = kv_load(type, here[i] + place + n * element, 0);
      for (size_t j = 0; j < queries; j++) {
        vf x = splat(q[j * width + n]);
        for (int i = 0; i < WINDOW_PAGES; i++) sums[j][i] = fused(key[i], x, sums[j][i]);
      }
    }
  }
  // The first lines of the next values come while scores become weights.
  size_t keys = keys_bytes(type, width), share = PAGE * values_bytes(type, 1);
  for (size_t place = keys; place < keys + share; place += 64)
    for (int i = 0; i < WINDOW_PAGES; i++) ask_early(next[i] + place, intel);
  for (size_t j = 0; j < queries; j++)
    for (int i = 0; i < WINDOW_PAGES; i++) store(&s->p[j][i * LANES], sums[j][i]);
}

// Adds the weighted values to the first queries.
INLINE void gather_lines(cpu_kv_type type, size_t queries, gathering *s, const window *w) {
  size_t width = s->width, element = values_bytes(type, 1), some = sharing_line(type), keys = keys_bytes(type, width);
  bool intel = cpu_is_intel;
  for (size_t d = 0; d < width; d += TILE_VECTORS * LANES) {
    vf sums[QUERIES][TILE_VECTORS];
    for (size_t j = 0; j < queries; j++)
      for (int c = 0; c < TILE_VECTORS; c++) sums[j][c] = load(s->o + j * width + d + (size_t)(c * LANES));
#pragma clang loop unroll(disable) // short, as above
    for (size_t page = 0; page < WINDOW_PAGES; page++) {
      const uint8_t *value = w->here[page] + keys + d * (element / PAGE), *near[WINDOW_PAGES], *next[WINDOW_PAGES];
      // All next pages' values are asked for in equal shares, in order of addresses: one while the tokens of a page are
      // added. What comes early is a share ahead of that.
      size_t share = PAGE * element, place = keys + d * element + page * share;
      bool early = place + share < w->page_bytes;
      for (int i = 0; i < WINDOW_PAGES; i++) {
        near[i] = w->next[i] + (place + w->soon - w->page_bytes);
        next[i] = w->next[i] + (place + share);
      }
      for (size_t t = 0; t < PAGE; t += some) {
        const float *weights = &s->p[0][page * PAGE + t];
        for (int i = 0; i < WINDOW_PAGES; i++) __builtin_prefetch(near[i] + t * element);
        for (int i = 0; i < WINDOW_PAGES && early; i++) ask_early(next[i] + t * element, intel);
        for (size_t n = 0; n < some; n++, value += width * (element / PAGE)) {
          vf v[TILE_VECTORS];
          for (int c = 0; c < TILE_VECTORS; c++) v[c] = kv_load(type, value, (size_t)(c * LANES));
          for (size_t j = 0; j < queries; j++) {
            vf weight = splat(weights[j * WINDOW + n]);
            for (int c = 0; c < TILE_VECTORS; c++) sums[j][c] = fused(v[c], weight, sums[j][c]);
          }
        }
      }
    }
    for (size_t j = 0; j < queries; j++)
      for (int c = 0; c < TILE_VECTORS; c++) store(s->o + j * width + d + (size_t)(c * LANES), sums[j][c]);
  }
}

typedef void lines_function(gathering *s, const window *w);

#define LINES_FUNCTIONS(type, queries)                                               \
  OUT_OF_LINE void score_lines_##type##_##queries(gathering *s, const window *w) {   \
    score_lines(CPU_KV_##type, queries, s, w);                                       \
  }                                                                                  \
  OUT_OF_LINE void gather_lines_##type##_##queries(gathering *s, const window *w) {  \
    gather_lines(CPU_KV_##type, queries, s, w);                                      \
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

// Whether whole windows of so many queries are worked on so.
INLINE bool takes_whole_windows(cpu_kv_type type, size_t queries, size_t width) {
  return !has_codes(type) && queries <= QUERIES && width % (TILE_VECTORS * LANES) == 0;
}
INLINE void score_whole(cpu_kv_type type, size_t queries, gathering *s, const window *w) {
  score_lines_of[type][queries - 1](s, w);
}
INLINE void gather_whole(cpu_kv_type type, size_t queries, gathering *s, const window *w) {
  gather_lines_of[type][queries - 1](s, w);
}

#else

INLINE bool takes_whole_windows(cpu_kv_type type, size_t queries, size_t width) {
  (void)type, (void)queries, (void)width;
  return false;
}
// Never called.
INLINE void score_whole(cpu_kv_type type, size_t queries, gathering *s, const window *w) {
  (void)type, (void)queries, (void)s, (void)w;
}
INLINE void gather_whole(cpu_kv_type type, size_t queries, gathering *s, const window *w) {
  (void)type, (void)queries, (void)s, (void)w;
}

#endif
