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
// The softmax runs online (Milakov & Gimelshein, 2018): a page's scores are one vector, and when the
// maximum grows, what was summed before is scaled down. One work-item takes HEADS query heads that
// share one kv head, and ROWS rows: a page is decoded once for all rows of a sequence among them.
// Global ids: (group of heads, tile of rows). What lies in a page outside the interval may be NaN:
// keys there are masked by select, values there are not used. A row that sees nothing yields zeros.

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

// A page as floats: worth a copy where several rows read it.
#if ROWS == 1
#define KEY(d) LOAD16(keys + (d) * PAGE)
#define VALUE(i, j) LOAD16(values + (i) * HEAD_WIDTH + 16 * (j))
#else
#define KEY(d) key[d]
#define VALUE(i, j) value[i][j]
#endif

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
  float peak[ROWS][HEADS], weight[ROWS][HEADS];
  float16 sum[ROWS][HEADS][VECTORS + 1];
  float rest[ROWS][HEADS][REST + 1];
#if ROWS > 1
  float16 key[HEAD_WIDTH], value[PAGE][VECTORS + 1];
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
      for (uint h = 0; h < HEADS; h++) {
        peak[next - t][h] = -INFINITY;
        weight[next - t][h] = 0.0f;
        for (uint j = 0; j < VECTORS; j++) sum[next - t][h][j] = (float16)(0.0f);
        for (uint j = 0; j < REST; j++) rest[next - t][h][j] = 0.0f;
      }
    }

    for (int p = first_seen / PAGE; p * PAGE < end_seen; p++) {
      global const element *keys =
          pool + ((size_t)tables[table[t] + p] * kv_heads + kv_head) * 2 * PAGE * HEAD_WIDTH;
      global const element *values = keys + PAGE * HEAD_WIDTH;
#if ROWS > 1
      for (uint d = 0; d < HEAD_WIDTH; d++) key[d] = LOAD16(keys + d * PAGE);
      for (uint i = 0; i < PAGE; i++)
        for (uint j = 0; j < VECTORS; j++) value[i][j] = LOAD16(values + i * HEAD_WIDTH + 16 * j);
#endif

      for (uint r = 0; r < next - t; r++) {
        // The part of the page that this row sees.
        const int begin = max(begins[t + r] - p * PAGE, 0);
        const int end = min(ends[t + r] - p * PAGE, PAGE);
        if (begin >= end) continue;

        global const float *q_row = q + (t + r) * row_width;
        float16 even[HEADS], odd[HEADS];
#pragma unroll
        for (uint h = 0; h < HEADS; h++) even[h] = odd[h] = (float16)(0.0f);
        for (uint d = 0; d + 1 < HEAD_WIDTH; d += 2) {
          const float16 k0 = KEY(d);
          const float16 k1 = KEY(d + 1);
#pragma unroll
          for (uint h = 0; h < HEADS; h++) {
            even[h] = k0 * q_row[h * HEAD_WIDTH + d] + even[h];
            odd[h] = k1 * q_row[h * HEAD_WIDTH + d + 1] + odd[h];
          }
        }
#if HEAD_WIDTH % 2 == 1
#pragma unroll
        for (uint h = 0; h < HEADS; h++)
          odd[h] = KEY(HEAD_WIDTH - 1) * q_row[h * HEAD_WIDTH + HEAD_WIDTH - 1] + odd[h];
#endif

        const int16 visible = (lanes >= begin) & (lanes < end);
        float probability[HEADS][PAGE];
#pragma unroll
        for (uint h = 0; h < HEADS; h++) {
          const float16 s = select((float16)(-INFINITY), (even[h] + odd[h]) * scale, visible);
          const float now = fmax(peak[r][h], max16(s));
          const float shrink = exp(peak[r][h] - now);
          const float16 e = exp(s - now);
          vstore16(e, 0, probability[h]);
          weight[r][h] = weight[r][h] * shrink + sum16(e);
          peak[r][h] = now;
#pragma unroll
          for (uint j = 0; j < VECTORS; j++) sum[r][h][j] *= shrink;
          for (uint j = 0; j < REST; j++) rest[r][h][j] *= shrink;
        }

        for (int i = begin; i < end; i++) {
#pragma unroll
          for (uint j = 0; j < VECTORS; j++) {
            const float16 v = VALUE(i, j);
#pragma unroll
            for (uint h = 0; h < HEADS; h++)
              sum[r][h][j] = v * probability[h][i] + sum[r][h][j];
          }
          for (uint j = 0; j < REST; j++) {
            const float v = LOAD(i * HEAD_WIDTH + 16 * VECTORS + j, values);
            for (uint h = 0; h < HEADS; h++) rest[r][h][j] += v * probability[h][i];
          }
        }
      }
    }

    for (uint r = 0; r < next - t; r++)
      for (uint h = 0; h < HEADS; h++) {
        global float *y_head = y + (t + r) * row_width + h * HEAD_WIDTH;
        const float inverse = begins[t + r] < ends[t + r] ? 1.0f / weight[r][h] : 0.0f;
        for (uint j = 0; j < VECTORS; j++) vstore16(sum[r][h][j] * inverse, j, y_head);
        for (uint j = 0; j < REST; j++) y_head[16 * VECTORS + j] = rest[r][h][j] * inverse;
      }
  }
}
