// Attention over keys and values that are whole numbers. The host puts this text behind common/attention.cl where they are
// I16.
//
// Queries and weights become such too (common/whole_numbers.cl), and sums of products are exact. Tokens of a window that a
// query does not see have the weight 0.

#if HAS_WHOLE

// A query's scale.
static inline float query_scale(const float *q)
{
  float16 sum = (float16)(0.0f), most = (float16)(0.0f);
  for (uint i = 0; i < HEAD_WIDTH / 16; i++) {
    const float16 size = fabs(vload16(i, q));
    sum += size;
    most = LARGER(size, most);
  }
  const float largest = greatest16(most);
  const float by_sum = sum16(sum) * reciprocal1((float)(QUERY_TOTAL - HEAD_WIDTH));
  const float by_most = (largest > 1e30f ? 1e30f : largest) * KEY_STEP;
  const float scale = by_sum > by_most ? by_sum : by_most;
  return scale < 1e-30f ? 0.0f : scale;
}

// Its codes, two in a word.
static inline void code_query(const float *q, float scale, int8 *codes)
{
  const float inverse = inverse_scale(scale);
  for (uint i = 0; i < HEAD_WIDTH / 16; i++) codes[i] = whole_codes(vload16(i, q), inverse, KEY_LIMIT);
}

// Codes i and i + 1 of vectors of them, in every lane.
#define PAIR_OF(codes, i) ((int16)(((const int *)(codes))[(i) / 2]))

// The scores of `count` queries (a constant) against a window: QUERY(h) is where a query's codes begin, SCALE(h) their
// scale.
#define SCORES_OF_CODES(count, pages, QUERY, SCALE, AHEAD, score)                                \
  UNROLL for (int from = 0; from < PAGES; from += PAGES_AT_ONCE(count)) {                        \
    int16 dots[count][PAGES_AT_ONCE(count)];                                                     \
    UNROLL for (uint h = 0; h < count; h++)                                                      \
        UNROLL for (int p = 0; p < PAGES_AT_ONCE(count); p++) dots[h][p] = (int16)(0);           \
    for (uint d = 0; d < HEAD_WIDTH; d += 2) {                                                   \
      int16 words[PAGES_AT_ONCE(count)];                                                         \
      if (from == 0) {                                                                           \
        AHEAD(d);                                                                                \
        AHEAD(d + 1);                                                                            \
      }                                                                                          \
      UNROLL for (int p = 0; p < PAGES_AT_ONCE(count); p++) words[p] =                           \
          key_words(pages[from + p], d);                                                         \
      UNROLL for (uint h = 0; h < count; h++) {                                                  \
        const int16 pair = PAIR_OF(QUERY(h), d);                                                 \
        UNROLL for (int p = 0; p < PAGES_AT_ONCE(count); p++) dots[h][p] =                       \
            dot_pairs(dots[h][p], words[p], pair);                                               \
      }                                                                                          \
    }                                                                                            \
    UNROLL for (int p = 0; p < PAGES_AT_ONCE(count); p++) {                                      \
      const float16 scales = key_scales(pages[from + p]);                                        \
      UNROLL for (uint h = 0; h < count; h++) score[h][from + p] =                               \
          convert_float16(dots[h][p]) * scales * SCALE(h);                                       \
    }                                                                                            \
  }

// As GATHER has it, for pages that have tokens first ..< last of a window: WEIGHTS(h) is where a query's weights
// begin, WEIGHT_SCALE(h) their scale.
#define GATHER_CODES(count, pages, WEIGHTS, WEIGHT_SCALE, SUM, SHRINK, AHEAD, first, last)       \
  for (uint j = 0; j < VECTORS; j += AT_ONCE(count)) {                                           \
    int16 dots[count][AT_ONCE(count)];                                                           \
    UNROLL for (uint h = 0; h < count; h++)                                                      \
        UNROLL for (uint c = 0; c < AT_ONCE(count); c++) dots[h][c] = (int16)(0);                \
    for (uint page = (uint)(first) / PAGE; page * PAGE < (uint)(last); page++) {                 \
      global const element *here = pages[page];                                                  \
      for (uint i = 0; i < PAGE; i += 2) {                                                       \
        const uint at = page * PAGE + i;                                                         \
        int16 words[AT_ONCE(count)];                                                             \
        AHEAD(16 * j + at * (16 * AT_ONCE(count)) / WINDOW);                                     \
        AHEAD(16 * j + (at + 1) * (16 * AT_ONCE(count)) / WINDOW);                               \
        UNROLL for (uint c = 0; c < AT_ONCE(count); c++) words[c] = value_words(here, i, j + c); \
        UNROLL for (uint h = 0; h < count; h++) {                                                \
          const int16 pair = PAIR_OF(WEIGHTS(h), at);                                            \
          UNROLL for (uint c = 0; c < AT_ONCE(count); c++) dots[h][c] =                          \
              dot_pairs(dots[h][c], words[c], pair);                                             \
        }                                                                                        \
      }                                                                                          \
    }                                                                                            \
    /* All before any is stored: a query may be there twice. */                                  \
    float16 gathered[count][AT_ONCE(count)];                                                     \
    UNROLL for (uint h = 0; h < count; h++)                                                      \
        UNROLL for (uint c = 0; c < AT_ONCE(count); c++) gathered[h][c] = FUSED(                 \
            convert_float16(dots[h][c]), (float16)(WEIGHT_SCALE(h)), SUM(h, j + c) * SHRINK(h)); \
    UNROLL for (uint h = 0; h < count; h++)                                                      \
        UNROLL for (uint c = 0; c < AT_ONCE(count); c++) SUM(h, j + c) = gathered[h][c];         \
  }

