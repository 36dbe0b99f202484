// y = softmax(scale × q kᵀ) v, a row at a time; common/attention.cl says how. For CPU devices, where
// private memory is cheap.
//
// The HEADS query heads of a kv head go together, so that keys and values are read once. `attend_rows`
// goes through all spans of a row; a work-item takes `each` kv heads: global ids (share of kv heads, row).
// `attend_parts` takes `each` pairs of kv head and span and leaves what it gathers in `parts`: global ids
// (share of the pairs, row). `merge_parts` follows: global ids (share of the heads, row).

// Heads whose scores and sums stay in registers: groups of more are worked on in turns. The last turn
// may do a head twice, which has the same result twice.
#define TURNS ((HEADS + 3) / 4)
#define TOGETHER ((HEADS + TURNS - 1) / TURNS)

typedef struct {
  float peak[HEADS], total[HEADS];
  float16 sum[HEADS][VECTORS + 1];
  float rest[HEADS][REST + 1];
} gathering;

// Gathers what a row sees of one span: the tokens first ..< last. The row sees row_begin ..< row_end. Behind them
// comes the next kv head.
static inline void gather_span(
    gathering *g, const float *q, global const element *pool, global const int *table, uint head_stride,
    uint pool_pages, uint kv_head, uint kv_heads, int first, int last, int row_begin, int row_end)
{
  table += kv_head * head_stride;
  global const element *keys[PAGES];
  global const element *next[PAGES];
  float shrink[TOGETHER];
#if HAS_WHOLE
  int8 codes[HEADS][HEAD_WIDTH / 16], weights[TOGETHER][PAGES];
  float q_scale[HEADS], weight_scale[TOGETHER];
  for (uint h = 0; h < HEADS; h++) q_scale[h] = query_scale(q + h * HEAD_WIDTH);
  for (uint h = 0; h < HEADS; h++) code_query(q + h * HEAD_WIDTH, q_scale[h], codes[h]);
#else
  float weights[TOGETHER][WINDOW];
#endif
  for (uint h = 0; h < HEADS; h++) {
    g->peak[h] = -INFINITY;
    g->total[h] = 0.0f;
    for (uint j = 0; j < VECTORS; j++) g->sum[h][j] = (float16)(0.0f);
    for (uint j = 0; j < REST; j++) g->rest[h][j] = 0.0f;
  }
  find_pages(pool, table, pool_pages, kv_head, first, min(last, first / WINDOW * WINDOW + WINDOW), keys);
  for (int w = first / WINDOW * WINDOW; w < last; w += WINDOW) {
    const int begin = max(first - w, 0), end = min(last - w, WINDOW);
    // The next window's keys are fetched along with the keys, its values with the values.
    if (w + WINDOW < row_end)
      find_pages(pool, table, pool_pages, kv_head, w + WINDOW, min(row_end, w + 2 * WINDOW), next);
    else if (kv_head + 1 < kv_heads)
      find_pages(
          pool, table + head_stride, pool_pages, kv_head + 1, row_begin,
          min(row_end, row_begin / WINDOW * WINDOW + WINDOW), next);
    else
      for (int p = 0; p < PAGES; p++) next[p] = keys[p];
// Asks for the lines that begin in part `step` of the keys or values of the next window's pages, of HEAD_WIDTH parts, and
// again while the other half of a page is worked on. The pages go together: one alone ends before the
// hardware has found its way through it.
#if PREFETCHES
#define KEYS_BYTES(width) ((uint)(KEYS_OF(width) * sizeof(element)))
#define VALUES_BYTES(width) ((uint)(PAGE_OF(width) * sizeof(element)) - KEYS_BYTES(width))
#define LINE(page, offset) ((global const uchar *)(page) + (offset))
#define ASK(how, pages, offset, part_bytes, step)                                                \
  for (uint n = ((step) * (part_bytes) + 63) / 64 * 64; n < ((step) + 1) * (part_bytes); n += 64) \
    UNROLL for (int p = 0; p < PAGES; p++) how(LINE(pages[p], (offset) + n));
#define SHARE_OF(bytes) (((bytes) + HEAD_WIDTH - 1) / HEAD_WIDTH)
#define ASK_FOR_KEYS(how, pages, step) ASK(how, pages, 0u, SHARE_OF(KEYS_BYTES(HEAD_WIDTH)), step)
#define ASK_FOR_VALUES(how, pages, step)                                                         \
  ASK(how, pages, KEYS_BYTES(HEAD_WIDTH), SHARE_OF(VALUES_BYTES(HEAD_WIDTH)), step)
#define WITH_KEYS(step)                                                                          \
  do {                                                                                           \
    ASK_FOR_VALUES(ask_for, keys, step)                                                          \
    ASK_FOR_KEYS(ask_early, next, step)                                                          \
  } while (0)
#define WITH_VALUES(step)                                                                        \
  do {                                                                                           \
    ASK_FOR_KEYS(ask_for, next, step)                                                            \
    ASK_FOR_VALUES(ask_early, next, step)                                                        \
  } while (0)
#else
#define WITH_KEYS NOTHING_AHEAD
#define WITH_VALUES NOTHING_AHEAD
#endif
#define HEAD(h) min(turn + (h), (uint)(HEADS - 1))
#define SUM(h, j) g->sum[HEAD(h)][j]
#define SHRINK(h) shrink[h]
#if HAS_WHOLE
#define QUERY(h) codes[HEAD(h)]
#define Q_SCALE(h) q_scale[HEAD(h)]
#define WEIGHTS(h) weights[h]
#define WEIGHT_SCALE(h) weight_scale[h]
#define SCORES_HERE(score)                                                                       \
  SCORES_OF_CODES(TOGETHER, keys, QUERY, Q_SCALE, WITH_KEYS, score)
#define WEIGH_HERE(h, score, peak, total)                                                        \
  weigh_codes(score, keys, begin, end, peak, total, weights[h], &weight_scale[h])
#define GATHER_HERE                                                                              \
  GATHER_CODES(TOGETHER, keys, WEIGHTS, WEIGHT_SCALE, SUM, SHRINK, WITH_VALUES, begin, end)
#else
#define KEY(p, d) KEY_AT(keys[p], d)
#define QUERY(h, d) q[HEAD(h) * HEAD_WIDTH + (d)]
#define VALUES_OF(i) VALUE_OF(keys[(i) / PAGE], (i) % PAGE)
#define VALUE(i, j) VALUE_AT(keys[(i) / PAGE], (i) % PAGE, j)
#define WEIGHT(h, i) weights[h][i]
#define SCORES_HERE(score)                                                                       \
  SCORES_OF_PAGES(TOGETHER, KEY, keys, QUERY, WITH_KEYS, score)
#define WEIGH_HERE(h, score, peak, total) weigh(score, begin, end, peak, total, weights[h])
#define GATHER_HERE                                                                              \
  GATHER(TOGETHER, VALUE, WEIGHT, SUM, SHRINK, WITH_VALUES, begin, end)
#endif
    for (uint turn = 0; turn < HEADS; turn += TOGETHER) {
      float16 score[TOGETHER][PAGES];
      SCORES_HERE(score);
      float peak[TOGETHER], total[TOGETHER];
#pragma unroll
      for (uint h = 0; h < TOGETHER; h++) {
        peak[h] = g->peak[HEAD(h)];
        total[h] = g->total[HEAD(h)];
        shrink[h] = WEIGH_HERE(h, score[h], &peak[h], &total[h]);
      }
#pragma unroll
      for (uint h = 0; h < TOGETHER; h++) {
        g->peak[HEAD(h)] = peak[h];
        g->total[HEAD(h)] = total[h];
      }
      GATHER_HERE
#if !HAS_WHOLE
      for (uint j = 0; j < REST; j++)
        for (uint h = 0; h < TOGETHER && turn + h < HEADS; h++) {
          float gathered = g->rest[turn + h][j] * shrink[h];
          for (int i = begin; i < end; i++)
            gathered = FUSED(LOAD(16 * VECTORS + j, VALUES_OF(i)), weights[h][i], gathered);
          g->rest[turn + h][j] = gathered;
        }
#endif
    }
    for (int p = 0; p < PAGES; p++) keys[p] = next[p];
  }
}

