// Which tokens the rows of a prompt attend to, where these rows lie meanwhile, and the tokens' keys and values
// side by side.

// All that observed rows attend to, in what shares are counted in, and what `share` is a part of.
#define SHARE_UNIT 1073741824.0f
enum { TOKEN_HEAD = 16, SHARE_BITS = 20 };

// The sum, or the count, of the numbers that are at least `least`; there are whole vectors of them.
INLINE uint64_t sum_of_most(const uint32_t *numbers, size_t count, uint32_t least) {
  uint64_t sum = 0;
  for (size_t i = 0; i < count; i++) sum += numbers[i] >= least ? numbers[i] : 0;
  return sum;
}

INLINE size_t count_of_most(const uint32_t *numbers, size_t count, uint32_t least) {
  uint32_t found = 0;
  for (size_t i = 0; i < count; i++) found += numbers[i] >= least;
  return found;
}

// Each token's share, and that divided by the part of the observed rows that see the token.
INLINE void share_out(const cpu_choose_tokens_arguments *a, size_t tokens, uint32_t *shares,
                      uint32_t *keys) {
  size_t observed = 0;
  int32_t all_see = INT32_MAX; // the tokens before this one
  for (size_t i = 0; i < a->count; i++) {
    if (a->observed[i] < 0) continue;
    observed++;
    int32_t end = a->end[a->observed[i]];
    all_see = end < all_see ? end : all_see;
  }
  size_t masses = observed * a->heads;
  float inverse = reciprocal(splat((float)(masses > 0 ? masses : 1)))[0] * SHARE_UNIT;
  for (size_t t = 0; t < tokens; t++) {
    float mass = a->columns[t];
    for (size_t h = 1; h < a->kv_heads; h++) mass += a->columns[h * a->tokens + t];
    float share = mass * inverse;
    // What is no number counts as nothing.
    shares[t] = share > 0.0f ? (uint32_t)(share < SHARE_UNIT ? share : SHARE_UNIT) : 0;
    keys[t] = observed > 0 ? shares[t] : 0;
  }
  for (size_t t = (size_t)all_see; observed > 0 && t < tokens; t++) {
    size_t seeing = 0;
    for (size_t i = 0; i < a->count; i++)
      seeing += a->observed[i] >= 0 && a->end[a->observed[i]] > (int32_t)t;
    uint64_t key = seeing > 0 ? (uint64_t)shares[t] * observed / seeing : 0;
    keys[t] = key < UINT32_MAX - 1 ? (uint32_t)key : UINT32_MAX - 1;
  }
  for (size_t t = tokens; t % 16 != 0; t++) shares[t] = keys[t] = 0;
}

// As few tokens as have the wanted share together, and one at least. The least share of theirs is found bit by
// bit from the highest.
INLINE size_t tokens_for(uint32_t share, const uint32_t *shares, size_t tokens, size_t whole) {
  if (share >> SHARE_BITS) return tokens;
  uint64_t total = sum_of_most(shares, whole, 0);
  uint64_t wanted = (total * share + (1u << SHARE_BITS) - 1) >> SHARE_BITS;
  if (wanted == 0) return 1;
  uint32_t least = 0;
  for (uint32_t bit = 1u << 30; bit > 0; bit >>= 1)
    if (sum_of_most(shares, whole, least | bit) >= wanted) least |= bit;
  uint64_t above = sum_of_most(shares, whole, least + 1);
  return count_of_most(shares, whole, least + 1) + (size_t)((wanted - above + least - 1) / least);
}

static void choose_tokens(const void *arguments, size_t first, size_t last) {
  const cpu_choose_tokens_arguments *a = arguments;
  if (first >= last) return;
  size_t tokens = a->rows > 0 ? (size_t)a->end[a->rows - 1] : 0, whole = (tokens + 15) / 16 * 16;
  int32_t *list = a->chosen + TOKEN_HEAD;
  uint32_t *shares = (uint32_t *)list + a->tokens, *keys = shares + TOKEN_HEAD + a->tokens;
  a->chosen[0] = 0;
  if (tokens == 0) return;
  share_out(a, tokens, shares, keys);
  size_t wanted = tokens_for(a->share, shares, tokens, whole), reached = 0, taken = 0;
  // The last key that is wanted, or less that parts the same ones from the rest.
  uint32_t least = 0;
  for (uint32_t bit = 1u << 31; bit > 0 && reached != wanted; bit >>= 1) {
    size_t more = count_of_most(keys, whole, least | bit);
    if (more < wanted) continue;
    least |= bit;
    reached = more;
  }
  size_t equal = wanted - count_of_most(keys, whole, least + 1);
  for (size_t t = 0; t < tokens && taken < wanted; t++) {
    bool same = keys[t] == least && equal > 0;
    if (same) equal--;
    list[taken] = (int32_t)t;
    taken += keys[t] > least || same;
  }
  // The last one in any case.
  if (list[taken - 1] != (int32_t)tokens - 1) list[taken++] = (int32_t)tokens - 1;
  a->chosen[0] = (int32_t)taken;
}

static void place_tokens(const void *arguments, size_t first, size_t last) {
  const cpu_place_tokens_arguments *a = arguments;
  if (first >= last || a->rows == 0) return;
  int32_t count = a->chosen[0], before = a->end[0] - 1, rows = (int32_t)a->rows, place = 0;
  const int32_t *list = a->chosen + TOKEN_HEAD;
  while (place < count && list[count - 1 - place] >= before) place++;
  const int32_t *own = list + count - place;
  for (int32_t r = 0; r < rows; r++)
    a->output[r] = a->place == CPU_PLACE_SOURCE ? (r < place ? own[r] - before : 0)
                   : a->place == CPU_PLACE_END  ? (r < place ? count - place + r + 1 : 0)
                                                : rows - 1;
  if (a->place == CPU_PLACE_TARGET)
    for (int32_t i = 0; i < place; i++) a->output[own[i] - before] = i;
}

// A page of a kv head: elements of `size` bytes, a constant.
INLINE void gather_page(size_t size, const cpu_gather_tokens_arguments *a, size_t page,
                        size_t kv_head) {
  const cpu_kv_pool *pool = &a->pool;
  size_t width = pool->head_width, block = head_bytes(pool);
  size_t count = (size_t)a->chosen[0] - page * PAGE;
  if (count > PAGE) count = PAGE;
  const int32_t *list = a->chosen + TOKEN_HEAD + page * PAGE, *table = a->tables + a->table[0];
  const uint8_t *base = (const uint8_t *)pool->pages + kv_head * pool->page_count * block;
  uint8_t *keys = (uint8_t *)a->target + (kv_head * pool->page_count + page) * block;
  for (size_t i = 0; i < count; i++) {
    const uint8_t *source = base + (size_t)table[list[i] / PAGE] * block;
    size_t lane = (size_t)list[i] % PAGE;
    // One token after the other: both strides are constants, and a page fits the nearest cache.
    for (size_t d = 0; d < width; d++)
      __builtin_memcpy(keys + (d * PAGE + i) * size, source + (d * PAGE + lane) * size, size);
    __builtin_memcpy(keys + block / 2 + i * width * size, source + block / 2 + lane * width * size,
                     width * size);
  }
}

static void gather_tokens(const void *arguments, size_t first, size_t last) {
  const cpu_gather_tokens_arguments *a = arguments;
  for (size_t item = first; item < last; item++)
    if (a->pool.type == CPU_KV_F32)
      gather_page(4, a, item / a->pool.heads, item % a->pool.heads);
    else
      gather_page(2, a, item / a->pool.heads, item % a->pool.heads);
}
