// Paged attention: the write of keys and values, and the softmax over what a row sees.
//
// Keys are transposed in a page, so one vector holds an element of LANES tokens and scores need no
// sums over lanes; values are not, so one vector holds LANES elements of a token's value.

enum {
  PAGE = 16,            // tokens of a page
  WINDOW = 64,          // tokens between two looks at the running maximum
  SPAN = 512,           // tokens that are summed on their own, then merged in order
  QUERY_TILE = 32,      // queries (row x head) that share keys and values
  PAGE_VECTORS = PAGE / LANES,
};

INLINE vf kv_load(bool half, const void *base, size_t element) {
  return half ? widen((const uint8_t *)base + element * 2)
              : load((const uint8_t *)base + element * 4);
}

INLINE void kv_store(bool half, void *base, size_t element, float value) {
  if (half) {
    uint16_t lanes[LANES];
    narrow(lanes, (vf)value);
    *(u16_any *)((uint8_t *)base + element * 2) = lanes[0];
  } else {
    *(f32_any *)((uint8_t *)base + element * 4) = value;
  }
}

INLINE float kv_one(bool half, const void *base, size_t element) {
  return half ? widen_one((const uint8_t *)base + element * 2)[0]
              : *(const f32_any *)((const uint8_t *)base + element * 4);
}

INLINE size_t head_bytes(const cpu_kv_pool *pool) {
  return 2 * PAGE * pool->head_width * (pool->half ? 2 : 4);
}

static void write_kv(const void *arguments, size_t first, size_t last) {
  const cpu_write_kv_arguments *a = arguments;
  const cpu_kv_pool *pool = &a->pool;
  size_t width = pool->head_width, block = head_bytes(pool);
  for (size_t r = first; r < last; r++) {
    if (a->slots[r] < 0) continue;
    size_t page = (size_t)a->slots[r] / PAGE, token = (size_t)a->slots[r] % PAGE;
    for (size_t h = 0; h < pool->heads; h++) {
      const float *k = a->k + (r * pool->heads + h) * width;
      const float *v = a->v + (r * pool->heads + h) * width;
      uint8_t *keys = (uint8_t *)pool->pages + (page * pool->heads + h) * block;
      uint8_t *values = keys + block / 2;
      for (size_t i = 0; i < width; i += LANES) {
        size_t n = width - i < LANES ? width - i : LANES;
        vf key = n == LANES ? load(k + i) : load_some(k + i, n);
        vf value = n == LANES ? load(v + i) : load_some(v + i, n);
        if (pool->half) {
          uint16_t lanes[LANES];
          narrow(lanes, key);
          for (size_t j = 0; j < n; j++)
            *(u16_any *)(keys + ((i + j) * PAGE + token) * 2) = lanes[j];
          narrow(lanes, value);
          __builtin_memcpy(values + (token * width + i) * 2, lanes, n * 2);
        } else {
          for (size_t j = 0; j < n; j++)
            *(f32_any *)(keys + ((i + j) * PAGE + token) * 4) = key[j];
          store_some(values + (token * width + i) * 4, value, n);
        }
      }
    }
  }
}

// Queries of one kv head that see the same page list, and what they have gathered so far.
typedef struct {
  size_t width;
  float q[QUERY_TILE][CPU_MAX_HEAD_WIDTH]; // scaled
  float o[QUERY_TILE][CPU_MAX_HEAD_WIDTH]; // not yet divided by `total`
  float p[QUERY_TILE][WINDOW];             // scores, then weights
  float peak[QUERY_TILE];
  float total[QUERY_TILE];
  // The same of the spans before this one, or nothing yet.
  float all[QUERY_TILE][CPU_MAX_HEAD_WIDTH];
  float all_peak[QUERY_TILE];
  float all_total[QUERY_TILE];
  bool any[QUERY_TILE];
} gathering;

