// What observed rows attend to each token, without a matrix of rows by tokens: first the peak and the total of
// each row's softmax, gathered as attention does, then sums over rows, a window of tokens at a time.

// Rows that are worked on together, all of which see the same pages: places in the list of observed rows.
typedef struct {
  size_t count;
  size_t place[QUERY_TILE];
  int32_t begin, end; // tokens that any of them sees
} row_tile;

// Rows and query heads of a tile; as many heads go together as there is room for.
INLINE size_t tile_rows_of(const cpu_observe_arguments *o) {
  size_t group = o->rows.heads / o->rows.pool.heads, width = o->rows.pool.head_width;
  size_t room = TILE_NUMBERS / width < QUERY_TILE ? TILE_NUMBERS / width : QUERY_TILE;
  return room / group > 0 ? room / group : 1;
}

INLINE size_t tile_heads_of(const cpu_observe_arguments *o, size_t rows, size_t head) {
  size_t group = o->rows.heads / o->rows.pool.heads, width = o->rows.pool.head_width;
  size_t room = TILE_NUMBERS / width < QUERY_TILE ? TILE_NUMBERS / width : QUERY_TILE;
  return group - head < room / rows ? group - head : room / rows;
}

// The next rows of the list, from `place` on and before `last`, that see any of the tokens begin ..< end.
INLINE row_tile next_rows(const cpu_observe_arguments *o, size_t *place, size_t last, int32_t begin,
                          int32_t end) {
  const cpu_attend_arguments *a = &o->rows;
  row_tile tile = {.count = 0, .begin = end, .end = begin};
  for (size_t most_rows = tile_rows_of(o); *place < last && tile.count < most_rows; ++*place) {
    int32_t row = o->observed[*place];
    if (row < 0) continue;
    int32_t sees = most(a->begin[row], begin), until = least(a->end[row], end);
    if (sees >= until) continue;
    if (tile.count > 0 && a->table[row] != a->table[o->observed[tile.place[0]]]) break;
    tile.place[tile.count++] = *place;
    tile.begin = least(tile.begin, sees), tile.end = most(tile.end, until);
  }
  return tile;
}

INLINE void place_queries(const cpu_observe_arguments *o, gathering *s, const row_tile *tile,
                          size_t head, size_t heads) {
  size_t width = s->width = o->rows.pool.head_width;
  for (size_t r = 0; r < tile->count; r++)
    for (size_t h = 0; h < heads; h++) {
      size_t row = (size_t)o->observed[tile->place[r]];
      const float *q = o->rows.q + (row * o->rows.heads + head + h) * width;
      for (size_t d = 0; d < width; d++)
        s->q[(r * heads + h) * width + d] = q[d] * o->rows.scale;
    }
}

INLINE void weigh_tile(const cpu_observe_arguments *o, gathering *s,
                       const row_tile *tile, size_t kv_head, size_t head, size_t heads) {
  const cpu_attend_arguments *a = &o->rows;
  const int32_t *table = a->tables + a->table[o->observed[tile->place[0]]];
  size_t queries = tile->count * heads;
  place_queries(o, s, tile, head, heads);
  for (size_t j = 0; j < queries; j++) s->any[j] = false;
  for (int32_t span = tile->begin / SPAN; span * SPAN < tile->end; span++) {
    int32_t span_begin = most(tile->begin, span * SPAN);
    int32_t span_end = least(tile->end, (span + 1) * SPAN);
    for (size_t j = 0; j < queries; j++) s->peak[j] = -__builtin_inff(), s->total[j] = 0;
    // Nothing is gathered in them.
    __builtin_memset(s->o, 0, queries * s->width * sizeof(float));
    for (int32_t first = span_begin, last; first < span_end; first = last) {
      const uint8_t *pages[WINDOW_PAGES];
      int32_t base = first / WINDOW * WINDOW;
      last = least(span_end, base + WINDOW);
      find_pages(a, table, kv_head, first, last, pages);
      score(a->pool.type, s, 0, queries, pages, keys_bytes(a->pool.type, 1), (size_t)(first - base) / PAGE,
            (size_t)(last - base - 1) / PAGE + 1, NULL);
      for (size_t r = 0; r < tile->count; r++) {
        int32_t row = o->observed[tile->place[r]];
        int32_t sees = most(a->begin[row], first), until = least(a->end[row], last);
        if (sees < until)
          for (size_t j = r * heads; j < (r + 1) * heads; j++)
            weigh(s, j, (size_t)(sees - base), (size_t)(until - base));
      }
    }
    for (size_t j = 0; j < queries; j++) {
      int32_t row = o->observed[tile->place[j / heads]];
      if (most(a->begin[row], span_begin) >= least(a->end[row], span_end)) continue;
      if (s->any[j])
        merge(0, &s->all_peak[j], &s->all_total[j], NULL, s->peak[j], s->total[j], NULL);
      else
        s->any[j] = true, s->all_peak[j] = s->peak[j], s->all_total[j] = s->total[j];
    }
  }
  for (size_t j = 0; j < queries; j++) {
    float *weights = o->weights + (tile->place[j / heads] * a->heads + head + j % heads) * 2;
    weights[0] = s->all_peak[j];
    weights[1] = reciprocal(splat(s->all_total[j]))[0];
  }
}

