// y = a + b, number by number.
//
//   a, b, y   f32 [i], `count` numbers
//             ├── item 0: `each` numbers ──┼── item 1 ──┼ …
//
// `each` is a multiple of 16; the last item has a tail. y may be a or b.

kernel void add(
    global const uchar *a_buffer, ulong a_offset, global const uchar *b_buffer, ulong b_offset,
    global uchar *y_buffer, ulong y_offset, uint count, uint each)
{
  global const float *a = (global const float *)(a_buffer + a_offset);
  global const float *b = (global const float *)(b_buffer + b_offset);
  global float *y = (global float *)(y_buffer + y_offset);

  const uint first = get_global_id(0) * each;
  const uint end = first + min(each, count - first);
  uint i = first;
  for (; i + 16 <= end; i += 16) vstore16(vload16(0, a + i) + vload16(0, b + i), 0, y + i);
  for (; i < end; i++) y[i] = a[i] + b[i];
}
