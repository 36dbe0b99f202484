// Heads times a Hadamard matrix, as Sources/Devices/HeadRotation.swift has it: what kernels that rotate share. The
// host puts this text after the prelude where a program asks for it.

#ifndef HEAD_WIDTH
#define HEAD_WIDTH 64
#endif

// Elements that are mixed: the largest power of two that divides the width; and 1 / sqrt of it.
#define MIXED (HEAD_WIDTH & -HEAD_WIDTH)
#define MIXED_FACTOR                                                                             \
  (MIXED == 1 ? 1.0f : MIXED == 2 ? 0.707106781f : MIXED == 4 ? 0.5f                             \
      : MIXED == 8 ? 0.707106781f / 2 : MIXED == 16 ? 0.25f : MIXED == 32 ? 0.707106781f / 4     \
      : MIXED == 64 ? 0.125f : MIXED == 128 ? 0.707106781f / 8 : MIXED == 256 ? 0.0625f          \
      : MIXED == 512 ? 0.707106781f / 16 : 0.03125f)

#if HEAD_WIDTH % 16 == 0
// 16 elements, mixed with those 1, 2, 4 and 8 apart.
static inline float16 mix16(float16 v)
{
  float16 w;
  w.even = v.even + v.odd;
  w.odd = v.even - v.odd;
  v.s014589cd = w.s014589cd + w.s2367abef;
  v.s2367abef = w.s014589cd - w.s2367abef;
  w.s012389ab = v.s012389ab + v.s4567cdef;
  w.s4567cdef = v.s012389ab - v.s4567cdef;
  return (float16)(w.lo + w.hi, w.lo - w.hi);
}

static inline void rotate_head(float16 *head)
{
  for (uint j = 0; j < HEAD_WIDTH / 16; j++) head[j] = mix16(head[j]);
  for (uint apart = 1; apart < MIXED / 16; apart *= 2)
    for (uint j = 0; j < HEAD_WIDTH / 16; j++)
      if ((j & apart) == 0) {
        const float16 a = head[j], b = head[j + apart];
        head[j] = a + b;
        head[j + apart] = a - b;
      }
  for (uint j = 0; j < HEAD_WIDTH / 16; j++) head[j] *= MIXED_FACTOR;
}
#endif
