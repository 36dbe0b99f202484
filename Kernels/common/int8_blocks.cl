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

// Four blocks, which costs half of what one by one would: x[2 i] and x[2 i + 1] are block i, whose scale and
// sum are lane i of the results.
static inline void quantize_four(
    const float16 *x, block_bytes *bytes, float4 *scales, float4 *sums)
{
  float16 peaks[4];
#pragma unroll
  for (uint i = 0; i < 4; i++)
    peaks[i] = LARGER(fabs(x[2 * i + 1]), LARGER(fabs(x[2 * i]), (float16)(0.0f)));
  // Lanes of four vectors are halved together, until each has one left.
  const float16 ab = LARGER((float16)(peaks[0].lo, peaks[1].lo), (float16)(peaks[0].hi, peaks[1].hi));
  const float16 cd = LARGER((float16)(peaks[2].lo, peaks[3].lo), (float16)(peaks[2].hi, peaks[3].hi));
  const float16 fours =
      LARGER((float16)(ab.even, cd.even), (float16)(ab.odd, cd.odd));
  const float8 twos = LARGER(fours.even, fours.odd);
  const float4 most = LARGER(twos.even, twos.odd);
  const int4 counts = most >= LEAST_PEAK && most <= LARGEST_PEAK;
  const float4 inverse = select((float4)(0.0f), reciprocal4(most) * 127.0f, counts);
  *scales = select((float4)(0.0f), most * 0.0078740157f, counts);
  int16 totals[4];
  bytes[0] = bytes_of(x[0], x[1], inverse.x, &totals[0]);
  bytes[1] = bytes_of(x[2], x[3], inverse.y, &totals[1]);
  bytes[2] = bytes_of(x[4], x[5], inverse.z, &totals[2]);
  bytes[3] = bytes_of(x[6], x[7], inverse.w, &totals[3]);
  const int16 total_ab =
      (int16)(totals[0].lo, totals[1].lo) + (int16)(totals[0].hi, totals[1].hi);
  const int16 total_cd =
      (int16)(totals[2].lo, totals[3].lo) + (int16)(totals[2].hi, totals[3].hi);
  const int16 four_totals =
      (int16)(total_ab.even, total_cd.even) + (int16)(total_ab.odd, total_cd.odd);
  const int8 two_totals = four_totals.even + four_totals.odd;
  *sums = *scales * convert_float4(two_totals.even + two_totals.odd);
}

// Quantises the numbers v of the blocks first … first + 3 of a row, and stores those before `end`.
#define STORE_FOUR(space, v, first, end, blocks, row)                                            \
  {                                                                                              \
    space int *words = (space int *)(row);                                                       \
    space float *scales = (space float *)words + (blocks) * (BLOCK / 4);                         \
    block_bytes bytes[4];                                                                        \
    float4 scale, sum;                                                                           \
    quantize_four(v, bytes, &scale, &sum);                                                       \
    const float scale_of[4] = {scale.x, scale.y, scale.z, scale.w};                              \
    const float sum_of[4] = {sum.x, sum.y, sum.z, sum.w};                                        \
    for (uint i = 0; i < 4 && (first) + i < (end); i++) {                                        \
      STORE_BYTES(bytes[i], (first) + i, words);                                                 \
      scales[(first) + i] = scale_of[i];                                                         \
      scales[(blocks) + (first) + i] = sum_of[i];                                                \
    }                                                                                            \
  }
