// Paged attention: what its kernels share. The host puts this text after the prelude where a program
// asks for it.
//
//   pool      kv head 0          kv head 1 …
//   kv head   page 0 | page 1 | …                                    (pool_pages of them)
//   page      keys [width][16 tokens] | values [16 tokens][width]
//
//   q, y   f32 [t * heads * width + head * width + d]
//   row t sees the tokens [begin[t], end[t]) of its sequence; token p lies in page
//   tables[table[t] + p / 16], or for kv head h in tables[table[t] + h * head_stride + p / 16]:
//
//       page  │····████████████│████████████████│██████··········│
//                 begin                               end
//
// The softmax runs online (Milakov & Gimelshein, 2018) over windows of four pages, counted from the
// first token: when the maximum grows, what was summed before is scaled down. Every span of 512 tokens
// starts afresh, and spans are merged in order. Scores are summed over d in order, weights in 16 lanes
// by token, values over tokens in order: the same bits everywhere.
//
// With STAGE 1 a row leaves for each head its sums, not divided, their peak and their total, with STAGE 2 it merges
// its spans behind what another kernel has left so, and with STAGE 3 it does both:
//
//   left   f32 [(t * heads + head) * (width + 2) + d], peak at width, total at width + 1
//
// What lies in a page outside the interval may be NaN: keys there are masked by select, values there
// are not used. A row that sees nothing yields zeros.
//
// common/kv_numbers.cl says how numbers lie in a page, and comes before this.
//
// VNNI 0 and AVX2 0 are plain OpenCL C. VNNI 1 is for a CPU that has AVX-512, AVX2 1 for one that has AVX2, under
// a driver that takes inline assembly: halves are widened by an instruction. With PREFETCHES 1 the next window is
// fetched meanwhile.

// Query heads that share a kv head, or as many of them as a work-item takes.
#ifndef HEADS
#define HEADS 3
#endif

// A head's values as vectors of 16, and what is left.
#define VECTORS (HEAD_WIDTH / 16)
#define REST (HEAD_WIDTH % 16)

// Vectors of values, and pages of keys, that `count` queries meet at once: as many as registers hold sums for.
// AVX2 has sixteen, of eight lanes.
#if AVX2
#define AT_ONCE(count) (VECTORS % 2 == 0 && (count) <= 3 ? 2 : 1)
#define PAGES_AT_ONCE(count) ((count) <= 3 ? 2 : 1)
#else
#define AT_ONCE(count)                                                                           \
  (VECTORS % 4 == 0 ? 4 : VECTORS % 5 == 0 ? 5 : VECTORS % 3 == 0 ? 3 : VECTORS % 2 == 0 ? 2 : 1)
#define PAGES_AT_ONCE(count) PAGES
#endif

// Tokens and pages of a window, and tokens of a span.
#define WINDOW 64
#define PAGES (WINDOW / PAGE)
#define SPAN 512

// What a query has gathered in a span, in memory: its sums, a peak and a total.
#define PART (HEAD_WIDTH + 2)

#ifndef STAGE
#define STAGE 0
#endif
#define LEAVES (STAGE & 1)
#define FOLLOWS (STAGE & 2)
// Numbers of a head that come out.
#define LEFT (LEAVES ? PART : HEAD_WIDTH)

// Loops over what registers hold are unrolled where that helps. Elsewhere a driver may compile for minutes:
// where there is no fused instruction, each one in the text is dozens of others.
#ifndef UNROLLED
#define UNROLLED 1
#endif
#if UNROLLED
#define UNROLL _Pragma("unroll")
#else
#define UNROLL
#endif

// Where the pages of a window begin for a kv head. Those that nobody sees stand for their neighbours.
static inline void find_pages(
    global const element *pool, global const int *table, uint pool_pages, uint kv_head, int first,
    int last, global const element **pages)
{
  const int start = first / WINDOW * PAGES;
UNROLL
  for (int p = 0; p < PAGES; p++) {
    const int page = table[clamp(start + p, first / PAGE, (last - 1) / PAGE)];
    pages[p] = pool + ((size_t)kv_head * pool_pages + page) * PAGE_OF(HEAD_WIDTH);
  }
}

