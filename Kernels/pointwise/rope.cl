// y = x with the first `dimensions` numbers of each head turned in pairs by position × frequency and
// multiplied by `magnitude`.
//
//   one row:  head 0                                  head 1 …
//             ├─ dimensions: turned ─┼─ passed on ─┤
//   halves    pair i = (i, i + dimensions / 2)
//   adjacent  pair i = (2i, 2i + 1)
//
// x, y f32 [t * width + head * head_width + k]; positions i32 [t]; frequencies f32 [i], radians per
// position. The angle is rounded to single precision. One work-item
// takes one row: an angle serves all heads. y may be x.

#define ADJACENT 0
#define HALVES 1
#ifndef PAIRING
#define PAIRING HALVES
#endif

kernel void rope(
    global const uchar *x_buffer, ulong x_offset,
    global const uchar *positions_buffer, ulong positions_offset,
    global const uchar *frequencies_buffer, ulong frequencies_offset,
    global uchar *y_buffer, ulong y_offset, uint heads, uint head_width, uint dimensions,
    float magnitude)
{
  const size_t t = get_global_id(0);
  const uint width = heads * head_width;
  const uint pairs = dimensions / 2;
  global const float *x = (global const float *)(x_buffer + x_offset) + t * width;
  global const float *frequencies =
      (global const float *)(frequencies_buffer + frequencies_offset);
  global float *y = (global float *)(y_buffer + y_offset) + t * width;
  const float position = (float)((global const int *)(positions_buffer + positions_offset))[t];

  uint i = 0;
  for (; i + 16 <= pairs; i += 16) {
    const float16 angle = position * vload16(0, frequencies + i);
    float16 s, c;
    sine_cosine16(angle, &s, &c);
    s *= magnitude;
    c *= magnitude;
    for (uint h = 0; h < width; h += head_width) {
#if PAIRING == HALVES
      const float16 a = vload16(0, x + h + i);
      const float16 b = vload16(0, x + h + i + pairs);
      vstore16(FUSED(a, c, -(b * s)), 0, y + h + i);
      vstore16(FUSED(a, s, b * c), 0, y + h + i + pairs);
#else
      const float16 first = vload16(0, x + h + 2 * i);
      const float16 second = vload16(1, x + h + 2 * i);
      const float16 a = (float16)(first.even, second.even);
      const float16 b = (float16)(first.odd, second.odd);
      const float16 p = FUSED(a, c, -(b * s));
      const float16 q = FUSED(a, s, b * c);
      float16 turned;
      turned.even = p.lo;
      turned.odd = q.lo;
      vstore16(turned, 0, y + h + 2 * i);
      turned.even = p.hi;
      turned.odd = q.hi;
      vstore16(turned, 1, y + h + 2 * i);
#endif
    }
  }
  for (; i < pairs; i++) {
    const float angle = position * frequencies[i];
    float s, c;
    sine_cosine1(angle, &s, &c);
    s *= magnitude;
    c *= magnitude;
    for (uint h = 0; h < width; h += head_width) {
      const uint at_a = PAIRING == HALVES ? h + i : h + 2 * i;
      const uint at_b = PAIRING == HALVES ? at_a + pairs : at_a + 1;
      const float a = x[at_a];
      const float b = x[at_b];
      y[at_a] = FUSED(a, c, -(b * s));
      y[at_b] = FUSED(a, s, b * c);
    }
  }
  for (uint h = 0; h < width; h += head_width)
    for (uint k = dimensions; k < head_width; k++) y[h + k] = x[h + k];
}
