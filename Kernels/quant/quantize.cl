// x → int8 blocks: per 32 numbers a scale max|x| × (1 / 127), bytes x × (127 × 1 / max|x|) rounded to
// nearest even, and the sum scale × Σ bytes. A block whose max|x| lies outside LEAST_PEAK …
// LARGEST_PEAK counts as zeros with scale 0; what is not a number counts as 0.
//
//        width                         width bytes   width/32 floats  width/32 floats
//      ┌───────────────┐             ┌─────────────┬────────────────┬────────────────┐
//    x │ f32           │  → y, a row │ char        │ scales         │ sums           │
//      └───────────────┘             └─────────────┴────────────────┴────────────────┘
//
// One work-item turns `blocks_each` blocks of one row. Global ids: (group of blocks, row).

// Outside these peaks a block counts as zeros: the reciprocal would be no number.
#define LEAST_PEAK 1e-30f
#define LARGEST_PEAK 1e30f

// The nearest integers, and 0 for what is none of -127 … 127.
static inline float16 whole(float16 x)
{
  const float16 q = rint(x);
  return select((float16)(0.0f), q, fabs(q) <= 127.0f);
}

kernel void quantize(
    global const uchar *x_buffer, ulong x_offset,
    global uchar *y_buffer, ulong y_offset, uint width, uint blocks_each)
{
  const size_t t = get_global_id(1);
  const uint blocks = width / BLOCK;
  global const float *x = (global const float *)(x_buffer + x_offset) + t * width;
  global uchar *row = y_buffer + y_offset + t * (width + (size_t)blocks * 8);
  global char *bytes = (global char *)row;
  global float *scales = (global float *)(row + width);

  const uint first = get_global_id(0) * blocks_each;
  const uint end = min(first + blocks_each, blocks);
  for (uint b = first; b < end; b++) {
    const float16 low = vload16(2 * b, x);
    const float16 high = vload16(2 * b + 1, x);
    const float most = max16(fmax(fabs(low), fabs(high)));
    const bool counts = most >= LEAST_PEAK && most <= LARGEST_PEAK;
    const float inverse = counts ? reciprocal1(most) * 127.0f : 0.0f;
    const float scale = counts ? most * 0.0078740157f : 0.0f;
    const float16 q_low = whole(low * inverse);
    const float16 q_high = whole(high * inverse);
    vstore16(convert_char16(q_low), 2 * b, bytes);
    vstore16(convert_char16(q_high), 2 * b + 1, bytes);
    scales[b] = scale;
    scales[blocks + b] = scale * sum16(q_low + q_high);
  }
}
