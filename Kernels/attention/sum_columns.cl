// What observed rows attend to each token, without a matrix of rows by tokens.
//
//   observed   int [count]: rows, or -1 for none
//   weights    f32 [count][heads][2]: the peak of a row's scores, and 1 / the total of its softmax
//   columns    f32 [kv_heads][tokens]: the sum of exp(score - peak) / total over the observed rows in the order of
//              the list, and over the HEADS query heads that share the kv head in theirs
//
// `weigh_rows` gathers peak and total as attention does; common/attention.cl says how. `sum_columns` takes
// a window of tokens of a kv head and goes through all rows, so no sum is shared between work-items and
// the order is always the same. Tokens that a row does not see gain nothing; tokens that nobody sees have 0.

// Heads whose scores stay in registers: groups of more are worked on in turns. Where loops are not unrolled one head
// goes at a time, which such drivers build sooner.
#define TURNS (UNROLLED ? (HEADS + 3) / 4 : HEADS)
#define TOGETHER ((HEADS + TURNS - 1) / TURNS)
#define HEAD(h) min(turn + (h), (uint)(HEADS - 1))
#define KEY(p, d) KEY_AT(keys[p], d)
#define QUERY(h, d) q[HEAD(h) * HEAD_WIDTH + (d)] * scale

// A work-item takes `each` kv heads. Global ids: (share of the kv heads, place in the list).
kernel void weigh_rows(
    global const uchar *q_buffer, ulong q_offset,
    global const uchar *pool_buffer, ulong pool_offset,
    global const uchar *begin_buffer, ulong begin_offset,
    global const uchar *end_buffer, ulong end_offset,
    global const uchar *table_buffer, ulong table_offset,
    global const uchar *tables_buffer, ulong tables_offset,
    global const uchar *observed_buffer, ulong observed_offset,
    global uchar *weights_buffer, ulong weights_offset, uint kv_heads, uint pool_pages, float scale,
    uint each)
{
  const size_t place = get_global_id(1);
  const uint start = get_global_id(0) * each, limit = min(start + each, kv_heads);
  const int t = ((global const int *)(observed_buffer + observed_offset))[place];
  const int row_begin = t < 0 ? 0 : ((global const int *)(begin_buffer + begin_offset))[t];
  const int row_end = t < 0 ? 0 : ((global const int *)(end_buffer + end_offset))[t];
  global const element *pool = (global const element *)(pool_buffer + pool_offset);
  for (uint kv_head = start; kv_head < limit; kv_head++) {
    global float *result = (global float *)(weights_buffer + weights_offset)
        + (place * kv_heads + kv_head) * HEADS * 2;
    if (row_begin >= row_end) {
      for (uint i = 0; i < HEADS * 2; i++) result[i] = 0.0f;
      continue;
    }
    global const int *table = (global const int *)(tables_buffer + tables_offset)
        + ((global const int *)(table_buffer + table_offset))[t];
    global const float *q = (global const float *)(q_buffer + q_offset)
        + ((size_t)t * kv_heads + kv_head) * HEADS * HEAD_WIDTH;
    float peak[HEADS], total[HEADS], all_peak[HEADS], all_total[HEADS], weights[WINDOW];
    for (int w = row_begin / WINDOW * WINDOW; w < row_end; w += WINDOW) {
      const int begin = max(row_begin - w, 0), end = min(row_end - w, WINDOW);
      if (w % SPAN == 0 || w <= row_begin)
        for (uint h = 0; h < HEADS; h++) {
          peak[h] = -INFINITY;
          total[h] = 0.0f;
        }
      global const element *keys[PAGES];
      find_pages(pool, table, pool_pages, kv_head, w + begin, w + end, keys);
      for (uint turn = 0; turn < HEADS; turn += TOGETHER) {
        float16 score[TOGETHER][PAGES];
        SCORES(TOGETHER, KEY, QUERY, NOTHING_AHEAD, score);
        for (uint h = 0; h < TOGETHER && turn + h < HEADS; h++)
          weigh(score[h], begin, end, &peak[turn + h], &total[turn + h], weights);
      }
      if ((w + WINDOW) % SPAN != 0 && w + WINDOW < row_end) continue;
      // The span ends here.
      for (uint h = 0; h < HEADS; h++) {
        const bool is_first = row_begin >= w / SPAN * SPAN;
        const float3 s = is_first ? (float3)(peak[h], 0.0f, 1.0f) : scales(all_peak[h], peak[h]);
        all_peak[h] = s.x;
        all_total[h] = is_first ? total[h] : FUSED(total[h], s.z, all_total[h] * s.y);
      }
    }
    for (uint h = 0; h < HEADS; h++) {
      result[2 * h] = all_peak[h];
      result[2 * h + 1] = reciprocal1(all_total[h]);
    }
  }
}

