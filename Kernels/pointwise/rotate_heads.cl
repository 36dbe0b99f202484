// y = each head of x times a Hadamard matrix; common/rotation.cl says how.
//
// x, y f32 [t * heads * HEAD_WIDTH + head * HEAD_WIDTH + d]; y may be x. A work-item takes one row: global ids
// (row, 0).

kernel void rotate_heads(
    global const uchar *x_buffer, ulong x_offset, global uchar *y_buffer, ulong y_offset, uint heads)
{
  const size_t row = get_global_id(0) * heads * HEAD_WIDTH;
  global const float *x = (global const float *)(x_buffer + x_offset) + row;
  global float *y = (global float *)(y_buffer + y_offset) + row;
  for (uint h = 0; h < heads; h++, x += HEAD_WIDTH, y += HEAD_WIDTH) {
#if HEAD_WIDTH % 16 == 0
    float16 head[HEAD_WIDTH / 16];
    for (uint j = 0; j < HEAD_WIDTH / 16; j++) head[j] = vload16(j, x);
    rotate_head(head);
    for (uint j = 0; j < HEAD_WIDTH / 16; j++) vstore16(head[j], j, y);
#else
    float head[HEAD_WIDTH];
    for (uint i = 0; i < HEAD_WIDTH; i++) head[i] = x[i];
    for (uint apart = 1; apart < MIXED; apart *= 2)
      for (uint i = 0; i < HEAD_WIDTH; i++)
        if ((i & apart) == 0) {
          const float a = head[i], b = head[i + apart];
          head[i] = a + b;
          head[i + apart] = a - b;
        }
    for (uint i = 0; i < HEAD_WIDTH; i++) y[i] = head[i] * MIXED_FACTOR;
#endif
  }
}
