// A row of numbers → its norm as int8 blocks: what quant/norm_quantize.cl does, and what kernels that
// multiply do first. The host puts this text after the prelude where a program asks for it.
//
//   x, weight  f32 [width], whole blocks of 32      row  width chars │ width/32 scales │ width/32 sums
//
// NORMED_ROW defines a function for rows that lie in one address space. Blocks behind the last are it once
// more.

#define NORMED_ROW(name, space)                                                                 \
  static inline void name(                                                                      \
      global const float *x, global const float *weight, float epsilon, uint width,             \
      space uchar *row)                                                                         \
  {                                                                                             \
    const uint blocks = width / BLOCK;                                                          \
    const float norm = norm_scale(x, width, epsilon);                                           \
    for (uint first = 0; first < blocks; first += 8) {                                          \
      float16 v[16];                                                                            \
      for (uint i = 0; i < 16; i++) {                                                           \
        const uint half_block = min(2 * first + i, 2 * blocks - 2 + i % 2);                     \
        v[i] = vload16(half_block, x) * norm * vload16(half_block, weight);                     \
      }                                                                                         \
      STORE_EIGHT(space, v, first, blocks, blocks, row)                                         \
    }                                                                                           \
  }

// What one token's x is to a kernel that multiplies: with NORM 1 floats, which each work-item norms for
// itself, as that costs less than a launch; with NORM 0 int8 blocks.
#ifndef NORM
#define NORM 0
#endif
#ifndef INPUT_WIDTH
#define INPUT_WIDTH 64
#endif

#if NORM
#define X_SPACE private
#define X_ROW(name, x, weight, epsilon)                                                         \
  uchar name[INPUT_WIDTH + INPUT_WIDTH / BLOCK * 8] __attribute__((aligned(64)));               \
  normed_row((global const float *)(x), (global const float *)(weight), epsilon, INPUT_WIDTH, name)
NORMED_ROW(normed_row, private)
#else
#define X_SPACE global
#define X_ROW(name, x, weight, epsilon) global const uchar *name = (x)
#endif
