// One token: queries, keys and values of a layer, turned by rotary positions and stored.
//
//   x           NORM 1: f32, of which the norm is taken first; NORM 0: int8 blocks
//   Q, K, V     quantised, in tiles of 16 rows (common/prelude.cl), one type; a head is whole tiles
//   units       query head 0 │ … │ key head 0 │ … │ value head 0 │ …
//               work-item 0: `units_each` of them │ work-item 1: … │
//   y           turned queries, f32 [head * width + d]
//   pool        turned keys and values, in the page of the token's slot, as attention/write_kv.cl has it;
//               a negative slot is not kept
//
// pointwise/rope.cl says how heads turn. Global ids: (group of units, 0).

#define HALVES 1
#ifndef PAIRING
#define PAIRING HALVES
#endif
#ifndef HEAD_WIDTH
#define HEAD_WIDTH 64
#endif
// Whether queries, keys and values are rotated (common/rotation.cl).
#ifndef ROTATED
#define ROTATED 0
#endif
#ifndef BIASED
#define BIASED 0
#endif

TILES_DOT(dot_x, X_SPACE, 1)
TILES_DOT(dots_x, X_SPACE, STREAMS)

// The sines and cosines by which the pairs of each head turn, a vector at a time.
static inline void turns_of(
    global const float *frequencies, float position, uint pairs, float magnitude, float *sines,
    float *cosines)
{
  for (uint i = 0; i < pairs; i += 16) {
    float angles[16];
    for (uint j = 0; j < 16; j++) angles[j] = i + j < pairs ? position * frequencies[i + j] : 0.0f;
    float16 s, c;
    sine_cosine16(vload16(0, angles), &s, &c);
    vstore16(s * magnitude, 0, sines + i);
    vstore16(c * magnitude, 0, cosines + i);
  }
}

// The head with its first pairs turned.
static inline void turn(float *head, uint pairs, const float *sines, const float *cosines)
{
  for (uint i = 0; i < pairs; i++) {
    const uint at_a = PAIRING == HALVES ? i : 2 * i;
    const uint at_b = PAIRING == HALVES ? at_a + pairs : at_a + 1;
    const float a = head[at_a], b = head[at_b];
    head[at_a] = FUSED(a, cosines[i], -(b * sines[i]));
    head[at_b] = FUSED(a, sines[i], b * cosines[i]);
  }
}

