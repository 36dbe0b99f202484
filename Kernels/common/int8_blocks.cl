// Numbers → int8 blocks, as Sources/Tensors/Int8Activations.swift has the rule: what kernels that quantise
// share. The host puts this text after the prelude where a program asks for it.
//
//   x  f32 [width], whole blocks of 32    a row  width chars │ width/32 scales │ width/32 sums
//
// Bytes are stored as words, since some drivers store vectors of bytes one by one.

// Outside these peaks a block counts as zeros: the reciprocal would be no number.
#define LEAST_PEAK 1e-30f
#define LARGEST_PEAK 1e30f

// x, rounded to nearest integers, in the low bits; 0 for what is none of -127 … 127.
static inline int16 whole(float16 x)
{
  const float16 shifted = x + ROUNDER;
  return select((int16)(0), as_int16(shifted) - 0x4B400000, fabs(shifted - ROUNDER) <= 127.0f);
}

// The bytes of a block.
typedef struct {
  int4 low, high;
} block_bytes;

static inline block_bytes bytes_of(float16 low, float16 high, float inverse, int16 *both)
{
  const int16 whole_low = whole(low * inverse), whole_high = whole(high * inverse);
  *both = whole_low + whole_high;
  return (block_bytes){
      as_int4(convert_char16(whole_low)), as_int4(convert_char16(whole_high))};
}

#define STORE_BYTES(block, b, words)            \
  do {                                          \
    vstore4((block).low, 2 * (b), words);       \
    vstore4((block).high, 2 * (b) + 1, words);  \
  } while (0)

// One block; scale and sum are the lanes of the result.
static inline float2 quantize_block(float16 low, float16 high, block_bytes *bytes)
{
  const float16 zero = (float16)(0.0f), peaks = LARGER(fabs(high), LARGER(fabs(low), zero));
  const float most = max16(peaks);
  const bool counts = most >= LEAST_PEAK && most <= LARGEST_PEAK;
  const float inverse = counts ? reciprocal1(most) * 127.0f : 0.0f;
  const float scale = counts ? most * 0.0078740157f : 0.0f;
  int16 both;
  *bytes = bytes_of(low, high, inverse, &both);
  const int8 fours = both.lo + both.hi;
  const int4 twos = fours.lo + fours.hi;
  return (float2)(scale, scale * (float)(twos.x + twos.y + twos.z + twos.w));
}

// What is left of the lanes of eight vectors, each halved until one is left, in any order.
#define EACH_OF_EIGHT(COMBINE, real8, real16, v, result)                                         \
  do {                                                                                           \
    const real16 ab = COMBINE((real16)((v)[0].lo, (v)[1].lo), (real16)((v)[0].hi, (v)[1].hi));   \
    const real16 cd = COMBINE((real16)((v)[2].lo, (v)[3].lo), (real16)((v)[2].hi, (v)[3].hi));   \
    const real16 ef = COMBINE((real16)((v)[4].lo, (v)[5].lo), (real16)((v)[4].hi, (v)[5].hi));   \
    const real16 gh = COMBINE((real16)((v)[6].lo, (v)[7].lo), (real16)((v)[6].hi, (v)[7].hi));   \
    const real16 ad = COMBINE((real16)(ab.even, cd.even), (real16)(ab.odd, cd.odd));             \
    const real16 eh = COMBINE((real16)(ef.even, gh.even), (real16)(ef.odd, gh.odd));             \
    const real16 ah = COMBINE((real16)(ad.even, eh.even), (real16)(ad.odd, eh.odd));             \
    result = COMBINE(ah.even, ah.odd);                                                           \
  } while (0)
#define BOTH(a, b) ((a) + (b))

// Eight blocks, of which none waits for its own peak: x[2 i] and x[2 i + 1] are block i, whose scale and sum
// are lane i of the results.
static inline void quantize_eight(
    const float16 *x, block_bytes *bytes, float8 *scales, float8 *sums)
{
  float16 peaks[8];
#pragma unroll
  for (uint i = 0; i < 8; i++)
    peaks[i] = LARGER(fabs(x[2 * i + 1]), LARGER(fabs(x[2 * i]), (float16)(0.0f)));
  float8 most;
  EACH_OF_EIGHT(LARGER, float8, float16, peaks, most);
  const int8 counts = most >= LEAST_PEAK && most <= LARGEST_PEAK;
  float inverse[8];
  vstore8(select((float8)(0.0f), reciprocal8(most) * 127.0f, counts), 0, inverse);
  *scales = select((float8)(0.0f), most * 0.0078740157f, counts);
  int16 both[8];
#pragma unroll
  for (uint i = 0; i < 8; i++) bytes[i] = bytes_of(x[2 * i], x[2 * i + 1], inverse[i], &both[i]);
  int8 totals;
  EACH_OF_EIGHT(BOTH, int8, int16, both, totals);
  *sums = *scales * convert_float8(totals);
}

// Quantises the numbers v of the blocks first … first + 7 of a row, and stores those before `end`.
#define STORE_EIGHT(space, v, first, end, blocks, row)                                           \
  {                                                                                              \
    space int *words = (space int *)(row);                                                       \
    space float *scales = (space float *)words + (blocks) * (BLOCK / 4);                         \
    block_bytes bytes[8];                                                                        \
    float8 scale, sum;                                                                           \
    quantize_eight(v, bytes, &scale, &sum);                                                      \
    if ((first) + 8 <= (end)) {                                                                  \
      _Pragma("unroll") for (uint i = 0; i < 8; i++) STORE_BYTES(bytes[i], (first) + i, words);  \
      vstore8(scale, 0, scales + (first));                                                       \
      vstore8(sum, 0, scales + (blocks) + (first));                                              \
    } else {                                                                                     \
      float scale_of[8], sum_of[8];                                                              \
      vstore8(scale, 0, scale_of);                                                               \
      vstore8(sum, 0, sum_of);                                                                   \
      for (uint i = 0; (first) + i < (end); i++) {                                               \
        STORE_BYTES(bytes[i], (first) + i, words);                                               \
        scales[(first) + i] = scale_of[i];                                                       \
        scales[(blocks) + (first) + i] = sum_of[i];                                              \
      }                                                                                          \
    }                                                                                            \
  }
