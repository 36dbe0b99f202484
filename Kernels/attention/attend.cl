// y = softmax(scale × q kᵀ) v, over the pages of a sequence.
//
//   pool      page 0                       page 1 …
//   page      kv head 0 | kv head 1 | …
//   kv head   keys [width][16 tokens] | values [16 tokens][width]
//
//   q, y   f32 [t * heads * width + head * width + d]
//   row t sees the tokens [begin[t], end[t]) of its sequence; token p lies in page
//   tables[table[t] + p / 16]:
//
//       page  │····████████████│████████████████│██████··········│
//                 begin                               end
//
// The softmax runs online (Milakov & Gimelshein, 2018) over windows of four pages, counted from the
// first token: when the maximum grows, what was summed before is scaled down. Every span of 512 tokens
// starts afresh, and spans are merged in order. Scores are summed over d in order, weights in 16 lanes
// by token, values over tokens in order: the same bits everywhere.
// One work-item takes HEADS query heads that share one kv head, and ROWS rows: a page is decoded
// once for all rows of a sequence among them. Global ids: (group of heads, tile of rows). What lies
// in a page outside the interval may be NaN: keys there are masked by select, values there are not
// used. A row that sees nothing yields zeros.

#ifndef ELEMENT
#define ELEMENT F16
#endif
#ifndef HEAD_WIDTH
#define HEAD_WIDTH 64
#endif
#ifndef HEADS
#define HEADS 3
#endif
#ifndef ROWS
#define ROWS 8
#endif

#if ELEMENT == F16
typedef half element;
#define LOAD16(source) vload_half16(0, source)
#define LOAD(i, source) vload_half(i, source)
#elif ELEMENT == F32
typedef float element;
#define LOAD16(source) vload16(0, source)
#define LOAD(i, source) (source)[i]
#endif

// A head's values as vectors of 16, and what is left.
#define VECTORS (HEAD_WIDTH / 16)
#define REST (HEAD_WIDTH % 16)

// Tokens and pages of a window.
#define WINDOW 64
#define SPAN 512
#define PAGES (WINDOW / PAGE)

// A window as floats: worth a copy where several rows read it, but of wide heads it is more than a
// driver's private memory may hold.
#define COPIES (ROWS > 1 && HEAD_WIDTH <= 128)
#if !COPIES
#define KEY(p, d) LOAD16(keys[p] + (d) * PAGE)
#define VALUE(i, j) LOAD16(VALUES_OF(i) + 16 * (j))
#else
#define KEY(p, d) key[p][d]
#define VALUE(i, j) value[i][j]
#endif
// The values of token i of the window.
#define VALUES_OF(i) (keys[(i) / PAGE] + (PAGE + (i) % PAGE) * HEAD_WIDTH)

