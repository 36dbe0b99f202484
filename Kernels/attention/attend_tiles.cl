// y = softmax(scale × q kᵀ) v, a tile of rows at a time; common/attention.cl says how.
//
// A work-item takes the HEADS query heads of a kv head in ROWS rows: QUERIES queries, LOT of them in
// registers at once. A window of keys or values is widened once for all rows of a sequence among them.
// Global ids: (kv head, tile). Tiles come from the front and from the back in turn: late ones see more,
// and so neighbours have as much to do as other neighbours.

#ifndef ROWS
#define ROWS 8
#endif
#define QUERIES (ROWS * HEADS)
#define LOT 6
#define LOTS ((QUERIES + LOT - 1) / LOT)
// Where numbers that a lot has in the lanes of a vector lie.
#define LANE(n) ((n) / LOT * 8 + (n) % LOT)
// Heads of a row that are worked on alone, where its rows do not see the same of a window; the last turn
// may do a head twice, which has the same result twice.
#define TURNS ((HEADS + 3) / 4)
#define TOGETHER ((HEADS + TURNS - 1) / TURNS)

#if !HAS_WHOLE
// Scores of a lot to weights, as weigh() does for one query; what waits for one query goes on for another.
// Query h sees the tokens begin[h] ..< end[h] of the window, or nothing and stays as it is.
static inline float8 weigh_lot(
    float16 (*score)[PAGES], const int *begin, const int *end, float8 *peak, float8 *total,
    float (*weights)[WINDOW])
{
  const int16 lanes = (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  float16 most[LOT], sum[LOT];
  int sees[8];
  bool masked = false;
  for (uint h = 0; h < 8; h++) sees[h] = h < LOT && begin[h] < end[h] ? -1 : 0;
  for (uint h = 0; h < LOT; h++) masked = masked || begin[h] > 0 || end[h] < WINDOW;
#pragma unroll
  for (uint h = 0; h < LOT; h++) {
#pragma unroll
    for (int p = 0; p < PAGES; p++) {
      const int16 visible = (lanes + p * PAGE >= begin[h]) & (lanes + p * PAGE < end[h]);
      if (masked) score[h][p] = select((float16)(-INFINITY), score[h][p], visible);
      most[h] = p == 0 ? score[h][p] : LARGER(score[h][p], most[h]);
    }
  }
  const int8 any = vload8(0, sees);
  float8 now;
  HALVED(LARGER, most, now);
  now = LARGER(now, *peak);
  const float8 shrink = select((float8)(1.0f), exponential8(*peak - now), any);
  const float peak_of[8] = {now.s0, now.s1, now.s2, now.s3, now.s4, now.s5, now.s6, now.s7};
#pragma unroll
  for (uint h = 0; h < LOT; h++) {
#pragma unroll
    for (int p = 0; p < PAGES; p++) {
      const int16 visible = (lanes + p * PAGE >= begin[h]) & (lanes + p * PAGE < end[h]);
      float16 e = exponential16(score[h][p] - peak_of[h]);
      if (masked) e = select((float16)(0.0f), e, visible);
      vstore16(e, p, weights[h]);
      sum[h] = p == 0 ? e : sum[h] + e;
    }
  }
  float8 sums;
  HALVED(PLUS, sum, sums);
  *peak = select(*peak, now, any);
  *total = select(*total, *total * shrink + sums, any);
  return shrink;
}
#endif

kernel void attend_tiles(
    global const uchar *q_buffer, ulong q_offset,
    global const uchar *pool_buffer, ulong pool_offset,
    global const uchar *begin_buffer, ulong begin_offset,
    global const uchar *end_buffer, ulong end_offset,
    global const uchar *table_buffer, ulong table_offset,
    global const uchar *tables_buffer, ulong tables_offset, uint head_stride, uint pool_pages,
    global const uchar *left_buffer, ulong left_offset,
    global uchar *y_buffer, ulong y_offset, uint rows, uint heads, uint kv_heads, float scale)
{
  const uint kv_head = get_global_id(0), turn_of = get_global_id(1), tiles = get_global_size(1);
  const uint tile = turn_of % 2 == 0 ? turn_of / 2 : tiles - 1 - turn_of / 2;
  global const int *begins = (global const int *)(begin_buffer + begin_offset);
  global const int *ends = (global const int *)(end_buffer + end_offset);
  global const int *table = (global const int *)(table_buffer + table_offset);
  global const element *pool = (global const element *)(pool_buffer + pool_offset);
  const size_t row_width = heads * HEAD_WIDTH, place = kv_head * HEADS * HEAD_WIDTH;
  global const float *q_rows = (global const float *)(q_buffer + q_offset) + place;
  global float *y_rows = (global float *)(y_buffer + y_offset) + kv_head * HEADS * LEFT;

  // Query r * HEADS + h is head h of row r. Those behind QUERIES fill the last lot.
#if HAS_WHOLE
  float q[LOTS * LOT][HEAD_WIDTH];
  int8 codes[LOTS * LOT][HEAD_WIDTH / 16], weights[LOTS * LOT][PAGES];
  float q_scale[LOTS * LOT], weight_scale[LOTS * 8];
  float16 scores[LOTS * LOT][PAGES];
  bool masked[LOTS];
#else
  float q[LOTS * LOT][HEAD_WIDTH], weights[LOTS * LOT][WINDOW];
  // The keys of a window, then its values.
  float16 wide[HEAD_WIDTH * PAGES];
#endif
  float peak[LOTS * 8], total[LOTS * 8], shrink[LOTS * 8];
  float16 sum[LOTS * LOT][VECTORS + 1];
  float rest[QUERIES][REST + 1];
  // What the spans before have gathered; their sums are in y.
  float all_peak[QUERIES], all_total[QUERIES];
  for (uint n = QUERIES; n < LOTS * LOT; n++) {
#if HAS_WHOLE
    for (uint i = 0; i < HEAD_WIDTH / 16; i++) codes[n][i] = (int8)(0);
    for (uint p = 0; p < PAGES; p++) weights[n][p] = (int8)(0);
    q_scale[n] = 0.0f;
#else
    for (uint d = 0; d < HEAD_WIDTH; d++) q[n][d] = 0.0f;
    for (uint i = 0; i < WINDOW; i++) weights[n][i] = 0.0f;
#endif
    for (uint j = 0; j < VECTORS; j++) sum[n][j] = (float16)(0.0f);
  }

  // Rows of the tile one sequence after the other: rows from t to `next` share a page table.
  const uint limit = min(tile * ROWS + ROWS, rows);
  for (uint t = tile * ROWS, next; t < limit; t = next) {
    int first_seen = INT_MAX, end_seen = 0;
    for (next = t; next < limit && table[next] == table[t]; next++) {
      if (begins[next] < ends[next]) {
        first_seen = min(first_seen, begins[next]);
        end_seen = max(end_seen, ends[next]);
      }
      for (uint h = 0; h < HEADS; h++) {
        const uint n = (next - t) * HEADS + h;
        for (uint d = 0; d < HEAD_WIDTH; d++)
          q[n][d] = q_rows[next * row_width + h * HEAD_WIDTH + d] * scale;
      }
    }
    const uint queries = (next - t) * HEADS;
#if HAS_WHOLE
    for (uint n = 0; n < queries; n++) q_scale[n] = query_scale(q[n]);
    for (uint n = 0; n < queries; n++) code_query(q[n], q_scale[n], codes[n]);
#endif
    for (uint n = 0; n < queries; n++) {
      all_peak[n] = -INFINITY;
      all_total[n] = 0.0f;
#if FOLLOWS
      const size_t head = (size_t)(t + n / HEADS) * heads + n % HEADS;
      global const float *left =
          (global const float *)(left_buffer + left_offset) + (kv_head * HEADS + head) * PART;
      all_peak[n] = left[HEAD_WIDTH];
      all_total[n] = left[HEAD_WIDTH + 1];
      for (uint d = 0; d < HEAD_WIDTH; d++) y_rows[head * LEFT + d] = left[d];
#endif
    }
    global const int *pages_of =
        (global const int *)(tables_buffer + tables_offset) + table[t] + kv_head * head_stride;

    for (int span = first_seen / SPAN; span * SPAN < end_seen; span++) {
      const int span_begin = max(first_seen, span * SPAN);
      const int span_end = min(end_seen, span * SPAN + SPAN);
      for (uint n = 0; n < LOTS * 8; n++) {
        peak[n] = -INFINITY;
        total[n] = 0.0f;
      }
      for (uint n = 0; n < queries; n++) {
        for (uint j = 0; j < VECTORS; j++) sum[n][j] = (float16)(0.0f);
        for (uint j = 0; j < REST; j++) rest[n][j] = 0.0f;
      }

      for (int w = span_begin / WINDOW * WINDOW; w < span_end; w += WINDOW) {
        const int first = max(span_begin, w), last = min(span_end, w + WINDOW);
        global const element *pages[PAGES];
        find_pages(pool, pages_of, pool_pages, kv_head, first, last, pages);
#if !HAS_WHOLE
        for (uint d = 0; d < HEAD_WIDTH; d++)
#pragma unroll
          for (int p = 0; p < PAGES; p++)
            wide[d * PAGES + p] = KEY_AT(pages[p], d);
#endif

        for (uint n = 0; n < queries; n += LOT) {
          float16 score[LOT][PAGES];
#if HAS_WHOLE
#define QUERY(h) codes[n + (h)]
#define Q_SCALE(h) q_scale[n + (h)]
          SCORES_OF_CODES(LOT, pages, QUERY, Q_SCALE, NOTHING_AHEAD, score);
#else
#define KEY(p, d) wide[(d) * PAGES + (p)]
#define QUERY(h, d) q[n + (h)][d]
          SCORES(LOT, KEY, QUERY, NOTHING_AHEAD, score);
#endif
          int begin[LOT], end[LOT];
#pragma unroll
          for (uint h = 0; h < LOT; h++) {
            const uint r = min(t + (n + h) / HEADS, next - 1);
            begin[h] = max(begins[r], first) - w;
            end[h] = min(ends[r], last) - w;
          }
          float8 lot_peak = vload8(n / LOT, peak);
#if HAS_WHOLE
          bool some = false;
          for (uint h = 0; h < LOT; h++) some = some || begin[h] > 0 || end[h] < WINDOW;
          masked[n / LOT] = some;
          const float8 lot_shrink = raise_lot(score, begin, end, some, &lot_peak, scores + n);
#else
          float8 lot_total = vload8(n / LOT, total);
          const float8 lot_shrink =
              weigh_lot(score, begin, end, &lot_peak, &lot_total, weights + n);
          vstore8(lot_total, n / LOT, total);
#endif
          vstore8(lot_shrink, n / LOT, shrink);
          vstore8(lot_peak, n / LOT, peak);
        }

#define SUM(h, j) sum[QUERY_OF(h)][j]
#define SHRINK(h) shrink[LANE(QUERY_OF(h))]
#if HAS_WHOLE
        float16 scales[PAGES];
        for (int p = 0; p < PAGES; p++) scales[p] = value_scales(pages[p]);
        for (uint n = 0; n < queries; n += LOT) {
          float8 sums;
          vstore8(
              scale_lot(scores + n, scales, masked[n / LOT], peak + LANE(n), &sums), n / LOT,
              weight_scale);
          vstore8(vload8(n / LOT, total) * vload8(n / LOT, shrink) + sums, n / LOT, total);
        }
        for (uint n = 0; n < queries; n += LOT)
          code_lot(scores + n, vload8(n / LOT, weight_scale), weights + n);
#define WEIGHTS(h) weights[n + (h)]
#define WEIGHT_SCALE(h) weight_scale[LANE(n + (h))]
        for (uint n = 0; n < queries; n += LOT) {
#define QUERY_OF(h) (n + (h))
          GATHER_CODES(LOT, pages, WEIGHTS, WEIGHT_SCALE, SUM, SHRINK, NOTHING_AHEAD, first - w, last - w)
#undef QUERY_OF
        }
#else
        for (int i = 0; i < WINDOW; i++)
          for (uint j = 0; j < VECTORS; j++)
            wide[i * VECTORS + j] = VALUE_AT(pages[i / PAGE], i % PAGE, j);
        bool alike = true;
        for (uint r = t; r < next; r++)
          alike = alike && max(begins[r], first) == first && min(ends[r], last) == last;
#define VALUE(i, j) wide[(i) * VECTORS + (j)]
#define WEIGHT(h, i) weights[QUERY_OF(h)][i]
        if (alike) {
          for (uint n = 0; n < queries; n += LOT) {
#define QUERY_OF(h) (n + (h))
            GATHER(LOT, VALUE, WEIGHT, SUM, SHRINK, NOTHING_AHEAD, first - w, last - w)
#undef QUERY_OF
          }
        } else {
          for (uint r = t; r < next; r++) {
            const int begin = max(begins[r], first) - w, end = min(ends[r], last) - w;
            for (uint turn = 0; turn < HEADS && begin < end; turn += TOGETHER) {
#define QUERY_OF(h) ((r - t) * HEADS + min(turn + (h), (uint)(HEADS - 1)))
              GATHER(TOGETHER, VALUE, WEIGHT, SUM, SHRINK, NOTHING_AHEAD, begin, end)
#undef QUERY_OF
            }
          }
        }
        for (uint j = 0; j < REST; j++)
          for (uint n = 0; n < queries; n++) {
            const uint r = t + n / HEADS;
            float gathered = rest[n][j] * shrink[LANE(n)];
            for (int i = max(begins[r], first) - w; i < min(ends[r], last) - w; i++)
              gathered = FUSED(
                  LOAD(16 * VECTORS + j, VALUE_OF(pages[i / PAGE], i % PAGE)), weights[n][i], gathered);
            rest[n][j] = gathered;
          }
#endif
      }

      for (uint n = 0; n < queries; n++) {
        const uint r = t + n / HEADS;
        global float *sums = y_rows + ((size_t)r * heads + n % HEADS) * LEFT;
        if (max(begins[r], span_begin) >= min(ends[r], span_end)) continue;
        if (all_total[n] == 0.0f) {
          all_peak[n] = peak[LANE(n)];
          all_total[n] = total[LANE(n)];
          for (uint j = 0; j < VECTORS; j++) vstore16(sum[n][j], j, sums);
          for (uint j = 0; j < REST; j++) sums[16 * VECTORS + j] = rest[n][j];
          continue;
        }
        const float3 s = scales(all_peak[n], peak[LANE(n)]);
        all_peak[n] = s.x;
        all_total[n] = FUSED(total[LANE(n)], s.z, all_total[n] * s.y);
        for (uint j = 0; j < VECTORS; j++)
          vstore16(FUSED(sum[n][j], (float16)(s.z), vload16(j, sums) * s.y), j, sums);
        for (uint j = 0; j < REST; j++)
          sums[16 * VECTORS + j] = FUSED(rest[n][j], s.z, sums[16 * VECTORS + j] * s.y);
      }
    }

    for (uint n = 0; n < queries; n++) {
      global float *y = y_rows + ((size_t)(t + n / HEADS) * heads + n % HEADS) * LEFT;
      const bool any = all_total[n] != 0.0f;
      const float factor = !any || LEAVES ? 1.0f : reciprocal1(all_total[n]);
      for (uint d = 0; d < HEAD_WIDTH; d++) y[d] = any ? y[d] * factor : 0.0f;
#if LEAVES
      y[HEAD_WIDTH] = all_peak[n];
      y[HEAD_WIDTH + 1] = all_total[n];
#endif
    }
  }
}
