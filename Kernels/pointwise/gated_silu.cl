// y = silu(gate) × up, where silu(g) = g / (1 + exp(-g)).
//
//   gate, up, y   f32 [i], `count` numbers
//                 ├── item 0: `each` numbers ──┼── item 1 ──┼ …
//
// The exponential is taken of -|g| only, which cannot overflow. `each` is a multiple of 16; the
// last item has a tail. y may be gate or up.

static inline float16 silu16(float16 g)
{
  const float16 e = exponential16(-fabs(g));
  return (g >= 0.0f ? g : g * e) * reciprocal16(1.0f + e);
}

static inline float silu(float g)
{
  const float e = exponential1(-fabs(g));
  return (g >= 0.0f ? g : g * e) * reciprocal1(1.0f + e);
}

kernel void gated_silu(
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
    vstore16(silu16(vload16(0, gate + i)) * vload16(0, up + i), 0, y + i);
  for (; i < end; i++) y[i] = silu(gate[i]) * up[i];
}