// Adds the span that ends to those before it, and starts afresh.
INLINE void merge(gathering *s, size_t query) {
  float *all = s->all[query], *o = s->o[query];
  if (!s->any[query]) {
    __builtin_memcpy(all, o, s->width * sizeof(float));
    s->all_peak[query] = s->peak[query];
    s->all_total[query] = s->total[query];
    s->any[query] = true;
  } else {
    float before = s->all_peak[query], peak = s->peak[query];
    float now = peak > before ? peak : before;
    vf own = exponential(splat(before - now)), other = exponential(splat(peak - now));
    s->all_peak[query] = now;
    s->all_total[query] = fused(splat(s->total[query]), other, splat(s->all_total[query]) * own)[0];
    size_t d = 0;
    for (; d + LANES <= s->width; d += LANES)
      store(all + d, fused(load(o + d), other, load(all + d) * own));
    if (d < s->width) {
      size_t n = s->width - d;
      store_some(all + d, fused(load_some(o + d, n), other, load_some(all + d, n) * own), n);
    }
  }
  for (size_t d = 0; d < s->width; d++) o[d] = 0;
  s->peak[query] = -__builtin_inff();
  s->total[query] = 0;
}

// The scores of `queries` (a constant) against one page.
INLINE void score_page(bool half, int queries, gathering *s, size_t query, const uint8_t *keys,
                       size_t column, const uint8_t *next) {
  vf sums[8][PAGE_VECTORS];
  size_t step = PAGE * (half ? 2 : 4);
  for (int j = 0; j < queries; j++)
    for (int c = 0; c < PAGE_VECTORS; c++) sums[j][c] = (vf)0.0f;
  for (size_t d = 0; d < s->width; d++) {
    vf key[PAGE_VECTORS];
    // The same place of the next window: spread over the loop, so that memory is never idle.
    __builtin_prefetch(next + d * step);
    for (int c = 0; c < PAGE_VECTORS; c++) key[c] = kv_load(half, keys, d * PAGE + c * LANES);
    for (int j = 0; j < queries; j++)
      for (int c = 0; c < PAGE_VECTORS; c++)
        sums[j][c] = fused(key[c], splat(s->q[query + j][d]), sums[j][c]);
  }
  for (int j = 0; j < queries; j++)
    for (int c = 0; c < PAGE_VECTORS; c++)
      store(&s->p[query + j][column + c * LANES], sums[j][c]);
}

// Adds the weighted values of the tokens first ..< last of one page to `queries` (a constant).
INLINE void gather_page(bool half, int queries, gathering *s, size_t query, const uint8_t *values,
                        size_t first, size_t last, size_t column, const uint8_t *next) {
  size_t width = s->width, size = half ? 2 : 4, d = 0;
  for (; d + 2 * LANES <= width; d += 2 * LANES) {
    vf sums[8][2];
    for (int j = 0; j < queries; j++)
      for (int c = 0; c < 2; c++) sums[j][c] = load(&s->o[query + j][d + c * LANES]);
    for (size_t t = first; t < last; t++) {
      size_t element = t * width + d;
      __builtin_prefetch(next + element * size);
      vf value[2] = {kv_load(half, values, element), kv_load(half, values, element + LANES)};
      for (int j = 0; j < queries; j++)
        for (int c = 0; c < 2; c++)
          sums[j][c] = fused(value[c], splat(s->p[query + j][column + t]), sums[j][c]);
    }
    for (int j = 0; j < queries; j++)
      for (int c = 0; c < 2; c++) store(&s->o[query + j][d + c * LANES], sums[j][c]);
  }
  for (; d + LANES <= width; d += LANES)
    for (int j = 0; j < queries; j++) {
      vf sum = load(&s->o[query + j][d]);
      for (size_t t = first; t < last; t++)
        sum = fused(kv_load(half, values, t * width + d), splat(s->p[query + j][column + t]), sum);
      store(&s->o[query + j][d], sum);
    }
  for (; d < width; d++)
    for (int j = 0; j < queries; j++) {
      vf sum = splat(s->o[query + j][d]);
      for (size_t t = first; t < last; t++)
        sum = fused(splat(kv_one(half, values, t * width + d)),
                    splat(s->p[query + j][column + t]), sum);
      s->o[query + j][d] = sum[0];
    }
}

