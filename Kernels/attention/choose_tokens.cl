// Which tokens the rows of a prompt attend to, and where these rows lie meanwhile.
//
//   columns    f32 [kv_heads][tokens]: what the observed rows attend to each token
//   observed   int [count]: rows, or -1 for none
//   end        int [rows]: row r sees the tokens before end[r]; the last row sees most
//   chosen     int [3][16 + tokens]:
//
//       count │ (15) │ tokens in order …
//       shares: what a token has of all masses, in parts of 2^30 …
//       keys: the same divided by the part of the observed rows that see the token …
//
// There are as few tokens as have `share` parts of 2^20 of all shares together, taking the largest, and all where that
// is 2^20; the chosen tokens are as many with the largest keys, of equal ones the first, and the last one. Shares
// are whole numbers, so sums have no order; what is looked for is found bit by bit from the highest, without sorting.

#define HEAD_NUMBERS 16
#define UNIT 1073741824.0f
#define SHARE_BITS 20

// How many numbers are at least `least`. They are picked, not taken off as the -1 that a comparison gives: Oclgrind
// counts that wrongly.
static inline uint count_of_most(global const uint *numbers, uint count, uint least)
{
  uint16 found = (uint16)(0);
  for (uint i = 0; i < count; i += 16)
    found += select((uint16)(0), (uint16)(1), vload16(0, numbers + i) >= (uint16)(least));
  const uint8 a = found.lo + found.hi;
  const uint4 b = a.lo + a.hi;
  return b.x + b.y + b.z + b.w;
}

// Their sum, in halves of 15 bits so that no lane overflows.
static inline ulong sum_of_most(global const uint *numbers, uint count, uint least)
{
  uint16 low = (uint16)(0), high = (uint16)(0);
  for (uint i = 0; i < count; i += 16) {
    const uint16 all = vload16(0, numbers + i);
    const uint16 n = select((uint16)(0), all, all >= (uint16)(least));
    low += n & 0x7FFFu;
    high += n >> 15;
  }
  uint lows[16], highs[16];
  vstore16(low, 0, lows);
  vstore16(high, 0, highs);
  ulong sum = 0;
  for (uint i = 0; i < 16; i++) sum += lows[i] + ((ulong)highs[i] << 15);
  return sum;
}

// Each token's share and key.
static inline void share_out(
    global const float *columns, global const int *observed, global const int *end, uint count,
    uint heads, uint kv_heads, uint stride, uint tokens, global uint *shares, global uint *keys)
{
  uint rows = 0, all_see = tokens;
  for (uint i = 0; i < count; i++) {
    if (observed[i] < 0) continue;
    rows++;
    all_see = min(all_see, (uint)end[observed[i]]);
  }
  const float inverse = reciprocal1((float)max(1u, rows * heads)) * UNIT;
  for (uint t = 0; t < tokens; t += 16) {
    float16 mass = vload16(0, columns + t);
    for (uint h = 1; h < kv_heads; h++) mass += vload16(0, columns + h * stride + t);
    const float16 share = mass * inverse;
    const int16 place = (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15) + (int)t;
    // What is no number counts as nothing, and so does what is behind the last token.
    const int16 counts = (share > 0.0f) & (place < (int16)((int)tokens));
    const float16 positive = select((float16)(0.0f), share, counts);
    const uint16 whole =
        convert_uint16(select(positive, (float16)(UNIT), positive > (float16)(UNIT)));
    vstore16(whole, 0, shares + t);
    vstore16(rows > 0 ? whole : (uint16)(0), 0, keys + t);
  }
  for (uint t = all_see; t < tokens && rows > 0; t++) {
    uint seeing = 0;
    for (uint i = 0; i < count; i++)
      if (observed[i] >= 0 && end[observed[i]] > (int)t) seeing++;
    const ulong key = seeing > 0 ? (ulong)shares[t] * rows / seeing : 0;
    keys[t] = key < 0xFFFFFFFEu ? (uint)key : 0xFFFFFFFEu;
  }
}