kernel void attend(
    global const uchar *q_buffer, ulong q_offset,
    global const uchar *pool_buffer, ulong pool_offset,
    global const uchar *begin_buffer, ulong begin_offset,
    global const uchar *end_buffer, ulong end_offset,
    global const uchar *table_buffer, ulong table_offset,
    global const uchar *tables_buffer, ulong tables_offset,
    global uchar *y_buffer, ulong y_offset, uint rows, uint heads, uint kv_heads, float scale)
{
  const uint head = get_global_id(0) * HEADS;
  const uint kv_head = head / (heads / kv_heads);
  global const int *begins = (global const int *)(begin_buffer + begin_offset);
  global const int *ends = (global const int *)(end_buffer + end_offset);
  global const int *table = (global const int *)(table_buffer + table_offset);
  global const int *tables = (global const int *)(tables_buffer + tables_offset);
  global const element *pool = (global const element *)(pool_buffer + pool_offset);
  global const float *q = (global const float *)(q_buffer + q_offset) + head * HEAD_WIDTH;
  global float *y = (global float *)(y_buffer + y_offset) + head * HEAD_WIDTH;
  const size_t row_width = heads * HEAD_WIDTH;

  const int16 lanes = (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  float peak[ROWS][HEADS], total[ROWS][HEADS];
  float16 sum[ROWS][HEADS][VECTORS + 1];
  float rest[ROWS][HEADS][REST + 1];
  // The same of the spans before, in y where there is room for the sums.
  float peaks[ROWS][HEADS], totals[ROWS][HEADS];
  bool any[ROWS];
#if COPIES
  float16 key[PAGES][HEAD_WIDTH], value[WINDOW][VECTORS + 1];
#endif

  // Rows of the tile one sequence after the other: rows from t to `next` share a page table.
  const uint limit = min((uint)(get_global_id(1) * ROWS + ROWS), rows);
  for (uint t = get_global_id(1) * ROWS, next; t < limit; t = next) {
    int first_seen = INT_MAX, end_seen = 0;
    for (next = t; next < limit && table[next] == table[t]; next++) {
      if (begins[next] < ends[next]) {
        first_seen = min(first_seen, begins[next]);
        end_seen = max(end_seen, ends[next]);
      }
      any[next - t] = false;
      for (uint h = 0; h < HEADS; h++) {
        peak[next - t][h] = -INFINITY;
        total[next - t][h] = 0.0f;
        for (uint j = 0; j < VECTORS; j++) sum[next - t][h][j] = (float16)(0.0f);
        for (uint j = 0; j < REST; j++) rest[next - t][h][j] = 0.0f;
      }
    }

    for (int w = first_seen / WINDOW * WINDOW; w < end_seen; w += WINDOW) {
      // Pages that nobody sees stand for their neighbours: what they hold is masked.
      const int first_page = max(first_seen, w) / PAGE;
      const int last_page = (min(end_seen, w + WINDOW) - 1) / PAGE;
      global const element *keys[PAGES];
#pragma unroll
      for (int p = 0; p < PAGES; p++) {
        const int page = tables[table[t] + clamp(w / PAGE + p, first_page, last_page)];
        keys[p] = pool + ((size_t)page * kv_heads + kv_head) * 2 * PAGE * HEAD_WIDTH;
      }
#if COPIES
      for (int p = 0; p < PAGES; p++)
        for (uint d = 0; d < HEAD_WIDTH; d++) key[p][d] = LOAD16(keys[p] + d * PAGE);
      for (int i = 0; i < WINDOW; i++)
        for (uint j = 0; j < VECTORS; j++) value[i][j] = LOAD16(VALUES_OF(i) + 16 * j);
#endif

      for (uint r = 0; r < next - t; r++) {
        // The part of the window that this row sees.
        const int begin = max(begins[t + r] - w, 0);
        const int end = min(ends[t + r] - w, WINDOW);
        if (begin >= end) continue;

        global const float *q_row = q + (t + r) * row_width;
        float16 score[HEADS][PAGES];
#pragma unroll
        for (uint h = 0; h < HEADS; h++)
#pragma unroll
          for (int p = 0; p < PAGES; p++) score[h][p] = (float16)(0.0f);
        for (uint d = 0; d < HEAD_WIDTH; d++) {
          float16 k[PAGES];
#pragma unroll
          for (int p = 0; p < PAGES; p++) k[p] = KEY(p, d);
#pragma unroll
          for (uint h = 0; h < HEADS; h++) {
            const float16 q_d = (float16)(q_row[h * HEAD_WIDTH + d] * scale);
#pragma unroll
            for (int p = 0; p < PAGES; p++) score[h][p] = FUSED(k[p], q_d, score[h][p]);
          }
        }

        float weights[HEADS][WINDOW];
#pragma unroll
        for (uint h = 0; h < HEADS; h++) {
          float16 most = (float16)(-INFINITY);
#pragma unroll
          for (int p = 0; p < PAGES; p++) {
            const int16 visible = (lanes + p * PAGE >= begin) & (lanes + p * PAGE < end);
            score[h][p] = select((float16)(-INFINITY), score[h][p], visible);
            most = fmax(most, score[h][p]);
          }
          const float now = fmax(peak[r][h], max16(most));
          float16 window_sum = (float16)(0.0f);
#pragma unroll
          for (int p = 0; p < PAGES; p++) {
            const int16 visible = (lanes + p * PAGE >= begin) & (lanes + p * PAGE < end);
            const float16 e =
                select((float16)(0.0f), exponential16(score[h][p] - now), visible);
            vstore16(e, p, weights[h]);
            window_sum += e;
          }
          if (now > peak[r][h]) {
            const float shrink = exponential1(peak[r][h] - now);
            total[r][h] *= shrink;
            peak[r][h] = now;
            for (uint j = 0; j < VECTORS; j++) sum[r][h][j] *= shrink;
            for (uint j = 0; j < REST; j++) rest[r][h][j] *= shrink;
          }
          total[r][h] += sum16(window_sum);
        }

        for (uint j = 0; j < VECTORS; j++) {
          float16 gathered[HEADS];
#pragma unroll
          for (uint h = 0; h < HEADS; h++) gathered[h] = sum[r][h][j];
          for (int i = begin; i < end; i++) {
            const float16 v = VALUE(i, j);
#pragma unroll
            for (uint h = 0; h < HEADS; h++)
              gathered[h] = FUSED(v, (float16)(weights[h][i]), gathered[h]);
          }
#pragma unroll
          for (uint h = 0; h < HEADS; h++) sum[r][h][j] = gathered[h];
        }
        for (uint j = 0; j < REST; j++)
          for (int i = begin; i < end; i++) {
            const float v = LOAD(16 * VECTORS + j, VALUES_OF(i));
            for (uint h = 0; h < HEADS; h++)
              rest[r][h][j] = FUSED(v, weights[h][i], rest[r][h][j]);
          }
      }

      if ((w + WINDOW) % SPAN != 0 && w + WINDOW < end_seen) continue;
      for (uint r = 0; r < next - t; r++) {
        if (max(begins[t + r], w / SPAN * SPAN) >= min(ends[t + r], w + WINDOW)) continue;
        for (uint h = 0; h < HEADS; h++) {
          global float *y_head = y + (t + r) * row_width + h * HEAD_WIDTH;
          if (any[r]) {
            const float now = fmax(peaks[r][h], peak[r][h]);
            const float own = exponential1(peaks[r][h] - now);
            const float other = exponential1(peak[r][h] - now);
            peaks[r][h] = now;
            totals[r][h] = FUSED(total[r][h], other, totals[r][h] * own);
            for (uint j = 0; j < VECTORS; j++)
              vstore16(
                  FUSED(sum[r][h][j], (float16)(other), vload16(j, y_head) * own), j, y_head);
            for (uint j = 0; j < REST; j++)
              y_head[16 * VECTORS + j] =
                  FUSED(rest[r][h][j], other, y_head[16 * VECTORS + j] * own);
          } else {
            peaks[r][h] = peak[r][h];
            totals[r][h] = total[r][h];
            for (uint j = 0; j < VECTORS; j++) vstore16(sum[r][h][j], j, y_head);
            for (uint j = 0; j < REST; j++) y_head[16 * VECTORS + j] = rest[r][h][j];
          }
          peak[r][h] = -INFINITY;
          total[r][h] = 0.0f;
          for (uint j = 0; j < VECTORS; j++) sum[r][h][j] = (float16)(0.0f);
          for (uint j = 0; j < REST; j++) rest[r][h][j] = 0.0f;
        }
        any[r] = true;
      }
    }

    for (uint r = 0; r < next - t; r++)
      for (uint h = 0; h < HEADS; h++) {
        global float *y_head = y + (t + r) * row_width + h * HEAD_WIDTH;
        const float inverse = any[r] ? reciprocal1(totals[r][h]) : 0.0f;
        for (uint j = 0; j < VECTORS; j++)
          vstore16(any[r] ? vload16(j, y_head) * inverse : (float16)(0.0f), j, y_head);
        for (uint j = 0; j < REST; j++)
          y_head[16 * VECTORS + j] = any[r] ? y_head[16 * VECTORS + j] * inverse : 0.0f;
      }
  }
}
