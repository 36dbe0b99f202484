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
// Heads of a row that are worked on alone, where its rows do not see the same of a window; the last turn
// may do a head twice, which has the same result twice.
#define TURNS ((HEADS + 3) / 4)
#define TOGETHER ((HEADS + TURNS - 1) / TURNS)

kernel void attend_tiles(
    global const uchar *q_buffer, ulong q_offset,
    global const uchar *pool_buffer, ulong pool_offset,
    global const uchar *begin_buffer, ulong begin_offset,
    global const uchar *end_buffer, ulong end_offset,
    global const uchar *table_buffer, ulong table_offset,
    global const uchar *tables_buffer, ulong tables_offset, uint head_stride,
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
  global float *y_rows = (global float *)(y_buffer + y_offset) + place;

  // Query r * HEADS + h is head h of row r. Those behind QUERIES fill the last lot.
  float q[LOTS * LOT][HEAD_WIDTH], weights[LOTS * LOT][WINDOW], shrink[LOTS * LOT];
  float peak[QUERIES], total[QUERIES];
  float16 sum[LOTS * LOT][VECTORS + 1];
  float rest[QUERIES][REST + 1];
  // What the spans before have gathered; their sums are in y.
  float all_peak[QUERIES], all_total[QUERIES];
  float16 key[HEAD_WIDTH][PAGES], value[WINDOW][VECTORS + 1];
  for (uint n = QUERIES; n < LOTS * LOT; n++) {
    shrink[n] = 1.0f;
    for (uint d = 0; d < HEAD_WIDTH; d++) q[n][d] = 0.0f;
    for (uint i = 0; i < WINDOW; i++) weights[n][i] = 0.0f;
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
      for (uint h = 0; h < HEADS; h++)
        for (uint d = 0; d < HEAD_WIDTH; d++)
          q[(next - t) * HEADS + h][d] = q_rows[next * row_width + h * HEAD_WIDTH + d] * scale;
    }
    const uint queries = (next - t) * HEADS;
    global const int *pages_of =
        (global const int *)(tables_buffer + tables_offset) + table[t] + kv_head * head_stride;

    for (int span = first_seen / SPAN; span * SPAN < end_seen; span++) {
      const int span_begin = max(first_seen, span * SPAN);
      const int span_end = min(end_seen, span * SPAN + SPAN);
      for (uint n = 0; n < queries; n++) {
        peak[n] = -INFINITY;
        total[n] = 0.0f;
        for (uint j = 0; j < VECTORS; j++) sum[n][j] = (float16)(0.0f);
        for (uint j = 0; j < REST; j++) rest[n][j] = 0.0f;
      }

      for (int w = span_begin / WINDOW * WINDOW; w < span_end; w += WINDOW) {
        const int first = max(span_begin, w), last = min(span_end, w + WINDOW);
        global const element *pages[PAGES];
        find_pages(pool, pages_of, kv_heads, kv_head, first, last, pages);
        for (uint d = 0; d < HEAD_WIDTH; d++)
#pragma unroll
          for (int p = 0; p < PAGES; p++) key[d][p] = load_elements(pages[p] + d * PAGE);

        for (uint n = 0; n < queries; n += LOT) {
          float16 score[LOT][PAGES];
#define KEY(p, d) key[d][p]
#define QUERY(h, d) q[n + (h)][d]
          SCORES(LOT, KEY, QUERY, NOTHING_AHEAD, score);
#pragma unroll
          for (uint h = 0; h < LOT; h++) {
            if (n + h >= queries) break;
            const uint r = t + (n + h) / HEADS;
            const int begin = max(begins[r], first) - w, end = min(ends[r], last) - w;
            shrink[n + h] = 1.0f;
            if (begin < end)
              shrink[n + h] =
                  weigh(score[h], begin, end, &peak[n + h], &total[n + h], weights[n + h]);
          }
        }

        for (int i = 0; i < WINDOW; i++) {
          global const element *values = pages[i / PAGE] + (PAGE + i % PAGE) * HEAD_WIDTH;
          for (uint j = 0; j < VECTORS; j++) value[i][j] = load_elements(values + 16 * j);
        }
        bool alike = true;
        for (uint r = t; r < next; r++)
          alike = alike && max(begins[r], first) == first && min(ends[r], last) == last;
#define VALUE(i, j) value[i][j]
#define WEIGHT(h, i) weights[QUERY_OF(h)][i]
#define SUM(h, j) sum[QUERY_OF(h)][j]
#define SHRINK(h) shrink[QUERY_OF(h)]
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
            float gathered = rest[n][j] * shrink[n];
            for (int i = max(begins[r], first) - w; i < min(ends[r], last) - w; i++) {
              global const element *values = pages[i / PAGE] + (PAGE + i % PAGE) * HEAD_WIDTH;
              gathered = FUSED(LOAD(16 * VECTORS + j, values), weights[n][i], gathered);
            }
            rest[n][j] = gathered;
          }
      }

      for (uint n = 0; n < queries; n++) {
        const uint r = t + n / HEADS;
        global float *sums = y_rows + r * row_width + n % HEADS * HEAD_WIDTH;
        if (max(begins[r], span_begin) >= min(ends[r], span_end)) continue;
        if (begins[r] >= span * SPAN) {
          all_peak[n] = peak[n];
          all_total[n] = total[n];
          for (uint j = 0; j < VECTORS; j++) vstore16(sum[n][j], j, sums);
          for (uint j = 0; j < REST; j++) sums[16 * VECTORS + j] = rest[n][j];
          continue;
        }
        const float3 s = scales(all_peak[n], peak[n]);
        all_peak[n] = s.x;
        all_total[n] = FUSED(total[n], s.z, all_total[n] * s.y);
        for (uint j = 0; j < VECTORS; j++)
          vstore16(FUSED(sum[n][j], (float16)(s.z), vload16(j, sums) * s.y), j, sums);
        for (uint j = 0; j < REST; j++)
          sums[16 * VECTORS + j] = FUSED(rest[n][j], s.z, sums[16 * VECTORS + j] * s.y);
      }
    }

    for (uint n = 0; n < queries; n++) {
      const uint r = t + n / HEADS;
      global float *y = y_rows + r * row_width + n % HEADS * HEAD_WIDTH;
      const bool any = begins[r] < ends[r];
      const float inverse = any ? reciprocal1(all_total[n]) : 0.0f;
      for (uint d = 0; d < HEAD_WIDTH; d++) y[d] = any ? y[d] * inverse : 0.0f;
    }
  }
}
