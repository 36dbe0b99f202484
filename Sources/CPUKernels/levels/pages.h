// Which pages of the cache a row reads: bounds of the keys of each page, scores by them, and the best.
#include <float.h>

// The bounds of a kv head in a page: numbers a side, whole vectors of 16.
INLINE size_t bounds_width(const cpu_kv_pool *pool) { return (pool->head_width + 15) / 16 * 16; }

// How they are kept: as keys are, those of codes as halves.
INLINE cpu_kv_type bounds_type(const cpu_kv_pool *pool) {
  return has_codes(pool->type) ? CPU_KV_F16 : pool->type;
}

// Stores a bound. What is no half is rounded outward, so that it stays one; bounds of other floats are floats
// of that kind.
INLINE void store_bound(cpu_kv_type type, void *base, size_t element, float value, bool largest) {
  if (type == CPU_KV_F32) {
    *(f32_any *)((uint8_t *)base + element * 4) = value;
    return;
  }
  uint16_t lanes[LANES];
  kv_narrow(type, lanes, splat(value));
  float kept = kv_load(type, lanes, 0)[0];
  uint16_t bits = lanes[0];
  if (largest ? kept < value : kept > value) {
    if ((bits & 0x7fff) == 0)
      bits = largest ? 1 : 0x8001;
    else
      bits += (bits >> 15 == 0) == largest ? 1 : -1;
  }
  *(u16_any *)((uint8_t *)base + element * 2) = bits;
}

// Queries whose sums stay in registers while bounds are read once for all.
enum { QUERIES_AT_ONCE = 4 };

static void bound_pages(const void *arguments, size_t first, size_t last) {
  const cpu_bound_pages_arguments *a = arguments;
  const cpu_kv_pool *pool = &a->pool;
  size_t width = pool->head_width, side = bounds_width(pool), block = head_bytes(pool);
  cpu_kv_type kept = bounds_type(pool);
  size_t size = kept == CPU_KV_F32 ? 4 : 2;
  for (size_t r = first; r < last; r++) {
    if (a->slots[r] < 0 || a->slots[r] % PAGE != PAGE - 1) continue;
    size_t page = (size_t)a->slots[r] / PAGE;
    for (size_t h = 0; h < pool->heads; h++) {
      const uint8_t *keys = (const uint8_t *)pool->pages + (h * pool->page_count + page) * block;
      uint8_t *least_of = (uint8_t *)a->bounds + (page * pool->heads + h) * 2 * side * size;
      for (size_t d = 0; d < side; d++) {
        float low = 0, high = 0;
        if (d < width) {
          vf most = key_vector(pool->type, keys, width, d, 0), fewest = most;
          for (int c = 1; c < PAGE_VECTORS; c++) {
            vf more = key_vector(pool->type, keys, width, d, c);
            most = max_of(more, most);
            fewest = choose(more < fewest, more, fewest);
          }
          high = largest_of(most)[0];
          low = -largest_of(-fewest)[0];
        }
        // A zero has no sign: which of two comes out would depend on the order.
        store_bound(kept, least_of, d, low + 0.0f, false);
        store_bound(kept, least_of, side + d, high + 0.0f, true);
      }
    }
  }
}

// The scores of four pages, whose bounds begin at `at`: the largest over `queries` queries (a constant), each
// of `side` numbers.
INLINE quad score_four(cpu_kv_type type, int queries, const float *q, size_t side,
                       const uint8_t *const at[4]) {
  vf lanes[QUERIES_AT_ONCE][4][SUM_VECTORS];
  for (int j = 0; j < queries; j++)
    for (int i = 0; i < 4; i++)
      for (int c = 0; c < SUM_VECTORS; c++) lanes[j][i][c] = (vf)0.0f;
  for (size_t d = 0; d < side; d += 16)
    for (int c = 0; c < SUM_VECTORS; c++) {
      size_t place = d + (size_t)(c * LANES);
      vf x[QUERIES_AT_ONCE];
      for (int j = 0; j < queries; j++) x[j] = load(q + (size_t)j * side + place);
      for (int i = 0; i < 4; i++) {
        vf low = kv_load(type, at[i], place), high = kv_load(type, at[i], side + place);
        KEEP_APART(low);
        KEEP_APART(high);
        for (int j = 0; j < queries; j++)
          lanes[j][i][c] = fused(x[j], choose(x[j] > 0.0f, high, low), lanes[j][i][c]);
      }
    }
  quad best = (quad)-FLT_MAX;
  for (int j = 0; j < queries; j++) {
    vf v[4];
    for (int i = 0; i < 4; i++)
      v[i] = SUM_VECTORS == 2 ? lanes[j][i][0] + lanes[j][i][SUM_VECTORS - 1] : lanes[j][i][0];
    quad sums = sums_of(v);
    for (int i = 0; i < 4; i++) best[i] = sums[i] > best[i] ? sums[i] : best[i];
  }
  return best + 0.0f;
}

