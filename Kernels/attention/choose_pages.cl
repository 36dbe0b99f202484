// Which pages of its sequence a row reads (Quest, Tang et al., 2024).
//
//   bounds   of each page and kv head, as attention/bound_pages.cl has them
//   scores   f32 [t * kv_heads * stride + kv_head * stride + page]: no product of one of the head's queries
//            with a key of the page is larger. Each element of a query meets the bound that makes the
//            product larger; products are summed in 16 lanes by element.
//   chosen   int [t * kv_heads * count + kv_head * count + i]: pages in order of tokens
//
//   pages of a row   │ 0 │ 1 │ 2 │ … │ n - 3 │ n - 2 │ n - 1 │
//     read             scored, full            read in any case
//
// A row that sees `count` pages or fewer reads all of them. Behind the scores of a head is -∞ up to a
// multiple of 16. Whatever is no number, or below all numbers, scores as the least of them.

#define SIDE ((HEAD_WIDTH + 15) / 16 * 16)
#define CHUNKS (SIDE / 16)
#define LEAST -3.40282347e38f

// Lane i of the result is sum16(v[i]): halves are added as there.
static inline float16 sums16(const float16 *v)
{
  float16 a[8], b[4];
UNROLL
  for (int i = 0; i < 8; i++) {
    // Lanes 0 … 7 are of v[i], 8 … 15 of v[i + 8].
    a[i] = (float16)(v[i].lo + v[i].hi, v[i + 8].lo + v[i + 8].hi);
  }
UNROLL
  for (int i = 0; i < 4; i++) {
    const float16 x = a[i], y = a[i + 4];
    b[i] = (float16)(x.s0123 + x.s4567, y.s0123 + y.s4567, x.s89ab + x.scdef, y.s89ab + y.scdef);
  }
  // Quads of b[i] are of v[i], v[i + 4], v[i + 8], v[i + 12].
  float16 c[2];
UNROLL
  for (int i = 0; i < 2; i++) {
    const float16 x = b[i], y = b[i + 2];
    const float8 xs = x.s014589cd + x.s2367abef, ys = y.s014589cd + y.s2367abef;
    c[i] = (float16)(xs.s01, ys.s01, xs.s23, ys.s23, xs.s45, ys.s45, xs.s67, ys.s67);
  }
  // Pairs of c[i] are of v[i], v[i + 2], v[i + 4], …
  const float8 even = c[0].even + c[0].odd, odd = c[1].even + c[1].odd;
  return (float16)(
      even.s0, odd.s0, even.s1, odd.s1, even.s2, odd.s2, even.s3, odd.s3, even.s4, odd.s4, even.s5,
      odd.s5, even.s6, odd.s6, even.s7, odd.s7);
}

// A work-item takes `each` lots of 16 pages of a kv head. Global ids: (share of the lots, row).
kernel void score_pages(
    global const uchar *q_buffer, ulong q_offset,
    global const uchar *bounds_buffer, ulong bounds_offset,
    global const uchar *end_buffer, ulong end_offset,
    global const uchar *table_buffer, ulong table_offset,
    global const uchar *tables_buffer, ulong tables_offset,
    global uchar *scores_buffer, ulong scores_offset, uint kv_heads, float scale, uint count,
    uint stride, uint lots, uint each)
{
  const size_t t = get_global_id(1);
  const int end = ((global const int *)(end_buffer + end_offset))[t];
  const int pages = end > 0 ? (end - 1) / PAGE + 1 : 0, scored = pages - 1;
  if (pages <= (int)count) return;
  global const int *table = (global const int *)(tables_buffer + tables_offset)
      + ((global const int *)(table_buffer + table_offset))[t];
  global const element *bounds = (global const element *)(bounds_buffer + bounds_offset);
  const uint first = get_global_id(0) * each, limit = min(first + each, kv_heads * lots);
  // All kv heads of a lot follow one another, as their bounds do in memory.
  for (uint unit = first; unit < limit; unit++) {
    const uint kv_head = unit % kv_heads;
    const int page = unit / kv_heads * 16;
    if (page >= scored) break;
    global const float *x = (global const float *)(q_buffer + q_offset)
        + (t * kv_heads + kv_head) * HEADS * HEAD_WIDTH;
    float q[HEADS * SIDE];
    for (uint h = 0; h < HEADS; h++)
      for (uint d = 0; d < SIDE; d++)
        q[h * SIDE + d] = d < HEAD_WIDTH ? x[h * HEAD_WIDTH + d] * scale : 0.0f;
    float16 lanes[HEADS][16];
    for (int i = 0; i < 16; i++) {
      const size_t at = (size_t)table[min(page + i, scored - 1)] * kv_heads + kv_head;
      global const element *least = bounds + at * 2 * SIDE;
      const size_t next = (size_t)table[min(page + 16 + i, scored - 1)] * kv_heads + kv_head;
UNROLL
      for (uint line = 0; line < 2 * SIDE * sizeof(element); line += 64)
        ask_for((global const uchar *)(bounds + next * 2 * SIDE) + line);
      float16 sum[HEADS];
UNROLL
      for (uint h = 0; h < HEADS; h++) sum[h] = (float16)(0.0f);
UNROLL
      for (uint j = 0; j < CHUNKS; j++) {
        const float16 low = load_elements(least + 16 * j);
        const float16 high = load_elements(least + SIDE + 16 * j);
UNROLL
        for (uint h = 0; h < HEADS; h++) {
          const float16 x = vload16(j, q + h * SIDE);
          sum[h] = FUSED(x, select(low, high, x > 0.0f), sum[h]);
        }
      }
UNROLL
      for (uint h = 0; h < HEADS; h++) lanes[h][i] = sum[h];
    }
    float16 best = (float16)(LEAST);
UNROLL
    for (uint h = 0; h < HEADS; h++) {
      const float16 score = sums16(lanes[h]);
      best = select(best, score, score > best);
    }
    const int16 place = (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15) + page;
    best = select((float16)(-INFINITY), best + 0.0f, place < scored);
    vstore16(
        best, 0,
        (global float *)(scores_buffer + scores_offset) + (t * kv_heads + kv_head) * stride + page);
  }
}

