// y = activation(gate) × up; common/arithmetic.cl has the activations.
//
//   gate, up, y   f32 [i], `count` numbers
//                 ├── item 0: `each` numbers ──┼── item 1 ──┼ …
//
// `each` is a multiple of 16; the last item has a tail. y may be gate or up.

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