kernel void attention_inputs(
    global const uchar *x_buffer, ulong x_offset,
    global const uchar *norm_buffer, ulong norm_offset, float epsilon,
    global const uchar *q_buffer, ulong q_offset, global const uchar *q_bias_buffer, ulong q_bias_offset,
    global const uchar *k_buffer, ulong k_offset, global const uchar *k_bias_buffer, ulong k_bias_offset,
    global const uchar *v_buffer, ulong v_offset, global const uchar *v_bias_buffer, ulong v_bias_offset,
    global const uchar *positions_buffer, ulong positions_offset,
    global const uchar *slots_buffer, ulong slots_offset,
    global const uchar *frequencies_buffer, ulong frequencies_offset,
    global uchar *pool_buffer, ulong pool_offset,
    global uchar *y_buffer, ulong y_offset,
    uint heads, uint kv_heads, uint pool_pages, uint dimensions, float magnitude, uint units_each)
{
  X_ROW(x, x_buffer + x_offset, norm_buffer + norm_offset, epsilon);
  const float position = (float)((global const int *)(positions_buffer + positions_offset))[0];
  const int slot = ((global const int *)(slots_buffer + slots_offset))[0];
  global const float *frequencies =
      (global const float *)(frequencies_buffer + frequencies_offset);
  global float *y = (global float *)(y_buffer + y_offset);
  // As many as a head may have, in whole vectors.
  float sines[(HEAD_WIDTH / 2 + 15) / 16 * 16], cosines[(HEAD_WIDTH / 2 + 15) / 16 * 16];
  turns_of(frequencies, position, dimensions / 2, magnitude, sines, cosines);

  const uint first = get_global_id(0) * units_each;
  const uint end = min(first + units_each, heads + 2 * kv_heads);
  for (uint unit = max(first, heads); unit < min(end, heads + kv_heads) && slot >= 0; unit++)
    ask_for_keys(
        page_of(pool_buffer + pool_offset, pool_pages, unit - heads, slot, HEAD_WIDTH), HEAD_WIDTH);
  for (uint unit = first; unit < end; unit++) {
    // 0, 1, 2: a query, a key, a value.
    const uint kind = unit < heads ? 0 : unit < heads + kv_heads ? 1 : 2;
    const uint head = unit - (kind == 0 ? 0 : kind == 1 ? heads : heads + kv_heads);
    global const uchar *w = kind == 0 ? q_buffer + q_offset
        : kind == 1                   ? k_buffer + k_offset
                                      : v_buffer + v_offset;
    global const float *bias = (global const float *)(kind == 0 ? q_bias_buffer + q_bias_offset
            : kind == 1                                         ? k_bias_buffer + k_bias_offset
                                                                : v_bias_buffer + v_bias_offset);
    float numbers[HEAD_WIDTH];
    uint r = 0;
    for (; r + STREAMS <= HEAD_WIDTH / 16; r += STREAMS) {
      global const uchar *tile[STREAMS];
      float16 sum[STREAMS];
#pragma unroll
      for (uint s = 0; s < STREAMS; s++) {
        const uint at = head * (HEAD_WIDTH / 16) + r + s;
        tile[s] = w + at * TILE_BYTES(INPUT_WIDTH);
        sum[s] = BIASED ? vload16(at, bias) : (float16)(0.0f);
      }
      dots_x(tile, x, INPUT_WIDTH, (STREAMS - 1) * TILE_BYTES(INPUT_WIDTH), sum);
#pragma unroll
      for (uint s = 0; s < STREAMS; s++) vstore16(sum[s], r + s, numbers);
    }
    for (; r < HEAD_WIDTH / 16; r++) {
      const uint at = head * (HEAD_WIDTH / 16) + r;
      global const uchar *tile = w + at * TILE_BYTES(INPUT_WIDTH);
      float16 sum = BIASED ? vload16(at, bias) : (float16)(0.0f);
      dot_x(&tile, x, INPUT_WIDTH, 0, &sum);
      vstore16(sum, r, numbers);
    }
    if (kind != 2) turn(numbers, dimensions / 2, sines, cosines);
#if ROTATED
    float16 head_numbers[HEAD_WIDTH / 16];
    for (uint r = 0; r < HEAD_WIDTH / 16; r++) head_numbers[r] = vload16(r, numbers);
    rotate_head(head_numbers);
    for (uint r = 0; r < HEAD_WIDTH / 16; r++) vstore16(head_numbers[r], r, numbers);
#endif
    if (kind == 0) {
      for (uint r = 0; r < HEAD_WIDTH / 16; r++)
        vstore16(vload16(r, numbers), r, y + head * HEAD_WIDTH);
    } else if (slot >= 0) {
      const uint token = slot % PAGE;
      global element *block = page_of(pool_buffer + pool_offset, pool_pages, head, slot, HEAD_WIDTH);
#if HAS_CODES
      if (kind == 2) block += KEYS_OF(HEAD_WIDTH);
#endif
#if HAS_WHOLE
#define NUMBERS(i) vload16(i, numbers)
      if (kind == 1)
        STORE_WHOLE(NUMBERS, true, block, HEAD_WIDTH, token);
      else
        STORE_WHOLE(NUMBERS, false, block, HEAD_WIDTH, token);
#elif HAS_CODES
      for (uint i = 0; i < HEAD_WIDTH / BLOCK; i++)
        store_block(
            vload16(2 * i, numbers), vload16(2 * i + 1, numbers), kind == 1, block, HEAD_WIDTH,
            token, i);
#else
      for (uint d = 0; d < HEAD_WIDTH; d++)
        STORE(numbers[d], kind == 1 ? d * PAGE + token : (PAGE + token) * HEAD_WIDTH + d, block);
#endif
    }
  }
}