// The scores of `count` queries (a constant, as many as registers hold) against a window: KEY(p, d) is
// element d of the tokens of page p, QUERY(h, d) that of a query, scaled.
#define SCORES(count, KEY, QUERY, AHEAD, score)                                                  \
  UNROLL for (int from = 0; from < PAGES; from += PAGES_AT_ONCE(count)) {                        \
    UNROLL for (uint h = 0; h < count; h++)                                                      \
        UNROLL for (int p = 0; p < PAGES_AT_ONCE(count); p++) score[h][from + p] =               \
            (float16)(0.0f);                                                                     \
    for (uint d = 0; d < HEAD_WIDTH; d++) {                                                      \
      float16 k[PAGES_AT_ONCE(count)];                                                           \
      if (from == 0) AHEAD(d);                                                                   \
      UNROLL for (int p = 0; p < PAGES_AT_ONCE(count); p++) k[p] = KEY(from + p, d);             \
      UNROLL for (uint h = 0; h < count; h++) {                                                  \
        const float16 q_d = (float16)(QUERY(h, d));                                              \
        UNROLL for (int p = 0; p < PAGES_AT_ONCE(count); p++)                                    \
            score[h][from + p] = FUSED(k[p], q_d, score[h][from + p]);                           \
      }                                                                                          \
    }                                                                                            \
  }

// The same where KEY(p, d) lies in pages[p]: scales are read once for all elements of a block.
#if !HAS_CODES || HAS_WHOLE
#define SCORES_OF_PAGES(count, KEY, pages, QUERY, AHEAD, score)                                  \
  SCORES(count, KEY, QUERY, AHEAD, score)
#else
#define SCORES_OF_PAGES(count, KEY, pages, QUERY, AHEAD, score)                                  \
  do {                                                                                           \
    UNROLL for (uint h = 0; h < count; h++)                                           \
        UNROLL for (int p = 0; p < PAGES; p++) score[h][p] = (float16)(0.0f);         \
    for (uint block = 0; block < HEAD_WIDTH / BLOCK; block++) {                                  \
      float16 scale_of[PAGES];                                                                   \
      UNROLL for (int p = 0; p < PAGES; p++) scale_of[p] =                                \
          KEY_SCALES_OF(pages[p], block);                                                        \
      for (uint i = 0; i < BLOCK / CODES; i++) {                                                 \
        uchar16 bytes[PAGES];                                                                    \
        UNROLL for (int p = 0; p < PAGES; p++) bytes[p] =                             \
            load_key_codes(pages[p], block * (BLOCK / CODES) + i);                               \
        UNROLL for (uint part = 0; part < CODES; part++) {                            \
          const uint d = block * BLOCK + i * CODES + part;                                       \
          float16 k[PAGES];                                                                      \
          AHEAD(d);                                                                              \
          UNROLL for (int p = 0; p < PAGES; p++) k[p] =                               \
              KEY_NUMBERS(pages[p], d, whole_numbers(bytes[p], part), scale_of[p]);              \
          UNROLL for (uint h = 0; h < count; h++) {                                   \
            const float16 q_d = (float16)(QUERY(h, d));                                          \
            UNROLL for (int p = 0; p < PAGES; p++)                                    \
                score[h][p] = FUSED(k[p], q_d, score[h][p]);                                     \
          }                                                                                      \
        }                                                                                        \
      }                                                                                          \
    }                                                                                            \
  } while (0)
#endif

