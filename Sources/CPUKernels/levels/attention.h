// Paged attention: the write of keys and values, and the softmax over what a row sees.
//
// Keys are transposed in a page, so one vector holds an element of LANES tokens and scores need no
// sums over lanes; values are not, so one vector holds LANES elements of a token's value.
//
// A level says how much of both its registers hold: QUERIES queries against TILE_PAGES pages of keys, or
// as many vectors of a value; and whether it WIDENS_FREELY: halves become floats beside multiplications.

enum {
  PAGE = 16,            // tokens of a page
  WINDOW = 64,          // tokens between two looks at the running maximum
  SPAN = CPU_SPAN,      // tokens that are summed on their own, then merged in order
  PAGE_VECTORS = PAGE / LANES,
  WINDOW_PAGES = WINDOW / PAGE,
};

#include "kv_pages.h"

// Queries (row x head) of one kv head, and what they have gathered so far. Arrays with a number for each
// element of a head have `width` numbers a query.
enum {
  QUERY_TILE = 48,                          // queries that share keys and values
  TILE_NUMBERS = QUERY_TILE * 128,          // and the numbers in them
  COPY_QUERIES = 2 * QUERIES,               // from so many on, a window is widened once for all, if
                                            // widening costs anything
  TILE_VECTORS = TILE_PAGES * PAGE_VECTORS, // of the register tile
  BLOCK_VECTORS = KV_BLOCK / LANES,         // numbers of a value that share a scale
  WIDE_QUERIES = QUERIES / 2,               // so few leave registers for a block
  MOST_VECTORS = TILE_VECTORS > BLOCK_VECTORS ? TILE_VECTORS : BLOCK_VECTORS,
};

// The same where keys and values are whole numbers: codes of queries and of weights, what they are multiplied by, and
// what earlier sums shrink by.
typedef struct {
  int16_t q[TILE_NUMBERS];
  int16_t weights[QUERY_TILE][WINDOW];
  float q_scale[QUERY_TILE], weight_scale[QUERY_TILE], shrink[QUERY_TILE];
} whole_gathering;

typedef struct {
  size_t width;
  float q[TILE_NUMBERS];       // scaled
  float o[TILE_NUMBERS];       // sums of this span, not yet divided by `total`
  float all[TILE_NUMBERS];     // and of those before it
  float p[QUERY_TILE][WINDOW]; // scores, then weights
  float peak[QUERY_TILE], total[QUERY_TILE];
  float all_peak[QUERY_TILE], all_total[QUERY_TILE];
  bool any[QUERY_TILE];        // whether there was a span before
  float copy[WINDOW * CPU_MAX_HEAD_WIDTH]; // keys or values of a window, widened
  whole_gathering whole;
} gathering;

// Pages of a kv head as they are worked on: where each of so many bytes starts, and the same of the next window, which
// is fetched line by line meanwhile, so that memory is never idle. Behind the last one comes the next kv head's first.
typedef struct {
  size_t page_bytes;
  size_t soon; // how far ahead lines come near: as far as keys are long, some half of a page
  const uint8_t *here[WINDOW_PAGES];
  const uint8_t *next[WINDOW_PAGES];
} window;

// Asks for a line that is read a window later, and asked for once more before. On Intel's cores, which wait for few
// lines in the first cache, it comes no nearer than the second one.
INLINE void ask_early(const uint8_t *line, bool intel) {
  if (intel)
    __builtin_prefetch(line, 0, 2);
  else
    __builtin_prefetch(line);
}

// Fetches the lines that begin in so many bytes of the next window's pages, from one place on, and once more when
// `soon` bytes are left to them. The pages go together: one alone ends before the hardware has found its way through
// it.
INLINE void fetch(const window *w, size_t from, size_t bytes) {
  bool intel = cpu_is_intel;
  for (size_t n = (from + 63) / 64 * 64; n < from + bytes; n += 64)
    for (int p = 0; p < WINDOW_PAGES; p++) {
      size_t soon = n + w->soon;
      __builtin_prefetch(soon < w->page_bytes ? w->here[p] + soon : w->next[p] + (soon - w->page_bytes));
      ask_early(w->next[p] + n, intel);
    }
}

