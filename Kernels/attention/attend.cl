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
// maximum grows, what was summed before is scaled down. One work-item takes HEADS query heads
// that share one kv head, so that a key is read once for all. Global ids: (group of heads, row).
// What lies in a page outside the interval may be NaN: keys there are masked by select, values
// there are never read. A row that sees nothing yields zeros.

#ifndef ELEMENT
#define ELEMENT F16
#endif
#ifndef HEAD_WIDTH
#define HEAD_WIDTH 64
#endif
#ifndef HEADS
#define HEADS 3
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

kernel void attend(
    global const uchar *q_buffer, ulong q_offset,
    global const uchar *pool_buffer, ulong pool_offset,
    global const uchar *begin_buffer, ulong begin_offset,
    global const uchar *end_buffer, ulong end_offset,
    global const uchar *table_buffer, ulong table_offset,
    global const uchar *tables_buffer, ulong tables_offset,
    global uchar *y_buffer, ulong y_offset, uint heads, uint kv_heads, float scale)
{
  const size_t t = get_global_id(1);
  const uint head = get_global_id(0) * HEADS;
  const uint kv_head = head / (heads / kv_heads);
  const int begin = ((global const int *)(begin_buffer + begin_offset))[t];
  const int limit = ((global const int *)(end_buffer + end_offset))[t];
  const int end = begin < limit ? limit : 0;
  const int table = ((global const int *)(table_buffer + table_offset))[t];
  global const int *pages = (global const int *)(tables_buffer + tables_offset) + table;
  global const element *pool = (global const element *)(pool_buffer + pool_offset);
  const size_t row = (t * heads + head) * HEAD_WIDTH;
  global const float *q = (global const float *)(q_buffer + q_offset) + row;
  global float *y = (global float *)(y_buffer + y_offset) + row;

  const int16 lanes = (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  float peak[HEADS], weight[HEADS];
  float16 sum[HEADS][VECTORS + 1];
  float rest[HEADS][REST + 1];
  for (uint h = 0; h < HEADS; h++) {
    peak[h] = -INFINITY;
    weight[h] = 0.0f;
    for (uint j = 0; j < VECTORS; j++) sum[h][j] = (float16)(0.0f);
    for (uint j = 0; j < REST; j++) rest[h][j] = 0.0f;
  }

  for (int p = begin / PAGE; p * PAGE < end; p++) {
    global const element *keys =
        pool + ((size_t)pages[p] * kv_heads + kv_head) * 2 * PAGE * HEAD_WIDTH;
    global const element *values = keys + PAGE * HEAD_WIDTH;
    const int first = p * PAGE;

    float16 score[HEADS];
    for (uint h = 0; h < HEADS; h++) score[h] = (float16)(0.0f);
    for (uint d = 0; d < HEAD_WIDTH; d++) {
      const float16 key = LOAD16(keys + d * PAGE);
      for (uint h = 0; h < HEADS; h++) score[h] = key * q[h * HEAD_WIDTH + d] + score[h];
    }

    const int16 visible = (lanes >= begin - first) & (lanes < end - first);
    float probability[HEADS][PAGE];
    for (uint h = 0; h < HEADS; h++) {
      const float16 s = select((float16)(-INFINITY), score[h] * scale, visible);
      const float now = fmax(peak[h], max16(s));
      const float shrink = exp(peak[h] - now);
      const float16 e = exp(s - now);
      vstore16(e, 0, probability[h]);
      weight[h] = weight[h] * shrink + sum16(e);
      peak[h] = now;
      for (uint j = 0; j < VECTORS; j++) sum[h][j] *= shrink;
      for (uint j = 0; j < REST; j++) rest[h][j] *= shrink;
    }

    const int last = min(end - first, PAGE);
    for (int i = max(begin - first, 0); i < last; i++) {
      global const element *value = values + i * HEAD_WIDTH;
      for (uint j = 0; j < VECTORS; j++) {
        const float16 v = LOAD16(value + 16 * j);
        for (uint h = 0; h < HEADS; h++) sum[h][j] = v * probability[h][i] + sum[h][j];
      }
      for (uint j = 0; j < REST; j++) {
        const float v = LOAD(16 * VECTORS + j, value);
        for (uint h = 0; h < HEADS; h++) rest[h][j] += v * probability[h][i];
      }
    }
  }

  for (uint h = 0; h < HEADS; h++) {
    const float inverse = end > 0 ? 1.0f / weight[h] : 0.0f;
    for (uint j = 0; j < VECTORS; j++) vstore16(sum[h][j] * inverse, j, y + h * HEAD_WIDTH);
    for (uint j = 0; j < REST; j++) y[h * HEAD_WIDTH + 16 * VECTORS + j] = rest[h][j] * inverse;
  }
}