// Calls `function` with a constant number of queries until all are done.
#define IN_CONSTANT_TILES(query, end, function, ...)                              \
  while (query < end) {                                                           \
    size_t left = end - query;                                                    \
    if (QUERIES >= 8 && left >= 8) {                                              \
      function(half, 8, s, query, __VA_ARGS__), query += 8;                       \
    } else if (QUERIES >= 4 && left >= 4) {                                       \
      function(half, 4, s, query, __VA_ARGS__), query += 4;                       \
    } else if (QUERIES >= 4 && left == 3) {                                       \
      function(half, 3, s, query, __VA_ARGS__), query += 3;                       \
    } else if (left >= 2) {                                                       \
      function(half, 2, s, query, __VA_ARGS__), query += 2;                       \
    } else {                                                                      \
      function(half, 1, s, query, __VA_ARGS__), query += 1;                       \
    }                                                                             \
  }

// Scores to weights: the running maximum, the sum, and the outputs so far on the new scale.
// Tokens outside first ..< last are masked by selection, since they may hold anything.
INLINE void weigh(gathering *s, size_t query, size_t first, size_t last) {
  float *p = s->p[query];
  vf lowest = (vf)-__builtin_inff(), peaks = lowest, totals[SUM_VECTORS];
  for (int c = 0; c < SUM_VECTORS; c++) totals[c] = (vf)0.0f;
  vi lane;
  for (int i = 0; i < LANES; i++) lane[i] = i;
  for (int i = 0; i < WINDOW; i += LANES) {
    vi token = lane + i;
    vi seen = (token >= (int32_t)first) & (token < (int32_t)last);
    vf score = choose(seen, load(p + i), lowest);
    peaks = max_of(score, peaks);
    store(p + i, score);
  }
  float before = s->peak[query], peak = peak_of(peaks);
  peak = peak > before ? peak : before;
  for (int i = 0; i < WINDOW; i += LANES) {
    vi token = lane + i;
    vi seen = (token >= (int32_t)first) & (token < (int32_t)last);
    vf weight = choose(seen, exponential(load(p + i) - peak), (vf)0.0f);
    totals[i / LANES % SUM_VECTORS] += weight;
    store(p + i, weight);
  }
  if (peak > before) {
    float shrink = exponential((vf)(before - peak))[0];
    s->peak[query] = peak;
    s->total[query] *= shrink;
    for (size_t d = 0; d < s->width; d++) s->o[query][d] *= shrink;
  }
  s->total[query] += sum_of_lanes(totals);
}

// Lets the queries query ..< end, which all see the same tokens first ..< last of a window, gather.
INLINE void see_window(bool half, gathering *s, size_t query, size_t end, const uint8_t *pages[4],
                       const uint8_t *next[4], size_t first, size_t last) {
  size_t to_values = PAGE * s->width * (half ? 2 : 4);
  for (size_t page = first / PAGE; page * PAGE < last; page++) {
    size_t j = query;
    IN_CONSTANT_TILES(j, end, score_page, pages[page], page * PAGE, next[page])
  }
  for (size_t j = query; j < end; j++) weigh(s, j, first, last);
  for (size_t page = first / PAGE; page * PAGE < last; page++) {
    size_t from = page * PAGE < first ? first - page * PAGE : 0;
    size_t to = last - page * PAGE < PAGE ? last - page * PAGE : PAGE;
    size_t j = query;
    IN_CONSTANT_TILES(j, end, gather_page, pages[page] + to_values, from, to, page * PAGE,
                      next[page] + to_values)
  }
}