// Weights to codes, whose numbers are none beyond the limit.
static inline int8 weight_codes(float16 weight, float inverse)
{
  return as_int8(convert_short16(as_int16(weight * inverse + ROUNDER) - 0x4B400000));
}

// As weigh() has it, with codes for weights and their scale.
static inline float weigh_codes(
    const float16 *score, global const element **pages, int begin, int end, float *peak, float *total,
    int8 *codes, float *scale)
{
  const int16 lanes = (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const bool masked = begin > 0 || end < WINDOW;
  float16 seen[PAGES], most, sum, largest;
UNROLL
  for (int p = 0; p < PAGES; p++) {
    const int16 visible = (lanes + p * PAGE >= begin) & (lanes + p * PAGE < end);
    seen[p] = masked ? select((float16)(-INFINITY), score[p], visible) : score[p];
    most = p == 0 ? seen[p] : LARGER(seen[p], most);
  }
  const float highest = greatest16(most), now = LARGER(highest, *peak);
UNROLL
  for (int p = 0; p < PAGES; p++) {
    const int16 visible = (lanes + p * PAGE >= begin) & (lanes + p * PAGE < end);
    float16 e = coarse_exponential16(seen[p] - now);
    if (masked) e = select((float16)(0.0f), e, visible);
    float16 scaled = e * value_scales(pages[p]);
    if (masked) scaled = select((float16)(0.0f), scaled, visible);
    sum = p == 0 ? e : sum + e;
    largest = p == 0 ? scaled : LARGER(scaled, largest);
    seen[p] = scaled;
  }
  *scale = whole_scale(greatest16(largest), WEIGHT_STEP);
  const float inverse = inverse_scale(*scale);
UNROLL
  for (int p = 0; p < PAGES; p++) codes[p] = weight_codes(seen[p], inverse);
  const float shrink = now > *peak ? exponential1(*peak - now) : 1.0f;
  *peak = now;
  *total = *total * shrink + sum16(sum);
  return shrink;
}

// --- Lots of queries ------------------------------------------------------------------------------

// As many as HALVED takes.
#define LOT 6

// Whole numbers take three steps over all lots, each of which has many queries whose chains of operations overlap. The
// peaks of a lot with a window's scores, which stay in `scores`; returns what earlier sums shrink by.
static inline float8 raise_lot(
    float16 (*score)[PAGES], const int *begin, const int *end, bool masked, float8 *peak,
    float16 (*scores)[PAGES])
{
  const int16 lanes = (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  float16 most[LOT];
#pragma unroll
  for (uint h = 0; h < LOT; h++) {
#pragma unroll
    for (int p = 0; p < PAGES; p++) {
      const int16 visible = (lanes + p * PAGE >= begin[h]) & (lanes + p * PAGE < end[h]);
      if (masked) score[h][p] = select((float16)(-INFINITY), score[h][p], visible);
      most[h] = p == 0 ? score[h][p] : LARGER(score[h][p], most[h]);
      scores[h][p] = score[h][p];
    }
  }
  float8 now;
  HALVED(LARGER, most, now);
  now = LARGER(now, *peak);
  const float8 shrink = select((float8)(1.0f), exponential8(*peak - now), now > *peak);
  *peak = now;
  return shrink;
}

// The weights of a lot, each times its value's scale, in place of scores; what they add to totals, and the scale of
// their codes.
static inline float8 scale_lot(
    float16 (*scores)[PAGES], const float16 *scales, bool masked, const float *peak, float8 *sums)
{
  float16 sum[LOT], largest[LOT];
  for (uint h = 0; h < LOT; h++) {
#pragma unroll
    for (int p = 0; p < PAGES; p++) {
      const int16 seen = scores[h][p] != (float16)(-INFINITY);
      float16 e = coarse_exponential16(scores[h][p] - peak[h]);
      if (masked) e = select((float16)(0.0f), e, seen);
      float16 scaled = e * scales[p];
      if (masked) scaled = select((float16)(0.0f), scaled, seen);
      sum[h] = p == 0 ? e : sum[h] + e;
      largest[h] = p == 0 ? scaled : LARGER(scaled, largest[h]);
      scores[h][p] = scaled;
    }
  }
  float8 scale;
  HALVED(PLUS, sum, *sums);
  HALVED(LARGER, largest, scale);
  scale *= WEIGHT_STEP;
  return select(scale, (float8)(0.0f), scale < (float8)(1e-30f));
}

// And their codes.
static inline void code_lot(float16 (*scores)[PAGES], float8 scale, int8 (*weights)[PAGES])
{
  const float8 inverse = select(reciprocal8(scale), (float8)(0.0f), scale == (float8)(0.0f));
  const float inverse_of[8] = {
      inverse.s0, inverse.s1, inverse.s2, inverse.s3, inverse.s4, inverse.s5, inverse.s6, inverse.s7};
  for (uint h = 0; h < LOT; h++)
#pragma unroll
    for (int p = 0; p < PAGES; p++) weights[h][p] = weight_codes(scores[h][p], inverse_of[h]);
}

#endif