// The scores of `queries` queries against `pages` pages (both constants); element d + 1 of a page is
// `stride` bytes behind element d. Fetches what comes next meanwhile, where that is known.
INLINE void score_tile(cpu_kv_type type, int queries, int pages, gathering *s, size_t query,
                       const uint8_t *const *keys, size_t stride, size_t column, const window *w) {
  vf sums[QUERIES][TILE_VECTORS];
  size_t width = s->width;
  const float *q = s->q + query * width;
  for (int j = 0; j < queries; j++)
    for (int c = 0; c < pages * PAGE_VECTORS; c++) sums[j][c] = (vf)0.0f;
  // Of codes `parts` elements share bytes, and KV_BLOCK a scale.
  size_t bits = key_bits(type), parts = has_blocks(type) ? 8 / bits : 1, block = has_blocks(type) ? KV_BLOCK : 1;
  for (size_t first = 0; first < width; first += block) {
    vf scales[TILE_VECTORS];
    if (has_blocks(type) && !has_ranges(type))
      for (int p = 0; p < pages; p++)
        for (int c = 0; c < PAGE_VECTORS; c++)
          scales[p * PAGE_VECTORS + c] = widen(keys[p] + (first / KV_BLOCK * PAGE + (size_t)(c * LANES)) * 2);
    // Bases and steps of the elements.
    float base[TILE_PAGES][KV_BLOCK], step[TILE_PAGES][KV_BLOCK];
    if (has_ranges(type))
      for (int p = 0; p < pages; p++)
        for (size_t i = 0; i < KV_BLOCK; i += LANES) {
          ranges of = load_ranges(keys[p], first + i);
          store(&base[p][i], of.base);
          store(&step[p][i], of.step);
        }
    for (size_t d = first; d < first + block; d += parts) {
      b16 codes[TILE_PAGES];
      if (has_blocks(type))
        for (int p = 0; p < pages; p++) codes[p] = load_codes(key_codes(type, keys[p], width), d / parts);
      for (size_t part = 0; part < parts; part++) {
        vf key[TILE_VECTORS];
        if (w) fetch(w, (d + part) * keys_bytes(type, 1), keys_bytes(type, 1));
        for (int p = 0; p < pages; p++)
          for (int c = 0; c < PAGE_VECTORS; c++) {
            size_t at = d + part - first;
            key[p * PAGE_VECTORS + c] =
                has_ranges(type)  ? splat(step[p][at]) * whole_numbers(bits, codes[p], part, c) +
                                        splat(base[p][at])
                : has_blocks(type)   ? whole_numbers(bits, codes[p], part, c) * scales[p * PAGE_VECTORS + c]
                : type == CPU_KV_I16 ? key_vector(type, keys[p], width, d, c)
                                  : kv_load(type, keys[p] + d * stride, (size_t)(c * LANES));
          }
        for (int j = 0; j < queries; j++) {
          vf x = splat(q[(size_t)j * width + d + part]);
          for (int c = 0; c < pages * PAGE_VECTORS; c++) sums[j][c] = fused(key[c], x, sums[j][c]);
        }
      }
    }
  }
  for (int j = 0; j < queries; j++)
    for (int c = 0; c < pages * PAGE_VECTORS; c++)
      store(&s->p[query + (size_t)j][column + (size_t)(c * LANES)], sums[j][c]);
}