// The scaled queries of a work-item.
static inline void scale_queries(global const float *q, float scale, float *scaled)
{
  for (uint i = 0; i < HEADS * HEAD_WIDTH; i++) scaled[i] = q[i] * scale;
}

// What a head of row t has gathered to y: where it LEAVES as it is, else divided, as floats or with QUANTIZED 1 as int8
// blocks, which a head holds whole; ROTATED 1 rotates it before that.
#ifndef QUANTIZED
#define QUANTIZED 0
#endif
#ifndef ROTATED
#define ROTATED 0
#endif
static inline void finish(
    const float *numbers, float peak, float total, global uchar *y, size_t t, uint heads, uint head)
{
#if LEAVES
  global float *left = (global float *)y + (t * heads + head) * PART;
  for (uint i = 0; i < HEAD_WIDTH; i++) left[i] = numbers[i];
  left[HEAD_WIDTH] = peak;
  left[HEAD_WIDTH + 1] = total;
#else
  const size_t width = (size_t)heads * HEAD_WIDTH;
  const float factor = total != 0.0f ? reciprocal1(total) : 0.0f;
#if QUANTIZED
  global uchar *row = y + t * (width + width / BLOCK * 8);
  global float *scales = (global float *)(row + width);
  float16 v[VECTORS];
  for (uint j = 0; j < VECTORS; j++) v[j] = vload16(j, numbers) * factor;
#if ROTATED
  rotate_head(v);
#endif
  for (uint i = 0; i < HEAD_WIDTH / BLOCK; i++) {
    const uint b = head * (HEAD_WIDTH / BLOCK) + i;
    block_bytes bytes;
    const float2 scale = quantize_block(v[2 * i], v[2 * i + 1], &bytes);
    STORE_BYTES(bytes, b, (global int *)row);
    scales[b] = scale.x;
    scales[width / BLOCK + b] = scale.y;
  }
#else
  global float *row = (global float *)y + t * width + head * HEAD_WIDTH;
  for (uint i = 0; i < HEAD_WIDTH; i++) row[i] = numbers[i] * factor;
#endif
#endif
}