// Rows row ..< row + rows, which share a page list, with `heads` query heads from `head` on.
INLINE void attend_rows(bool half, const cpu_attend_arguments *a, gathering *s, size_t row,
                        size_t rows, size_t kv_head, size_t head, size_t heads) {
  size_t width = a->pool.head_width, block = head_bytes(&a->pool);
  s->width = width;
  int32_t begin = INT32_MAX, end = 0;           // what any row sees
  int32_t shared_begin = 0, shared_end = INT32_MAX; // what all rows see
  for (size_t r = 0; r < rows; r++) {
    int32_t from = a->begin[row + r], to = a->end[row + r];
    shared_begin = from > shared_begin ? from : shared_begin;
    shared_end = to < shared_end ? to : shared_end;
    if (from < to) {
      begin = from < begin ? from : begin;
      end = to > end ? to : end;
    }
    for (size_t h = 0; h < heads; h++) {
      size_t query = r * heads + h;
      const float *q = a->q + ((row + r) * a->heads + head + h) * width;
      for (size_t d = 0; d < width; d++) s->q[query][d] = q[d] * a->scale;
      for (size_t d = 0; d < width; d++) s->o[query][d] = 0;
      s->peak[query] = -__builtin_inff();
      s->total[query] = 0;
      s->any[query] = false;
    }
  }
  const int32_t *table = a->tables + a->table[row];
  const uint8_t *base = (const uint8_t *)a->pool.pages + kv_head * block;
  if (begin < end)
    for (int32_t window = begin / WINDOW * WINDOW; window < end; window += WINDOW) {
      const uint8_t *pages[4], *next[4];
      for (int32_t p = 0; p < 4; p++) {
        int32_t here = window / PAGE + p, then = here + 4;
        bool used = here * PAGE < end && (here + 1) * PAGE > begin;
        pages[p] = used ? base + (size_t)table[here] * a->pool.heads * block : base;
        next[p] = then * PAGE < end ? base + (size_t)table[then] * a->pool.heads * block : pages[p];
      }
      if (shared_begin <= window && window + WINDOW <= shared_end) {
        see_window(half, s, 0, rows * heads, pages, next, 0, WINDOW);
      } else {
        for (size_t r = 0; r < rows; r++) {
          int32_t from = a->begin[row + r] - window, to = a->end[row + r] - window;
          from = from > 0 ? from : 0;
          to = to < WINDOW ? to : WINDOW;
          if (from < to)
            see_window(half, s, r * heads, (r + 1) * heads, pages, next, (size_t)from, (size_t)to);
        }
      }
      if ((window + WINDOW) % SPAN != 0 && window + WINDOW < end) continue;
      for (size_t r = 0; r < rows; r++) {
        int32_t from = window / SPAN * SPAN, to = window + WINDOW;
        from = a->begin[row + r] > from ? a->begin[row + r] : from;
        to = a->end[row + r] < to ? a->end[row + r] : to;
        if (from < to)
          for (size_t h = 0; h < heads; h++) merge(s, r * heads + h);
      }
    }
  for (size_t r = 0; r < rows; r++)
    for (size_t h = 0; h < heads; h++) {
      size_t query = r * heads + h;
      float *output = a->output + ((row + r) * a->heads + head + h) * width;
      float total = s->any[query] ? s->all_total[query] : 0;
      float inverse = total > 0 ? reciprocal(splat(total))[0] : 0;
      for (size_t d = 0; d < width; d++)
        output[d] = total > 0 ? s->all[query][d] * inverse : 0;
    }
}

static void attend(const void *arguments, size_t first, size_t last) {
  const cpu_attend_arguments *a = arguments;
  size_t group = a->heads / a->pool.heads;
  gathering s;
  for (size_t item = first; item < last; item++) {
    size_t kv_head = item % a->pool.heads;
    size_t row = item / a->pool.heads * ATTEND_ROWS;
    size_t end = a->rows - row < ATTEND_ROWS ? a->rows : row + ATTEND_ROWS;
    while (row < end) {
      size_t rows = 1;
      while (row + rows < end && a->table[row + rows] == a->table[row]) rows++;
      size_t most = QUERY_TILE / rows;
      for (size_t h = 0; h < group; h += most) {
        size_t heads = group - h < most ? group - h : most;
        if (a->pool.half)
          attend_rows(true, a, &s, row, rows, kv_head, kv_head * group + h, heads);
        else
          attend_rows(false, a, &s, row, rows, kv_head, kv_head * group + h, heads);
      }
      row += rows;
    }
  }
}