// Adds the weighted values of the tokens first ..< last of a window to `queries` queries: `vectors`
// vectors (both constants) from element d on. Fetches what comes next meanwhile, where that is known.
INLINE void gather_tile(cpu_kv_type type, int queries, int vectors, gathering *s, size_t query,
                        const uint8_t *const *values, size_t d, size_t first, size_t last, const window *w) {
  vf sums[QUERIES][MOST_VECTORS];
  size_t width = s->width;
  float *o = s->o + query * width + d;
  for (int j = 0; j < queries; j++)
    for (int c = 0; c < vectors; c++) sums[j][c] = load(o + (size_t)j * width + c * LANES);
  for (size_t page = first / PAGE; page * PAGE < last; page++) {
    size_t t = page * PAGE < first ? first : page * PAGE;
    size_t end = (page + 1) * PAGE < last ? (page + 1) * PAGE : last;
    for (; t < end; t++) {
      vf v[MOST_VECTORS];
      if (w)
        fetch(w, keys_bytes(type, width) + (d + t * (size_t)vectors * LANES / WINDOW) * values_bytes(type, 1),
              values_bytes(type, 1));
      if (has_codes(type))
        value_numbers(type, values[page], width, t % PAGE, d, vectors, v);
      else
        for (int c = 0; c < vectors; c++)
          v[c] = kv_load(type, values[page], t % PAGE * width + d + (size_t)(c * LANES));
      for (int j = 0; j < queries; j++) {
        vf weight = splat(s->p[query + (size_t)j][t]);
        for (int c = 0; c < vectors; c++) sums[j][c] = fused(v[c], weight, sums[j][c]);
      }
    }
  }
  for (int j = 0; j < queries; j++)
    for (int c = 0; c < vectors; c++) store(o + (size_t)j * width + c * LANES, sums[j][c]);
}

// What a head has behind its last whole vector.
INLINE void gather_rest(cpu_kv_type type, gathering *s, size_t query, const uint8_t *const *values,
                        size_t d, size_t first, size_t last) {
  for (; d < s->width; d++) {
    vf sum = splat(s->o[query * s->width + d]);
    for (size_t t = first; t < last; t++)
      sum = fused(splat(kv_one(type, values[t / PAGE], t % PAGE * s->width + d)),
                  splat(s->p[query][t]), sum);
    s->o[query * s->width + d] = sum[0];
  }
}