// What head `place` of all rows' begins with: nothing, or where it FOLLOWS what another kernel has left.
static inline void begin_with(
    global const uchar *left_buffer, ulong left_offset, size_t place, float *sums, float *peak,
    float *total)
{
  *peak = -INFINITY;
  *total = 0.0f;
#if FOLLOWS
  global const float *left = (global const float *)(left_buffer + left_offset) + place * PART;
  for (uint i = 0; i < HEAD_WIDTH; i++) sums[i] = left[i];
  *peak = left[HEAD_WIDTH];
  *total = left[HEAD_WIDTH + 1];
#else
  for (uint i = 0; i < HEAD_WIDTH; i++) sums[i] = 0.0f;
#endif
}

kernel void attend_rows(
    global const uchar *q_buffer, ulong q_offset,
    global const uchar *pool_buffer, ulong pool_offset,
    global const uchar *begin_buffer, ulong begin_offset,
    global const uchar *end_buffer, ulong end_offset,
    global const uchar *table_buffer, ulong table_offset,
    global const uchar *tables_buffer, ulong tables_offset, uint head_stride, uint pool_pages,
    global const uchar *left_buffer, ulong left_offset,
    global uchar *y_buffer, ulong y_offset, uint kv_heads, float scale, uint each)
{
  const size_t t = get_global_id(1);
  const uint start = get_global_id(0) * each, limit = min(start + each, kv_heads);
  global const int *table = (global const int *)(tables_buffer + tables_offset)
      + ((global const int *)(table_buffer + table_offset))[t];
  global const element *pool = (global const element *)(pool_buffer + pool_offset);
  const int begin = ((global const int *)(begin_buffer + begin_offset))[t];
  const int end = ((global const int *)(end_buffer + end_offset))[t];
  for (uint kv_head = start; kv_head < limit; kv_head++) {
    const size_t place = (t * kv_heads + kv_head) * HEADS * HEAD_WIDTH;
    float q[HEADS * HEAD_WIDTH];
    scale_queries((global const float *)(q_buffer + q_offset) + place, scale, q);

    // Sums of the spans before.
    float y[HEADS * HEAD_WIDTH], peak[HEADS], total[HEADS];
    for (uint h = 0; h < HEADS; h++)
      begin_with(
          left_buffer, left_offset, place / HEAD_WIDTH + h, y + h * HEAD_WIDTH, &peak[h], &total[h]);
    gathering g;
    for (int span = begin / SPAN; span * SPAN < end; span++) {
      const int first = max(begin, span * SPAN), last = min(end, span * SPAN + SPAN);
      if (first >= last) break;
      gather_span(
          &g, q, pool, table, head_stride, pool_pages, kv_head, kv_heads, first, last, begin, end);
      for (uint h = 0; h < HEADS; h++) {
        float *sums = y + h * HEAD_WIDTH;
        if (total[h] == 0.0f) {
          peak[h] = g.peak[h];
          total[h] = g.total[h];
          for (uint j = 0; j < VECTORS; j++) vstore16(g.sum[h][j], j, sums);
          for (uint j = 0; j < REST; j++) sums[16 * VECTORS + j] = g.rest[h][j];
          continue;
        }
        const float3 s = scales(peak[h], g.peak[h]);
        peak[h] = s.x;
        total[h] = FUSED(g.total[h], s.z, total[h] * s.y);
        for (uint j = 0; j < VECTORS; j++)
          vstore16(FUSED(g.sum[h][j], (float16)(s.z), vload16(j, sums) * s.y), j, sums);
        for (uint j = 0; j < REST; j++)
          sums[16 * VECTORS + j] = FUSED(g.rest[h][j], s.z, sums[16 * VECTORS + j] * s.y);
      }
    }
    for (uint h = 0; h < HEADS; h++)
      finish(
          y + h * HEAD_WIDTH, peak[h], total[h], y_buffer + y_offset, t, kv_heads * HEADS,
          kv_head * HEADS + h);
  }
}