// As few tokens as have the wanted share together, and one at least.
static inline uint tokens_for(global const uint *shares, uint tokens, uint share)
{
  if (share >> SHARE_BITS) return tokens;
  const ulong total = sum_of_most(shares, tokens, 0);
  const ulong wanted = (total * share + (1u << SHARE_BITS) - 1) >> SHARE_BITS;
  if (wanted == 0) return 1;
  uint least = 0;
  for (uint bit = 1u << 30; bit > 0; bit >>= 1)
    if (sum_of_most(shares, tokens, least | bit) >= wanted) least |= bit;
  const ulong above = sum_of_most(shares, tokens, least + 1);
  return count_of_most(shares, tokens, least + 1) + (uint)((wanted - above + least - 1) / least);
}

// One work-item.
kernel void choose_tokens(
    global const uchar *columns_buffer, ulong columns_offset,
    global const uchar *observed_buffer, ulong observed_offset,
    global const uchar *end_buffer, ulong end_offset,
    global uchar *chosen_buffer, ulong chosen_offset, uint count, uint rows, uint heads,
    uint kv_heads, uint stride, uint share)
{
  global const int *end = (global const int *)(end_buffer + end_offset);
  global int *chosen = (global int *)(chosen_buffer + chosen_offset);
  global int *list = chosen + HEAD_NUMBERS;
  global uint *shares = (global uint *)(list + stride), *keys = shares + HEAD_NUMBERS + stride;
  const uint tokens = rows > 0 ? (uint)end[rows - 1] : 0;
  chosen[0] = 0;
  if (tokens == 0) return;
  share_out(
      (global const float *)(columns_buffer + columns_offset),
      (global const int *)(observed_buffer + observed_offset), end, count, heads, kv_heads, stride,
      tokens, shares, keys);
  const uint wanted = tokens_for(shares, tokens, share);
  // The last key that is wanted, or less that parts the same ones from the rest.
  uint least = 0, reached = 0, taken = 0;
  for (uint bit = 1u << 31; bit > 0 && reached != wanted; bit >>= 1) {
    const uint more = count_of_most(keys, tokens, least | bit);
    if (more < wanted) continue;
    least |= bit;
    reached = more;
  }
  uint equal = wanted - count_of_most(keys, tokens, least + 1);
  for (uint t = 0; t < tokens && taken < wanted; t++) {
    const bool same = keys[t] == least && equal > 0;
    if (same) equal--;
    list[taken] = (int)t;
    taken += keys[t] > least || same;
  }
  // The last one in any case.
  if (list[taken - 1] != (int)tokens - 1) list[taken++] = (int)tokens - 1;
  chosen[0] = (int)taken;
}

// One number a row. PLACE 0: the row that comes to lie there, or the first; rows whose own tokens are chosen come in
// front, in order. 1: where what it sees ends among the chosen tokens; 0 for those behind. 2: where each row has come to
// lie; those whose tokens are not chosen share the last place. Global ids: (row).
#ifndef PLACE
#define PLACE 0
#endif

kernel void place_tokens(
    global const uchar *chosen_buffer, ulong chosen_offset,
    global const uchar *end_buffer, ulong end_offset,
    global uchar *output_buffer, ulong output_offset, uint rows)
{
  const int r = (int)get_global_id(0);
  global const int *chosen = (global const int *)(chosen_buffer + chosen_offset);
  global const int *list = chosen + HEAD_NUMBERS;
  const int count = chosen[0], before = ((global const int *)(end_buffer + end_offset))[0] - 1;
  // The first of the list that is not before the rows' tokens, or before this row's.
  int place[2];
  for (int i = 0; i < 2; i++) {
    int low = 0, high = count;
    while (low < high) {
      const int middle = (low + high) / 2;
      if (list[middle] < before + (i == 0 ? 0 : r))
        low = middle + 1;
      else
        high = middle;
    }
    place[i] = low;
  }
  const int own = count - place[0];
  int number;
  if (PLACE == 0)
    number = r < own ? list[place[0] + r] - before : 0;
  else if (PLACE == 1)
    number = r < own ? place[0] + r + 1 : 0;
  else
    number = place[1] < count && list[place[1]] == before + r ? place[1] - place[0] : (int)rows - 1;
  ((global int *)(output_buffer + output_offset))[r] = number;
}