static void weigh_rows(const void *arguments, size_t first, size_t last) {
  const cpu_observe_arguments *o = arguments;
  const cpu_attend_arguments *a = &o->rows;
  size_t group = a->heads / a->pool.heads;
  gathering s;
  for (size_t item = first; item < last; item++) {
    size_t kv_head = item % a->pool.heads, place = item / a->pool.heads * o->tile_rows;
    size_t end = o->count - place < o->tile_rows ? o->count : place + o->tile_rows;
    for (size_t i = place; i < end; i++)
      __builtin_memset(o->weights + (i * a->heads + kv_head * group) * 2, 0,
                       group * 2 * sizeof(float));
    for (row_tile tile; (tile = next_rows(o, &place, end, 0, INT32_MAX)).count > 0;)
      for (size_t h = 0, heads; h < group; h += heads) {
        heads = tile_heads_of(o, tile.count, h);
        weigh_tile(o, &s, &tile, kv_head, kv_head * group + h, heads);
      }
  }
}

// Adds what the rows of a tile attend to the tokens of the window that begins at `base`.
INLINE void sum_tile(const cpu_observe_arguments *o, gathering *s, const row_tile *tile,
                     size_t kv_head, size_t head, size_t heads, int32_t base,
                     vf sums[WINDOW / LANES]) {
  const cpu_attend_arguments *a = &o->rows;
  const int32_t *table = a->tables + a->table[o->observed[tile->place[0]]];
  const uint8_t *pages[WINDOW_PAGES];
  vi lane;
  for (int i = 0; i < LANES; i++) lane[i] = i;
  place_queries(o, s, tile, head, heads);
  find_pages(a, table, kv_head, tile->begin, tile->end, pages);
  score(a->pool.type, s, 0, tile->count * heads, pages, keys_bytes(a->pool.type, 1),
        (size_t)(tile->begin - base) / PAGE, (size_t)(tile->end - base - 1) / PAGE + 1, NULL);
  for (size_t j = 0; j < tile->count * heads; j++) {
    size_t place = tile->place[j / heads];
    int32_t row = o->observed[place];
    int32_t sees = most(a->begin[row] - base, 0), until = least(a->end[row] - base, WINDOW);
    const float *weights = o->weights + (place * a->heads + head + j % heads) * 2;
    for (int32_t i = sees / LANES; i * LANES < until; i++) {
      vi token = lane + i * LANES;
      vi seen = (token >= sees) & (token < until);
      vf weight = exponential(load(&s->p[j][i * LANES]) - weights[0]);
      sums[i] = choose(seen, fused(weight, splat(weights[1]), sums[i]), sums[i]);
    }
  }
}

static void sum_columns(const void *arguments, size_t first, size_t last) {
  const cpu_observe_arguments *o = arguments;
  const cpu_attend_arguments *a = &o->rows;
  size_t group = a->heads / a->pool.heads, windows = (o->tokens + WINDOW - 1) / WINDOW;
  gathering s;
  for (size_t item = first; item < last; item++) {
    size_t kv_head = item / windows, place = 0;
    int32_t base = (int32_t)(item % windows * WINDOW);
    vf sums[WINDOW / LANES];
    for (int i = 0; i < WINDOW / LANES; i++) sums[i] = (vf)0.0f;
    for (row_tile tile;
         (tile = next_rows(o, &place, o->count, base, base + WINDOW)).count > 0;)
      for (size_t h = 0, heads; h < group; h += heads) {
        heads = tile_heads_of(o, tile.count, h);
        sum_tile(o, &s, &tile, kv_head, kv_head * group + h, heads, base, sums);
      }
    float *columns = o->columns + kv_head * o->tokens + (size_t)base;
    for (size_t i = 0; i < WINDOW && (size_t)base + i < o->tokens; i += LANES)
      store(columns + i, sums[i / LANES]);
  }
}