kernel void attend_parts(
    global const uchar *q_buffer, ulong q_offset,
    global const uchar *pool_buffer, ulong pool_offset,
    global const uchar *begin_buffer, ulong begin_offset,
    global const uchar *end_buffer, ulong end_offset,
    global const uchar *table_buffer, ulong table_offset,
    global const uchar *tables_buffer, ulong tables_offset, uint head_stride, uint pool_pages,
    global uchar *parts_buffer, ulong parts_offset, uint spans, uint kv_heads, float scale,
    uint each)
{
  const size_t t = get_global_id(1);
  const uint start = get_global_id(0) * each, limit = min(start + each, kv_heads * spans);
  global const int *table = (global const int *)(tables_buffer + tables_offset)
      + ((global const int *)(table_buffer + table_offset))[t];
  global const element *pool = (global const element *)(pool_buffer + pool_offset);
  const int begin = ((global const int *)(begin_buffer + begin_offset))[t];
  const int end = ((global const int *)(end_buffer + end_offset))[t];
  for (uint pair = start; pair < limit; pair++) {
    const uint kv_head = pair / spans, span = pair % spans;
    const int first = max(begin, (int)span * SPAN), last = min(end, (int)span * SPAN + SPAN);
    if (first >= last) continue;
    const size_t place = (t * kv_heads + kv_head) * HEADS;
    float q[HEADS * HEAD_WIDTH];
    scale_queries((global const float *)(q_buffer + q_offset) + place * HEAD_WIDTH, scale, q);
    gathering g;
    gather_span(
        &g, q, pool, table, head_stride, pool_pages, kv_head, kv_heads, first, last, begin, end);
    for (uint h = 0; h < HEADS; h++) {
      global float *part =
          (global float *)(parts_buffer + parts_offset) + ((place + h) * spans + span) * PART;
      for (uint j = 0; j < VECTORS; j++) vstore16(g.sum[h][j], j, part);
      for (uint j = 0; j < REST; j++) part[16 * VECTORS + j] = g.rest[h][j];
      part[HEAD_WIDTH] = g.peak[h];
      part[HEAD_WIDTH + 1] = g.total[h];
    }
  }
}

kernel void merge_parts(
    global const uchar *begin_buffer, ulong begin_offset,
    global const uchar *end_buffer, ulong end_offset,
    global const uchar *parts_buffer, ulong parts_offset,
    global const uchar *left_buffer, ulong left_offset,
    global uchar *y_buffer, ulong y_offset, uint spans, uint heads, uint each)
{
  const size_t t = get_global_id(1);
  const uint start = get_global_id(0) * each, limit = min(start + each, heads);
  const int begin = ((global const int *)(begin_buffer + begin_offset))[t];
  const int end = ((global const int *)(end_buffer + end_offset))[t];
  for (uint head = start; head < limit; head++) {
    float y[HEAD_WIDTH], rest[REST + 1], peak, total;
    float16 sum[VECTORS + 1];
    begin_with(left_buffer, left_offset, t * heads + head, y, &peak, &total);
    for (uint j = 0; j < VECTORS; j++) sum[j] = vload16(j, y);
    for (uint j = 0; j < REST; j++) rest[j] = y[16 * VECTORS + j];
    global const float *part = (global const float *)(parts_buffer + parts_offset)
        + ((t * heads + head) * spans + begin / SPAN) * PART;
    for (int span = begin / SPAN; begin < end && span * SPAN < end; span++, part += PART) {
      if (total == 0.0f) {
        peak = part[HEAD_WIDTH];
        total = part[HEAD_WIDTH + 1];
        for (uint j = 0; j < VECTORS; j++) sum[j] = vload16(j, part);
        for (uint j = 0; j < REST; j++) rest[j] = part[16 * VECTORS + j];
        continue;
      }
      const float3 s = scales(peak, part[HEAD_WIDTH]);
      peak = s.x;
      total = FUSED(part[HEAD_WIDTH + 1], s.z, total * s.y);
      for (uint j = 0; j < VECTORS; j++)
        sum[j] = FUSED(vload16(j, part), (float16)(s.z), sum[j] * s.y);
      for (uint j = 0; j < REST; j++)
        rest[j] = FUSED(part[16 * VECTORS + j], s.z, rest[j] * s.y);
    }
    for (uint j = 0; j < VECTORS; j++) vstore16(sum[j], j, y);
    for (uint j = 0; j < REST; j++) y[16 * VECTORS + j] = rest[j];
    finish(y, peak, total, y_buffer + y_offset, t, heads, head);
  }
}