// The pages from `page` on, up to sixteen of the `scored` ones of a row, for one kv head; some queries at a
// time. The bounds of the pages behind them are fetched meanwhile.
INLINE void score_lot(cpu_kv_type type, const cpu_score_pages_arguments *a, size_t row, size_t kv_head,
                      size_t page, size_t scored) {
  float q[QUERIES_AT_ONCE * CPU_MAX_HEAD_WIDTH];
  size_t width = a->pool.head_width, side = bounds_width(&a->pool), group = a->heads / a->pool.heads;
  size_t head_size = 2 * side * (type == CPU_KV_F32 ? 4 : 2), page_size = a->pool.heads * head_size;
  const int32_t *table = a->tables + a->table[row];
  const uint8_t *base = (const uint8_t *)a->bounds + kv_head * head_size;
  float *scores = a->scores + (row * a->pool.heads + kv_head) * a->stride;
  size_t end = scored - page < 16 ? scored : page + 16;
  for (size_t h = 0; h < group; h += QUERIES_AT_ONCE) {
    size_t queries = group - h < QUERIES_AT_ONCE ? group - h : QUERIES_AT_ONCE;
    for (size_t j = 0; j < queries; j++) {
      const float *x = a->q + (row * a->heads + kv_head * group + h + j) * width;
      for (size_t d = 0; d < width; d++) q[j * side + d] = x[d] * a->scale;
      for (size_t d = width; d < side; d++) q[j * side + d] = 0;
    }
    for (size_t four = page; four < end; four += 4) {
      const uint8_t *at[4];
      for (size_t i = 0; i < 4; i++) {
        size_t one = four + i < end ? four + i : end - 1;
        at[i] = base + (size_t)table[one] * page_size;
        const uint8_t *next = base + (size_t)table[one + 16 < scored ? one + 16 : scored - 1] * page_size;
        for (size_t line = 0; line < head_size; line += 64) __builtin_prefetch(next + line);
      }
      quad best = queries == 1   ? score_four(type, 1, q, side, at)
                  : queries == 2 ? score_four(type, 2, q, side, at)
                  : queries == 3 ? score_four(type, 3, q, side, at)
                                 : score_four(type, 4, q, side, at);
      for (size_t i = 0; i < 4 && four + i < end; i++)
        scores[four + i] = h > 0 && scores[four + i] > best[i] ? scores[four + i] : best[i];
    }
  }
  if (end == scored)
    for (size_t rest = end; rest % 16 != 0; rest++) scores[rest] = -__builtin_inff();
}

static void score_pages(const void *arguments, size_t first, size_t last) {
  const cpu_score_pages_arguments *a = arguments;
  size_t lots = a->stride / 16;
  for (size_t item = first; item < last; item++) {
    size_t row = item / lots, page = item % lots * 16;
    if (a->end[row] <= (int32_t)(a->count * PAGE)) continue;
    size_t scored = ((size_t)a->end[row] + PAGE - 1) / PAGE - 1;
    for (size_t kv_head = 0; page < scored && kv_head < a->pool.heads; kv_head++)
      switch (bounds_type(&a->pool)) {
        case CPU_KV_F32: score_lot(CPU_KV_F32, a, row, kv_head, page, scored); break;
        case CPU_KV_BF16: score_lot(CPU_KV_BF16, a, row, kv_head, page, scored); break;
        default: score_lot(CPU_KV_F16, a, row, kv_head, page, scored);
      }
  }
}

// The float whose rank among floats is `rank`: ranks go up with numbers.
INLINE float of_rank(uint32_t rank) {
  uint32_t bits = rank >> 31 ? rank & 0x7fffffffu : ~rank;
  float number;
  __builtin_memcpy(&number, &bits, sizeof number);
  return number;
}

// How many scores are at least `least`, but for those of the first page and of the last `known` that are scored: these
// are read in any case. There are whole vectors of scores.
INLINE size_t count_from(const float *scores, size_t scored, size_t known, float least) {
  vi counts[SUM_VECTORS];
  for (int c = 0; c < SUM_VECTORS; c++) counts[c] = (vi)0;
  for (size_t i = 0; i < scored; i += 16)
    for (int c = 0; c < SUM_VECTORS; c++) counts[c] -= load(scores + i + c * LANES) >= least;
  int32_t total = 0;
  for (int c = 0; c < SUM_VECTORS; c++) total += total_of(counts[c]);
  size_t count = (size_t)total - (scores[0] >= least);
  for (size_t i = scored - known; i < scored; i++) count -= scores[i] >= least;
  return count;
}

static void choose_pages(const void *arguments, size_t first, size_t last) {
  const cpu_choose_pages_arguments *a = arguments;
  for (size_t item = first; item < last; item++) {
    size_t row = item / a->heads, head = item % a->heads;
    size_t pages = a->end[row] < 1 ? 0 : ((size_t)a->end[row] + PAGE - 1) / PAGE;
    const int32_t *table = a->tables + a->table[row];
    int32_t *chosen = a->chosen + (row * a->heads + head) * a->count;
    if (pages <= a->count) {
      __builtin_memcpy(chosen, table, pages * sizeof *table);
      continue;
    }
    const float *scores = a->scores + (row * a->heads + head) * a->stride;
    size_t latest = pages - (pages - 1) / a->window * a->window;
    if (latest < 2) latest = 2;
    size_t scored = pages - 1, known = latest - 1, wanted = a->count - 1 - latest, taken = 0;
    // The rank of the last score that is wanted, or of less that parts the same ones from the rest: bit by
    // bit from the highest.
    uint32_t rank = 0;
    size_t reached = 0;
    for (uint32_t bit = 1u << 31; bit > 0 && reached != wanted; bit >>= 1) {
      size_t more = count_from(scores, scored, known, of_rank(rank | bit));
      if (more < wanted) continue;
      rank |= bit;
      reached = more;
    }
    float least = of_rank(rank);
    size_t equal = wanted > 0 ? wanted - count_from(scores, scored, known, of_rank(rank + 1)) : 0;
    *chosen++ = table[0];
    for (size_t page = 1; page < pages - latest && taken < wanted; page++) {
      bool better = scores[page] > least, same = scores[page] == least && equal > 0;
      if (same) equal--;
      chosen[taken] = table[page];
      taken += better || same;
    }
    for (size_t i = 0; i < latest; i++) chosen[taken + i] = table[pages - latest + i];
  }
}