// The float whose rank among floats is `rank`: ranks go up with numbers.
static inline float of_rank(uint rank)
{
  return as_float(rank >> 31 ? rank & 0x7FFFFFFFu : ~rank);
}

// How many scores are at least `least`, but for those of the first page and of the last `known` that are scored: these
// are read in any case. They are picked, not taken off as the -1 that a comparison gives: Oclgrind
// counts that wrongly.
static inline uint count_from(global const float *scores, int scored, int known, float least)
{
  int16 counts = (int16)(0);
  for (int i = 0; i < scored; i += 16)
    counts += select((int16)(0), (int16)(1), vload16(0, scores + i) >= (float16)(least));
  const int8 a = counts.lo + counts.hi;
  const int4 b = a.lo + a.hi;
  int count = b.x + b.y + b.z + b.w - (scores[0] >= least ? 1 : 0);
  for (int i = scored - known; i < scored; i++) count -= scores[i] >= least ? 1 : 0;
  return count;
}

// The first page, the best ones, and the last two or all of the last window of so many: `count` of `pages` ones,
// which are more.
static inline void choose(
    global const float *scores, global const int *table, int pages, uint count, int window,
    global int *chosen)
{
  const int scored = pages - 1, latest = max(2, pages - scored / window * window);
  // The rank of the last score that is wanted, or of less that parts the same ones from the rest: bit by
  // bit from the highest.
  const uint wanted = count - 1 - latest;
  uint rank = 0, equal = 0, taken = 0;
  if (wanted > 0) {
    for (uint bit = 1u << 31, reached = 0; bit > 0 && reached != wanted; bit >>= 1) {
      const uint more = count_from(scores, scored, latest - 1, of_rank(rank | bit));
      if (more < wanted) continue;
      rank |= bit;
      reached = more;
    }
    equal = wanted - count_from(scores, scored, latest - 1, of_rank(rank + 1));
  }
  const float least = of_rank(rank);
  *chosen++ = table[0];
  for (int page = 1; page < pages - latest && taken < wanted; page++) {
    const bool same = scores[page] == least && equal > 0;
    if (same) equal--;
    chosen[taken] = table[page];
    taken += scores[page] > least || same;
  }
  for (int i = 0; i < latest; i++) chosen[taken + i] = table[pages - latest + i];
}

// A work-item takes `each` kv heads. Global ids: (share of the kv heads, row).
kernel void choose_pages(
    global const uchar *scores_buffer, ulong scores_offset,
    global const uchar *end_buffer, ulong end_offset,
    global const uchar *table_buffer, ulong table_offset,
    global const uchar *tables_buffer, ulong tables_offset,
    global uchar *chosen_buffer, ulong chosen_offset, uint kv_heads, uint count, uint window,
    uint stride, uint each)
{
  const size_t t = get_global_id(1);
  const int end = ((global const int *)(end_buffer + end_offset))[t];
  const int pages = end > 0 ? (end - 1) / PAGE + 1 : 0;
  global const int *table = (global const int *)(tables_buffer + tables_offset)
      + ((global const int *)(table_buffer + table_offset))[t];
  const uint first = get_global_id(0) * each, limit = min(first + each, kv_heads);
  for (uint kv_head = first; kv_head < limit; kv_head++) {
    const size_t head = t * kv_heads + kv_head;
    global int *chosen = (global int *)(chosen_buffer + chosen_offset) + head * count;
    if (pages <= (int)count)
      for (int page = 0; page < pages; page++) chosen[page] = table[page];
    else
      choose(
          (global const float *)(scores_buffer + scores_offset) + head * stride, table, pages, count,
          window, chosen);
  }
}
