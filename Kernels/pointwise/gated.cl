// y = activation(gate) × up, where activation(g) = g / (1 + exp(-z)):
//
//   SILU   z = g
//   GELU   z = 2 √(2 / π) (g + 0.044715 g³)
//
//   gate, up, y   f32 [i], `count` numbers
//                 ├── item 0: `each` numbers ──┼── item 1 ──┼ …
//
// The exponential is taken of -|z| only, which cannot overflow. `each` is a multiple of 16; the
// last item has a tail. y may be gate or up.

#define SILU 0
#define GELU 1
#ifndef ACTIVATION
#define ACTIVATION SILU
#endif

#if ACTIVATION == SILU
#define Z(real, g) (g)
#else
#define Z(real, g) (FUSED((g) * (g) * 0.044715f, (g), (g)) * (real)(1.59576912f))
#endif

static inline float16 activation16(float16 g)
{
  const float16 z = Z(float16, g);
  const float16 e = exponential16(-fabs(z));
  return (z >= 0.0f ? g : g * e) * reciprocal16(1.0f + e);
}

static inline float activation1(float g)
{
  const float z = Z(float, g);
  const float e = exponential1(-fabs(z));
  return (z >= 0.0f ? g : g * e) * reciprocal1(1.0f + e);
}

kernel void gated(
    global const uchar *gate_buffer, ulong gate_offset,
    global const uchar *up_buffer, ulong up_offset,
    global uchar *y_buffer, ulong y_offset, uint count, uint each)
{
  global const float *gate = (global const float *)(gate_buffer + gate_offset);
  global const float *up = (global const float *)(up_buffer + up_offset);
  global float *y = (global float *)(y_buffer + y_offset);

  const uint first = get_global_id(0) * each;
  const uint end = first + min(each, count - first);
  uint i = first;
  for (; i + 16 <= end; i += 16)
    vstore16(activation16(vload16(0, gate + i)) * vload16(0, up + i), 0, y + i);
  for (; i < end; i++) y[i] = activation1(gate[i]) * up[i];
}