// Calls `function` with a constant number of queries, from `query` on, until all are done.
#define IN_CONSTANT_TILES(query, end, function, ...)                                      \
  for (size_t query##_left; (query##_left = end - query) > 0;) {                          \
    if (QUERIES >= 6 && query##_left >= 6 && query##_left != 7 && query##_left != 8)      \
      function(type, 6, __VA_ARGS__), query += 6;                                         \
    else if (QUERIES >= 6 && query##_left == 5)                                           \
      function(type, 5, __VA_ARGS__), query += 5;                                         \
    else if (QUERIES >= 6 && query##_left >= 4)                                           \
      function(type, 4, __VA_ARGS__), query += 4;                                         \
    else if (QUERIES >= 3 && query##_left >= 3)                                           \
      function(type, 3, __VA_ARGS__), query += 3;                                         \
    else if (query##_left >= 2)                                                           \
      function(type, 2, __VA_ARGS__), query += 2;                                         \
    else                                                                                  \
      function(type, 1, __VA_ARGS__), query += 1;                                         \
  }

// What loops over elements and tokens stands out of line, since it needs all registers.
#define OUT_OF_LINE static __attribute__((noinline))
// Calls `function` with the type as a constant. Whole numbers have loops of their own.
#define OF_TYPE(type, function, ...)                             \
  switch (type) {                                                \
    case CPU_KV_F32: function(CPU_KV_F32, __VA_ARGS__); break;   \
    case CPU_KV_F16: function(CPU_KV_F16, __VA_ARGS__); break;   \
    case CPU_KV_BF16: function(CPU_KV_BF16, __VA_ARGS__); break; \
    case CPU_KV_I16: break;                                      \
    case CPU_KV_Q8: function(CPU_KV_Q8, __VA_ARGS__); break;     \
    case CPU_KV_Q4: function(CPU_KV_Q4, __VA_ARGS__); break;     \
    case CPU_KV_K4V2: function(CPU_KV_K4V2, __VA_ARGS__); break; \
    case CPU_KV_K2V2: function(CPU_KV_K2V2, __VA_ARGS__); break; \
  }

// The scores of the queries query ..< end against pages from ..< to of a window.
INLINE void score_as(cpu_kv_type type, gathering *s, size_t query, size_t end, const uint8_t *const *keys,
                     size_t stride, size_t from, size_t to, const window *w) {
  if (TILE_PAGES == WINDOW_PAGES && from == 0 && to == WINDOW_PAGES) {
    size_t j = query;
    IN_CONSTANT_TILES(j, end, score_tile, TILE_PAGES, s, j, keys, stride, 0, j == 0 ? w : NULL)
    return;
  }
  for (size_t page = from; page < to; page++) {
    size_t j = query;
    IN_CONSTANT_TILES(j, end, score_tile, 1, s, j, keys + page, stride, page * PAGE,
                      j == 0 && page == from ? w : NULL)
  }
}
OUT_OF_LINE void score(cpu_kv_type type, gathering *s, size_t query, size_t end, const uint8_t *const *keys,
                       size_t stride, size_t from, size_t to, const window *w) {
  if (type == CPU_KV_I16) // for whoever wants scores of floats alone
    score_as(CPU_KV_I16, s, query, end, keys, stride, from, to, w);
  else
    OF_TYPE(type, score_as, s, query, end, keys, stride, from, to, w)
}

// The sums of the queries query ..< end over the tokens first ..< last of a window.
INLINE void gather_as(cpu_kv_type type, gathering *s, size_t query, size_t end, const uint8_t *const *values,
                      size_t first, size_t last, const window *w) {
  size_t d = 0, width = s->width;
  if (has_codes(type) && BLOCK_VECTORS > TILE_VECTORS && end - query <= WIDE_QUERIES)
    for (; d < width; d += KV_BLOCK) {
      size_t j = query;
      IN_CONSTANT_TILES(j, end, gather_tile, BLOCK_VECTORS, s, j, values, d, first, last,
                        j == 0 ? w : NULL)
    }
  for (; d + TILE_VECTORS * LANES <= width; d += TILE_VECTORS * LANES) {
    size_t j = query;
    IN_CONSTANT_TILES(j, end, gather_tile, TILE_VECTORS, s, j, values, d, first, last,
                      j == 0 ? w : NULL)
  }
  size_t step = has_codes(type) ? PAGE_VECTORS : 1;
  for (; d + step * LANES <= width; d += step * LANES) {
    size_t j = query;
    IN_CONSTANT_TILES(j, end, gather_tile, has_codes(type) ? PAGE_VECTORS : 1, s, j, values, d, first, last, j == 0 ? w : NULL)
  }
  if (d < width && !has_codes(type))
    for (size_t j = query; j < end; j++) gather_rest(type, s, j, values, d, first, last);
}
OUT_OF_LINE void gather(cpu_kv_type type, gathering *s, size_t query, size_t end, const uint8_t *const *values,
                        size_t first, size_t last, const window *w) {
  OF_TYPE(type, gather_as, s, query, end, values, first, last, w)
}

#include "whole_windows.h"

// Scores to weights: the running maximum, the sum, and the outputs so far on the new scale.
// Tokens outside first ..< last are masked by selection, since they may hold anything.
INLINE void weigh(gathering *s, size_t query, size_t first, size_t last) {
  vf p[WINDOW / LANES], lowest = (vf)-__builtin_inff(), totals[SUM_VECTORS];
  bool masked = first > 0 || last < WINDOW;
  vi lane;
  for (int i = 0; i < LANES; i++) lane[i] = i;
  for (int i = 0; i < WINDOW / LANES; i++) {
    p[i] = load(&s->p[query][i * LANES]);
    if (masked) {
      vi token = lane + i * LANES;
      vi seen = (token >= (int32_t)first) & (token < (int32_t)last);
      p[i] = choose(seen, p[i], lowest);
    }
  }
  vf peaks = p[0];
  for (int i = 1; i < WINDOW / LANES; i++) peaks = max_of(p[i], peaks);
  float before = s->peak[query], peak = largest_of(max_of(peaks, splat(before)))[0];
  for (int c = 0; c < SUM_VECTORS; c++) totals[c] = (vf)0.0f;
  for (int i = 0; i < WINDOW / LANES; i++) {
    vf weight = exponential_below(p[i] - peak);
    if (masked) {
      vi token = lane + i * LANES;
      vi seen = (token >= (int32_t)first) & (token < (int32_t)last);
      weight = choose(seen, weight, (vf)0.0f);
    }
    totals[i % SUM_VECTORS] += weight;
    store(&s->p[query][i * LANES], weight);
  }
  if (peak > before) {
    vf shrink = exponential_below((vf)(before - peak));
    float *o = s->o + query * s->width;
    size_t d = 0;
    s->peak[query] = peak;
    s->total[query] *= shrink[0];
    for (; d + LANES <= s->width; d += LANES) store(o + d, load(o + d) * shrink);
    for (; d < s->width; d++) o[d] *= shrink[0];
  }
  s->total[query] += sum_of_lanes(totals);
}

#include "whole_numbers.h"

// total and sums += a later part's, both on the scale of the larger peak.
INLINE void merge(size_t width, float *peak, float *total, float *sums, float part_peak,
                  float part_total, const float *part_sums) {
  float now = part_peak > *peak ? part_peak : *peak;
  vf own = exponential_below(splat(*peak - now)), other = exponential_below(splat(part_peak - now));
  *peak = now;
  *total = fused(splat(part_total), other, splat(*total) * own)[0];
  size_t d = 0, n;
  for (; d + LANES <= width; d += LANES)
    store(sums + d, fused(load(part_sums + d), other, load(sums + d) * own));
  if ((n = width - d) > 0)
    store_some(sums + d, fused(load_some(part_sums + d, n), other, load_some(sums + d, n) * own), n);
}

// What one query has gathered in one span: its sums, then peak and total.
INLINE float *part_of(const cpu_attend_arguments *a, size_t row, size_t head, size_t span) {
  return a->parts + ((row * a->heads + head) * a->spans + span) * (a->pool.head_width + 2);
}

// Where a first stage leaves what it has gathered: sums, then peak and total.
INLINE float *left_at(float *left, const cpu_attend_arguments *a, size_t row, size_t head) {
  return left + (row * a->heads + head) * (a->pool.head_width + 2);
}

// What a row's head has gathered, or NULL where it saw nothing, to where it goes.
INLINE void finish(const cpu_attend_arguments *a, size_t row, size_t head, float peak, float total,
                   const float *sums) {
  size_t width = a->pool.head_width, d = 0;
  if (a->leaves) {
    float *left = left_at(a->output, a, row, head);
    if (sums)
      __builtin_memcpy(left, sums, width * sizeof(float));
    else
      __builtin_memset(left, 0, width * sizeof(float));
    left[width] = sums ? peak : -__builtin_inff(), left[width + 1] = sums ? total : 0;
    return;
  }
  float *output = a->output + (row * a->heads + head) * width;
  if (!sums) {
    __builtin_memset(output, 0, width * sizeof(float));
    return;
  }
  vf inverse = reciprocal(splat(total));
  for (; d + LANES <= width; d += LANES) store(output + d, load(sums + d) * inverse);
  for (; d < width; d++) output[d] = sums[d] * inverse[0];
}

INLINE int32_t most(int32_t a, int32_t b) { return a > b ? a : b; }
INLINE int32_t least(int32_t a, int32_t b) { return a < b ? a : b; }

// The pages of a window of the list `table`; those that nobody sees stand for one that somebody does.
INLINE void find_pages(const cpu_attend_arguments *a, const int32_t *table, size_t kv_head,
                       int32_t first, int32_t last, const uint8_t *pages[WINDOW_PAGES]) {
  size_t block = head_bytes(&a->pool);
  const uint8_t *base = (const uint8_t *)a->pool.pages + kv_head * a->pool.page_count * block;
  int32_t start = first / WINDOW * WINDOW_PAGES;
  for (int32_t p = 0; p < WINDOW_PAGES; p++) {
    int32_t page = least(most(start + p, first / PAGE), (last - 1) / PAGE);
    pages[p] = base + (size_t)table[page] * block;
  }
}

// Widens the keys (element d of a window's tokens side by side) or the values of pages from ..< to.
INLINE void widen_keys_as(cpu_kv_type type, gathering *s, const window *w, size_t from, size_t to) {
  size_t width = s->width, step = keys_bytes(type, 1);
  for (size_t d = 0; d < width; d++)
    for (size_t p = from; p < to; p++) {
      __builtin_prefetch(w->next[p] + d * step);
      for (int c = 0; c < PAGE_VECTORS; c++)
        store(s->copy + d * WINDOW + p * PAGE + (size_t)(c * LANES), key_vector(type, w->here[p], width, d, c));
    }
}
INLINE void widen_values_as(cpu_kv_type type, gathering *s, const window *w, size_t from, size_t to) {
  size_t width = s->width, keys = keys_bytes(type, width), half = values_bytes(type, width);
  for (size_t p = from; p < to; p++)
    for (size_t i = 0; i < PAGE * width; i += 16) {
      vf v[PAGE_VECTORS];
      __builtin_prefetch(w->next[p] + keys + i * half / (PAGE * width));
      if (has_codes(type))
        value_numbers(type, w->here[p] + keys, width, i / width, i % width, PAGE_VECTORS, v);
      else
        for (int c = 0; c < PAGE_VECTORS; c++)
          v[c] = kv_load(type, w->here[p] + keys, i + (size_t)(c * LANES));
      for (int c = 0; c < PAGE_VECTORS; c++)
        store(s->copy + p * PAGE * width + i + (size_t)(c * LANES), v[c]);
    }
}

OUT_OF_LINE void widen_keys(cpu_kv_type type, gathering *s, const window *w, size_t from, size_t to) {
  OF_TYPE(type, widen_keys_as, s, w, from, to)
}
OUT_OF_LINE void widen_values(cpu_kv_type type, gathering *s, const window *w, size_t from, size_t to) {
  OF_TYPE(type, widen_values_as, s, w, from, to)
}
#undef OF_TYPE

// Rows whose values are added, and where those of a window lie: `copies` are floats.
typedef struct {
  const cpu_attend_arguments *a;
  cpu_kv_type type;
  size_t row, rows, heads;
  bool alike, copies; // alike: all rows see the same tokens of the window
  const uint8_t *const *values;
  int32_t base; // the window's first token
  const window *w;
} gathered_rows;

// Adds the values of the tokens first ..< last, as far as each row sees them.
INLINE void gather_rows(const gathered_rows *of, gathering *s, int32_t first, int32_t last) {
  for (size_t r = 0, some; r < of->rows; r += some) {
    some = of->alike ? of->rows : 1;
    int32_t sees = most(of->a->begin[of->row + r], first), until = least(of->a->end[of->row + r], last);
    if (sees >= until) continue;
    gather(of->copies ? CPU_KV_F32 : of->type, s, r * of->heads, (r + some) * of->heads, of->values,
           (size_t)(sees - of->base), (size_t)(until - of->base), of->copies ? NULL : of->w);
  }
}

// Rows row ..< row + rows, which share a page list, with `heads` query heads from `head` on, in the spans
// from ..< to; the parts stay apart, or else are merged and finished.
INLINE void attend_rows(const cpu_attend_arguments *a, gathering *s, size_t row,
                        size_t rows, size_t kv_head, size_t head, size_t heads, int32_t from_span,
                        int32_t to_span, bool apart) {
  cpu_kv_type type = a->pool.type;
  size_t width = a->pool.head_width, queries = rows * heads;
  bool copies = (!WIDENS_FREELY || has_codes(type)) && type != CPU_KV_I16 && queries >= COPY_QUERIES;
  bool whole = takes_whole_windows(type, queries, width);
  const int32_t *table = a->tables + a->table[row] + kv_head * a->head_stride;
  int32_t begin = INT32_MAX, end = 0;
  s->width = width;
  for (size_t r = 0; r < rows; r++) {
    if (a->begin[row + r] < a->end[row + r]) {
      begin = least(begin, a->begin[row + r]);
      end = most(end, a->end[row + r]);
    }
    for (size_t h = 0; h < heads; h++) {
      const float *q = a->q + ((row + r) * a->heads + head + h) * width;
      for (size_t d = 0; d < width; d++) s->q[(r * heads + h) * width + d] = q[d] * a->scale;
      size_t j = r * heads + h;
      const float *before = a->before && !apart
                                ? left_at((float *)a->before, a, row + r, head + h) : NULL;
      s->any[j] = before && before[width + 1] != 0;
      if (s->any[j]) {
        s->all_peak[j] = before[width], s->all_total[j] = before[width + 1];
        __builtin_memcpy(s->all + j * width, before, width * sizeof(float));
      }
    }
  }
  if (type == CPU_KV_I16) whole_queries(s, queries);
  for (int32_t span = most(from_span, begin / SPAN); span < to_span && span * SPAN < end; span++) {
    int32_t span_begin = most(begin, span * SPAN), span_end = least(end, (span + 1) * SPAN);
    if (span_begin >= span_end) break;
    for (size_t j = 0; j < (queries + WEIGHED - 1) / WEIGHED * WEIGHED; j++)
      s->peak[j] = -__builtin_inff(), s->total[j] = 0;
    __builtin_memset(s->o, 0, queries * width * sizeof(float));

    size_t page = both_bytes(type, width);
    window w = {.page_bytes = page, .soon = keys_bytes(type, width)};
    find_pages(a, table, kv_head, span_begin, least(span_end, (span_begin / WINDOW + 1) * WINDOW),
               w.here);
    for (int32_t first = span_begin, last; first < span_end; first = last) {
      int32_t base = first / WINDOW * WINDOW;
      last = least(span_end, base + WINDOW);
      if (last < end)
        find_pages(a, table, kv_head, last, least(end, last + WINDOW), w.next);
      else if (kv_head + 1 < a->pool.heads)
        find_pages(a, table + a->head_stride, kv_head + 1, begin, least(end, (begin / WINDOW + 1) * WINDOW),
                   w.next);
      else
        __builtin_memcpy(w.next, w.here, sizeof w.here);
      size_t from = (size_t)(first - base) / PAGE, to = (size_t)(last - base - 1) / PAGE + 1;
      const uint8_t *copy[WINDOW_PAGES], *values[WINDOW_PAGES];
      if (type == CPU_KV_I16) {
        sight sees[QUERY_TILE] = {{0}};
        for (size_t r = 0, j = 0; r < rows; r++) {
          int32_t begins = most(a->begin[row + r], first), until = least(a->end[row + r], last);
          for (size_t h = 0; h < heads; h++) sees[j++] = (sight){begins - base, until - base};
        }
        attend_codes(s, queries, &w, sees, from, to);
        __builtin_memcpy(w.here, w.next, sizeof w.here);
        continue;
      }
      if (copies) {
        for (size_t p = 0; p < WINDOW_PAGES; p++) copy[p] = (const uint8_t *)(s->copy + p * PAGE);
        widen_keys(type, s, &w, from, to);
        score(CPU_KV_F32, s, 0, queries, copy, WINDOW * 4, from, to, NULL);
      } else if (whole && takes_pages(from, to)) {
        score_whole(type, queries, s, from, to, &w);
      } else {
        score(type, s, 0, queries, w.here, keys_bytes(type, 1), from, to, &w);
      }

      int32_t all_see = first, all_until = last; // what all rows see
      for (size_t r = 0; r < rows; r++) {
        int32_t sees = most(a->begin[row + r], first), until = least(a->end[row + r], last);
        all_see = most(all_see, sees), all_until = least(all_until, until);
        if (sees < until)
          for (size_t j = r * heads; j < (r + 1) * heads; j++)
            weigh(s, j, (size_t)(sees - base), (size_t)(until - base));
      }

      for (size_t p = 0; p < WINDOW_PAGES; p++) {
        copy[p] = (const uint8_t *)(s->copy + p * PAGE * width);
        values[p] = w.here[p] + keys_bytes(type, width);
      }
      if (copies) widen_values(type, s, &w, from, to);
      bool alike = all_see == first && all_until == last;
      gathered_rows of = {a, type, row, rows, heads, alike, copies, copies ? copy : values, base, &w};
      // Whole pages that all rows see, then what is left of each, in order of tokens.
      size_t whole_from = (size_t)(all_see - base + PAGE - 1) / PAGE;
      size_t whole_to = all_until > all_see ? (size_t)(all_until - base) / PAGE : 0;
      if (whole && whole_from < whole_to && takes_pages(whole_from, whole_to)) {
        gather_rows(&of, s, first, base + (int32_t)whole_from * PAGE);
        gather_whole(type, queries, s, whole_from, whole_to, &w);
        gather_rows(&of, s, base + (int32_t)whole_to * PAGE, last);
      } else {
        gather_rows(&of, s, first, last);
      }
      __builtin_memcpy(w.here, w.next, sizeof w.here);
    }

    for (size_t j = 0; j < queries; j++) {
      size_t r = row + j / heads, h = head + j % heads;
      if (most(a->begin[r], span_begin) >= least(a->end[r], span_end)) continue;
      if (apart) {
        float *part = part_of(a, r, h, (size_t)span);
        __builtin_memcpy(part, s->o + j * width, width * sizeof(float));
        part[width] = s->peak[j], part[width + 1] = s->total[j];
      } else if (s->any[j]) {
        merge(width, &s->all_peak[j], &s->all_total[j], s->all + j * width, s->peak[j], s->total[j],
              s->o + j * width);
      } else {
        s->any[j] = true;
        s->all_peak[j] = s->peak[j], s->all_total[j] = s->total[j];
        __builtin_memcpy(s->all + j * width, s->o + j * width, width * sizeof(float));
      }
    }
  }
  if (apart) return;
  for (size_t j = 0; j < queries; j++) {
    size_t r = row + j / heads, h = head + j % heads;
    finish(a, r, h, s->all_peak[j], s->all_total[j], s->any[j] ? s->all + j * width : NULL);
  }
}

// An item is a tile of rows and a kv head, and a span too where parts stay apart.
static void attend(const void *arguments, size_t first, size_t last) {
  const cpu_attend_arguments *a = arguments;
  size_t group = a->heads / a->pool.heads, spans = a->parts ? a->spans : 1;
  size_t room = TILE_NUMBERS / a->pool.head_width;
  room = room < QUERY_TILE ? room : QUERY_TILE;
  gathering s;
  for (size_t item = first; item < last; item++) {
    size_t kv_head = item % a->pool.heads, span = item / a->pool.heads % spans;
    size_t row = item / a->pool.heads / spans * a->tile_rows;
    size_t end = a->rows - row < a->tile_rows ? a->rows : row + a->tile_rows;
    int32_t from = a->parts ? (int32_t)span : 0, to = a->parts ? from + 1 : INT32_MAX / SPAN;
    for (size_t rows; row < end; row += rows) {
      for (rows = 1; rows < room && row + rows < end && a->table[row + rows] == a->table[row];) rows++;
      size_t most_heads = room / rows;
      for (size_t h = 0; h < group; h += most_heads) {
        size_t heads = group - h < most_heads ? group - h : most_heads;
        attend_rows(a, &s, row, rows, kv_head, kv_head * group + h, heads, from, to, a->parts);
      }
    }
  }
}

// An item is a row and a head whose parts lie apart.
static void merge_parts(const void *arguments, size_t first, size_t last) {
  const cpu_attend_arguments *a = arguments;
  size_t width = a->pool.head_width;
  for (size_t item = first; item < last; item++) {
    size_t row = item / a->heads, head = item % a->heads;
    float *all = NULL, before[CPU_MAX_HEAD_WIDTH + 2];
    if (a->before) {
      const float *left = left_at((float *)a->before, a, row, head);
      __builtin_memcpy(before, left, (width + 2) * sizeof(float));
      if (before[width + 1] != 0) all = before;
    }
    for (int32_t span = a->begin[row] / SPAN; span * SPAN < a->end[row]; span++) {
      if (a->begin[row] >= a->end[row]) break;
      float *part = part_of(a, row, head, (size_t)span);
      if (!all)
        all = part;
      else
        merge(width, &all[width], &all[width + 1], all, part[width], part[width + 1], part);
    }
    finish(a, row, head, all ? all[width] : 0, all ? all[width + 1] : 0, all);
  }
}