// A work-item takes `each` windows of a kv head. Global ids: (share of the windows of all kv heads).
kernel void sum_columns(
    global const uchar *q_buffer, ulong q_offset,
    global const uchar *pool_buffer, ulong pool_offset,
    global const uchar *begin_buffer, ulong begin_offset,
    global const uchar *end_buffer, ulong end_offset,
    global const uchar *table_buffer, ulong table_offset,
    global const uchar *tables_buffer, ulong tables_offset,
    global const uchar *observed_buffer, ulong observed_offset,
    global const uchar *weights_buffer, ulong weights_offset,
    global uchar *columns_buffer, ulong columns_offset, uint kv_heads, uint pool_pages, float scale,
    uint count, uint tokens, uint windows, uint each)
{
  const int16 lanes = (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const uint first = get_global_id(0) * each, limit = min(first + each, kv_heads * windows);
  global const int *observed = (global const int *)(observed_buffer + observed_offset);
  global const element *pool = (global const element *)(pool_buffer + pool_offset);
  for (uint unit = first; unit < limit; unit++) {
    const uint kv_head = unit / windows;
    const int w = (int)(unit % windows) * WINDOW;
    float16 sums[PAGES];
UNROLL
    for (int p = 0; p < PAGES; p++) sums[p] = (float16)(0.0f);
    for (uint place = 0; place < count; place++) {
      const int t = observed[place];
      if (t < 0) continue;
      const int begin = max(((global const int *)(begin_buffer + begin_offset))[t] - w, 0);
      const int end = min(((global const int *)(end_buffer + end_offset))[t] - w, WINDOW);
      if (begin >= end) continue;
      global const int *table = (global const int *)(tables_buffer + tables_offset)
          + ((global const int *)(table_buffer + table_offset))[t];
      global const float *q = (global const float *)(q_buffer + q_offset)
          + ((size_t)t * kv_heads + kv_head) * HEADS * HEAD_WIDTH;
      global const float *weights = (global const float *)(weights_buffer + weights_offset)
          + ((size_t)place * kv_heads + kv_head) * HEADS * 2;
      global const element *keys[PAGES];
      find_pages(pool, table, pool_pages, kv_head, w + begin, w + end, keys);
      for (uint turn = 0; turn < HEADS; turn += TOGETHER) {
        float16 score[TOGETHER][PAGES];
        SCORES(TOGETHER, KEY, QUERY, NOTHING_AHEAD, score);
        // The last turn may have a head again.
        for (uint h = 0; h < TOGETHER && turn + h < HEADS; h++) {
          const float peak = weights[2 * (turn + h)], inverse = weights[2 * (turn + h) + 1];
UNROLL
          for (int p = 0; p < PAGES; p++) {
            const int16 visible = (lanes + p * PAGE >= begin) & (lanes + p * PAGE < end);
            const float16 e = exponential16(score[h][p] - peak);
            sums[p] = select(sums[p], FUSED(e, (float16)(inverse), sums[p]), visible);
          }
        }
      }
    }
    global float *columns =
        (global float *)(columns_buffer + columns_offset) + (size_t)kv_head * tokens + w;
UNROLL
    for (int p = 0; p < PAGES; p++)
      if (w + p * PAGE < (int)tokens) vstore16(sums[p], p, columns);
  }
}
