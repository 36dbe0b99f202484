// y = softmax(scale × q kᵀ) v on any device; common/attention.cl says how.
//
// A work-item takes HEADS query heads that share a kv head, in one row; with one, what it holds is small
// everywhere, and a driver without fused multiply-add compiles in seconds and not in minutes. Global ids:
// (group of heads, row).

kernel void attend(
    global const uchar *q_buffer, ulong q_offset,
    global const uchar *pool_buffer, ulong pool_offset,
    global const uchar *begin_buffer, ulong begin_offset,
    global const uchar *end_buffer, ulong end_offset,
    global const uchar *table_buffer, ulong table_offset,
    global const uchar *tables_buffer, ulong tables_offset, uint head_stride, uint pool_pages,
    global const uchar *left_buffer, ulong left_offset,
    global uchar *y_buffer, ulong y_offset, uint heads, uint kv_heads, float scale)
{
  const uint head = get_global_id(0) * HEADS, t = get_global_id(1);
  const uint kv_head = head / (heads / kv_heads);
  const size_t place = ((size_t)t * heads + head) * HEAD_WIDTH;
  global const int *table = (global const int *)(tables_buffer + tables_offset)
      + ((global const int *)(table_buffer + table_offset))[t] + kv_head * head_stride;
  global const element *pool = (global const element *)(pool_buffer + pool_offset);
  global const float *q = (global const float *)(q_buffer + q_offset) + place;
  global float *y = (global float *)(y_buffer + y_offset) + place / HEAD_WIDTH * LEFT;
  const int row_begin = ((global const int *)(begin_buffer + begin_offset))[t];
  const int row_end = ((global const int *)(end_buffer + end_offset))[t];

  // Sums of the spans before are in y.
  float peak[HEADS], total[HEADS], all_peak[HEADS], all_total[HEADS];
#if !HAS_WHOLE
  float weights[HEADS][WINDOW];
#endif
  for (uint h = 0; h < HEADS; h++) {
    all_peak[h] = -INFINITY;
    all_total[h] = 0.0f;
#if FOLLOWS
    global const float *left =
        (global const float *)(left_buffer + left_offset) + (place / HEAD_WIDTH + h) * PART;
    all_peak[h] = left[HEAD_WIDTH];
    all_total[h] = left[HEAD_WIDTH + 1];
    for (uint i = 0; i < HEAD_WIDTH; i++) y[h * LEFT + i] = left[i];
#endif
  }
  float16 sum[HEADS][VECTORS + 1];
  float rest[HEADS][REST + 1];
#if HAS_WHOLE
  int8 codes[HEADS][HEAD_WIDTH / 16], weights[HEADS][PAGES];
  float q_scale[HEADS], weight_scale[HEADS];
  for (uint h = 0; h < HEADS; h++) {
    float scaled[HEAD_WIDTH];
    for (uint i = 0; i < HEAD_WIDTH; i++) scaled[i] = q[h * HEAD_WIDTH + i] * scale;
    q_scale[h] = query_scale(scaled);
    code_query(scaled, q_scale[h], codes[h]);
  }
#endif
  for (int w = row_begin / WINDOW * WINDOW; w < row_end; w += WINDOW) {
    const int begin = max(row_begin - w, 0), end = min(row_end - w, WINDOW);
    if (w % SPAN == 0 || w <= row_begin)
      for (uint h = 0; h < HEADS; h++) {
        peak[h] = -INFINITY;
        total[h] = 0.0f;
        for (uint j = 0; j < VECTORS; j++) sum[h][j] = (float16)(0.0f);
        for (uint j = 0; j < REST; j++) rest[h][j] = 0.0f;
      }
    global const element *keys[PAGES];
    find_pages(pool, table, pool_pages, kv_head, w + begin, w + end, keys);

    float16 score[HEADS][PAGES];
    float shrink[HEADS];
#if HAS_WHOLE
#define QUERY(h) codes[h]
#define Q_SCALE(h) q_scale[h]
    SCORES_OF_CODES(HEADS, keys, QUERY, Q_SCALE, NOTHING_AHEAD, score);
UNROLL
    for (uint h = 0; h < HEADS; h++)
      shrink[h] = weigh_codes(
          score[h], keys, begin, end, &peak[h], &total[h], weights[h], &weight_scale[h]);
#define WEIGHTS(h) weights[h]
#define WEIGHT_SCALE(h) weight_scale[h]
#define SUM(h, j) sum[h][j]
#define SHRINK(h) shrink[h]
    GATHER_CODES(HEADS, keys, WEIGHTS, WEIGHT_SCALE, SUM, SHRINK, NOTHING_AHEAD, begin, end)
#else
#define KEY(p, d) KEY_AT(keys[p], d)
#define QUERY(h, d) q[(h) * HEAD_WIDTH + (d)] * scale
    SCORES_OF_PAGES(HEADS, KEY, keys, QUERY, NOTHING_AHEAD, score);
UNROLL
    for (uint h = 0; h < HEADS; h++)
      shrink[h] = weigh(score[h], begin, end, &peak[h], &total[h], weights[h]);

#define VALUES_OF(i) VALUE_OF(keys[(i) / PAGE], (i) % PAGE)
    for (uint j = 0; j < VECTORS; j++) {
      float16 gathered[HEADS];
UNROLL
      for (uint h = 0; h < HEADS; h++) gathered[h] = sum[h][j] * shrink[h];
      for (int i = begin; i < end; i++) {
        const float16 v = VALUE_AT(keys[i / PAGE], i % PAGE, j);
UNROLL
        for (uint h = 0; h < HEADS; h++)
          gathered[h] = FUSED(v, (float16)(weights[h][i]), gathered[h]);
      }
UNROLL
      for (uint h = 0; h < HEADS; h++) sum[h][j] = gathered[h];
    }
    for (uint j = 0; j < REST; j++)
      for (uint h = 0; h < HEADS; h++) {
        float gathered = rest[h][j] * shrink[h];
        for (int i = begin; i < end; i++)
          gathered = FUSED(LOAD(16 * VECTORS + j, VALUES_OF(i)), weights[h][i], gathered);
        rest[h][j] = gathered;
      }
#endif

    if ((w + WINDOW) % SPAN != 0 && w + WINDOW < row_end) continue;
    // The span ends here.
    for (uint h = 0; h < HEADS; h++) {
      global float *sums = y + h * LEFT;
      const bool is_first = all_total[h] == 0.0f;
      const float3 s = is_first ? (float3)(peak[h], 0.0f, 1.0f) : scales(all_peak[h], peak[h]);
      all_peak[h] = s.x;
      all_total[h] = is_first ? total[h] : FUSED(total[h], s.z, all_total[h] * s.y);
      for (uint j = 0; j < VECTORS; j++)
        vstore16(
            is_first ? sum[h][j] : FUSED(sum[h][j], (float16)(s.z), vload16(j, sums) * s.y), j, sums);
      for (uint j = 0; j < REST; j++)
        sums[16 * VECTORS + j] =
            is_first ? rest[h][j] : FUSED(rest[h][j], s.z, sums[16 * VECTORS + j] * s.y);
    }
  }
  for (uint h = 0; h < HEADS; h++) {
    const bool any = all_total[h] != 0.0f;
    const float factor = !any || LEAVES ? 1.0f : reciprocal1(all_total[h]);
    for (uint i = h * LEFT; i < h * LEFT + HEAD_WIDTH; i++) y[i] = any ? y[i] * factor : 0.0f;
#if LEAVES
    y[h * LEFT + HEAD_WIDTH] = all_peak[h];
    y[h * LEFT + HEAD_WIDTH + 1] = all_total[h];
#endif
  }
}