// Adds the weighted values of the tokens first ..< last of a window to the sums of `count` queries:
// VALUE(i, j) is vector j of token i, WEIGHT(h, i) that of a query for it, SUM(h, j) is where sums are,
// which are first scaled by SHRINK(h).
#define GATHER(count, VALUE, WEIGHT, SUM, SHRINK, AHEAD, first, last)                            \
  for (uint j = 0; j < VECTORS; j += AT_ONCE(count)) {                                           \
    float16 gathered[count][AT_ONCE(count)];                                                     \
    UNROLL for (uint h = 0; h < count; h++)                                                      \
        UNROLL for (uint c = 0; c < AT_ONCE(count); c++) gathered[h][c] =                        \
            SUM(h, j + c) * SHRINK(h);                                                           \
    for (int i = first; i < last; i++) {                                                         \
      float16 v[AT_ONCE(count)];                                                                 \
      AHEAD(16 * j + i * (16 * AT_ONCE(count)) / WINDOW);                                        \
      UNROLL for (uint c = 0; c < AT_ONCE(count); c++) v[c] = VALUE(i, j + c);                   \
      UNROLL for (uint h = 0; h < count; h++) {                                                  \
        const float16 weight = (float16)(WEIGHT(h, i));                                          \
        UNROLL for (uint c = 0; c < AT_ONCE(count); c++) gathered[h][c] =                        \
            FUSED(v[c], weight, gathered[h][c]);                                                 \
      }                                                                                          \
    }                                                                                            \
    UNROLL for (uint h = 0; h < count; h++)                                                      \
        UNROLL for (uint c = 0; c < AT_ONCE(count); c++) SUM(h, j + c) = gathered[h][c];         \
  }
#define NOTHING_AHEAD(line) (void)0

// What is left of the lanes of six vectors, each halved until one is left: vectors 0 … 5 in lanes 0 … 5 of the
// result, as sum16() adds them up.
#define PLUS(a, b) ((a) + (b))
#define HALVED(COMBINE, v, result)                                                               \
  do {                                                                                           \
    const float16 ab = COMBINE((float16)(v[0].lo, v[1].lo), (float16)(v[0].hi, v[1].hi));        \
    const float16 cd = COMBINE((float16)(v[2].lo, v[3].lo), (float16)(v[2].hi, v[3].hi));        \
    const float16 ef = COMBINE((float16)(v[4].lo, v[5].lo), (float16)(v[4].hi, v[5].hi));        \
    const float16 abcd = COMBINE(                                                                \
        (float16)(ab.s0123, ab.s89ab, cd.s0123, cd.s89ab),                                       \
        (float16)(ab.s4567, ab.scdef, cd.s4567, cd.scdef));                                      \
    const float16 efef = COMBINE(                                                                \
        (float16)(ef.s0123, ef.s89ab, ef.s0123, ef.s89ab),                                       \
        (float16)(ef.s4567, ef.scdef, ef.s4567, ef.scdef));                                      \
    const float16 twos = COMBINE(                                                                \
        (float16)(abcd.s014589cd, efef.s014589cd), (float16)(abcd.s2367abef, efef.s2367abef));   \
    result = COMBINE(twos.even, twos.odd);                                                       \
  } while (0)

// Scores to weights, of which the tokens begin ..< end of the window count; peak and total with them.
// Returns what earlier sums shrink by.
static inline float weigh(
    const float16 *score, int begin, int end, float *peak, float *total, float *weights)
{
  const int16 lanes = (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const bool masked = begin > 0 || end < WINDOW;
  float16 seen[PAGES], most, sum;
UNROLL
  for (int p = 0; p < PAGES; p++) {
    const int16 visible = (lanes + p * PAGE >= begin) & (lanes + p * PAGE < end);
    seen[p] = masked ? select((float16)(-INFINITY), score[p], visible) : score[p];
    most = p == 0 ? seen[p] : fmax(most, seen[p]);
  }
  const float now = fmax(*peak, max16(most));
UNROLL
  for (int p = 0; p < PAGES; p++) {
    const int16 visible = (lanes + p * PAGE >= begin) & (lanes + p * PAGE < end);
    float16 e = exponential16(seen[p] - now);
    if (masked) e = select((float16)(0.0f), e, visible);
    vstore16(e, p, weights);
    sum = p == 0 ? e : sum + e;
  }
  const float shrink = now > *peak ? exponential1(*peak - now) : 1.0f;
  *peak = now;
  *total = *total * shrink + sum16(sum);
  return shrink;
}

// How two parts are brought to the scale of the larger peak: (now, own, other).
static inline float3 scales(float peak, float part_peak)
{
  const float now = fmax(peak, part_peak);
  return (float3)(now, exponential1(peak - now), exponential1(part_peak - now));
}
