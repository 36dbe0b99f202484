// Spreads an operation over the pool: it cuts the items into tasks that are worth a thread's wake,
// and several per thread, so that a thread whose core was taken away holds up little.
#include "kernels.h"

// In bytes moved or operations, whichever the caller counts: a task costs at least some three microseconds and, unless
// the least that can be cut off does, at most some 50, for which others wait at the end; threads that sleep are woken
// for some hundred.
enum { TASK_WORK = 1 << 16, MOST_WORK = 1 << 20, WAKE_WORK = 1 << 21, TASKS_PER_THREAD = 8 };

typedef struct {
  cpu_range range;
  const void *arguments;
  size_t items;
  size_t items_per_task;
  size_t reversed; // tasks of a share, which are run from its last one on; or 0
} job;

static void run_task(void *context, size_t task) {
  const job *j = context;
  if (j->reversed) {
    size_t tasks = (j->items + j->items_per_task - 1) / j->items_per_task;
    size_t begin = task / j->reversed * j->reversed, end = begin + j->reversed;
    task = begin + (end < tasks ? end : tasks) - 1 - task;
  }
  size_t first = task * j->items_per_task;
  size_t last = j->items - first < j->items_per_task ? j->items : first + j->items_per_task;
  j->range(j->arguments, first, last);
}

// `grain`: tasks begin at multiples of it. `work`: what one item costs. Where later items cost more, shares run
// `backward`: what is short fills the gaps at the end.
static void spread_in_order(cpu_pool *pool, cpu_range range, const void *arguments, size_t items,
                            size_t grain, size_t work, bool backward) {
  if (items == 0) return;
  size_t threads = (size_t)cpu_pool_threads(pool);
  size_t share = (items + threads * TASKS_PER_THREAD - 1) / (threads * TASKS_PER_THREAD);
  work = work > 0 ? work : 1;
  size_t worth = TASK_WORK / work + 1, most = MOST_WORK / work + 1;
  size_t per_task = share > worth ? share : worth;
  per_task = per_task < most ? per_task : most;
  per_task = (per_task + grain - 1) / grain * grain;
  if (threads == 1 || per_task >= items) {
    range(arguments, 0, items);
    return;
  }
  size_t tasks = (items + per_task - 1) / per_task;
  job j = {range, arguments, items, per_task, backward ? cpu_pool_share(pool, tasks) : 0};
  cpu_pool_run(pool, tasks, items >= WAKE_WORK / work, run_task, &j);
}

static void spread(cpu_pool *pool, cpu_range range, const void *arguments, size_t items,
                   size_t grain, size_t work) {
  spread_in_order(pool, range, arguments, items, grain, work, false);
}

void cpu_decode(const cpu_kernels *kernels, cpu_type type, const void *source, size_t count,
                float *target) {
  kernels->decode(type, source, count, target);
}

// Outputs are cut at multiples of two vectors, so that register tiles are full.
void cpu_linear(const cpu_kernels *kernels, cpu_pool *pool, const cpu_linear_arguments *a) {
  spread(pool, kernels->linear, a, a->outputs, OUTPUTS, a->width * (4 + a->rows / 4));
}

void cpu_linear_int8(const cpu_kernels *kernels, cpu_pool *pool,
                     const cpu_linear_arguments *arguments) {
  // Rows for which it pays to unpack weights once more.
  enum { FEWEST_ROWS = 128 };
  cpu_linear_arguments a = *arguments;
  if (a.rows == 0) return;
  // Each thread has blocks of rows of its own, if there are enough rows: it has them in its caches.
  size_t threads = (size_t)cpu_pool_threads(pool), least = (a.rows + MOST_ROWS - 1) / MOST_ROWS;
  size_t even = (least + threads - 1) / threads * threads, most = a.rows / FEWEST_ROWS;
  size_t wanted = even < most ? even : most, blocks = wanted > least ? wanted : least;
  a.block_rows = (a.rows + blocks - 1) / blocks;
  blocks = (a.rows + a.block_rows - 1) / a.block_rows;
  // For one row as many tiles as may be read side by side.
  spread(pool, kernels->linear_int8, &a, (a.outputs + OUTPUTS - 1) / OUTPUTS * blocks,
         a.rows == 1 ? 2 : 1, OUTPUTS * (a.width + a.width * a.block_rows / 16));
}

void cpu_embed(const cpu_kernels *kernels, cpu_pool *pool, const cpu_embed_arguments *a) {
  spread(pool, kernels->embed, a, a->rows, 1, a->width * 4);
}

void cpu_rms_norm(const cpu_kernels *kernels, cpu_pool *pool, const cpu_rms_norm_arguments *a) {
  spread(pool, kernels->rms_norm, a, a->rows, 1, a->width * 8);
}

void cpu_rope(const cpu_kernels *kernels, cpu_pool *pool, const cpu_rope_arguments *a) {
  spread(pool, kernels->rope, a, a->rows, 1, a->heads * a->head_width * 8);
}

void cpu_rotate(const cpu_kernels *kernels, cpu_pool *pool, const cpu_rotate_arguments *a) {
  spread(pool, kernels->rotate, a, a->rows, 1, a->width * 16);
}

void cpu_add(const cpu_kernels *kernels, cpu_pool *pool, const cpu_pair_arguments *a) {
  spread(pool, kernels->add, a, a->count, 1024, 12);
}

void cpu_gated_silu(const cpu_kernels *kernels, cpu_pool *pool, const cpu_pair_arguments *a) {
  spread(pool, kernels->gated_silu, a, a->count, 1024, 24);
}

void cpu_gated_gelu(const cpu_kernels *kernels, cpu_pool *pool, const cpu_pair_arguments *a) {
  spread(pool, kernels->gated_gelu, a, a->count, 1024, 28);
}

static void select_range(const void *arguments, size_t first, size_t last) {
  const cpu_select_arguments *a = arguments;
  for (size_t r = first; r < last; r++) {
    float *row = a->output + r * a->width;
    int32_t index = a->indices[r];
    if (index < 0 || (size_t)index >= a->input_rows)
      __builtin_memset(row, 0, a->width * sizeof(float));
    else
      __builtin_memcpy(row, a->input + (size_t)index * a->width, a->width * sizeof(float));
  }
}

void cpu_select_rows(const cpu_kernels *kernels, cpu_pool *pool, const cpu_select_arguments *a) {
  (void)kernels; // copying needs no instruction set
  spread(pool, select_range, a, a->rows, 1, a->width * 8);
}

void cpu_quantize(const cpu_kernels *kernels, cpu_pool *pool, const cpu_quantize_arguments *a) {
  spread(pool, kernels->quantize, a, a->rows, 1, a->width * 8);
}

void cpu_norm_quantize(const cpu_kernels *kernels, cpu_pool *pool,
                       const cpu_rms_norm_arguments *a) {
  spread(pool, kernels->norm_quantize, a, a->rows, 1, a->width * 16);
}

static size_t gated_items(const cpu_gated_quantize_arguments *a) {
  return a->rows * ((a->width / 32 + GATED_BLOCKS - 1) / GATED_BLOCKS);
}

void cpu_quantize_silu(const cpu_kernels *kernels, cpu_pool *pool,
                       const cpu_gated_quantize_arguments *a) {
  spread(pool, kernels->quantize_silu, a, gated_items(a), 1, GATED_BLOCKS * 32 * 32);
}

void cpu_quantize_gelu(const cpu_kernels *kernels, cpu_pool *pool,
                       const cpu_gated_quantize_arguments *a) {
  spread(pool, kernels->quantize_gelu, a, gated_items(a), 1, GATED_BLOCKS * 32 * 36);
}

void cpu_write_kv(const cpu_kernels *kernels, cpu_pool *pool, const cpu_write_kv_arguments *a) {
  spread(pool, kernels->write_kv, a, a->rows, 1, a->pool.heads * a->pool.head_width * 32);
}

void cpu_copy_kv(const cpu_kernels *kernels, cpu_pool *pool, const cpu_copy_kv_arguments *a) {
  spread(pool, kernels->copy_kv, a, a->rows, 1, a->to.heads * a->to.head_width * 40);
}

void cpu_bound_pages(const cpu_kernels *kernels, cpu_pool *pool,
                     const cpu_bound_pages_arguments *a) {
  // A page is full once in sixteen rows.
  spread(pool, kernels->bound_pages, a, a->rows, 16, a->pool.heads * a->pool.head_width * 8);
}

void cpu_score_pages(const cpu_kernels *kernels, cpu_pool *pool,
                     const cpu_score_pages_arguments *a) {
  // A lot of 16 pages that a row sees; most do not see all that there are, and end at once.
  spread(pool, kernels->score_pages, a, a->rows * (a->stride / 16), 4,
         a->pool.head_width * (32 * a->pool.heads + 4 * a->heads));
}

void cpu_choose_pages(const cpu_kernels *kernels, cpu_pool *pool,
                      const cpu_choose_pages_arguments *a) {
  spread(pool, kernels->choose_pages, a, a->rows * a->heads, 1, a->stride * 8);
}

void cpu_weigh_rows(const cpu_kernels *kernels, cpu_pool *pool,
                    const cpu_observe_arguments *arguments) {
  cpu_observe_arguments a = *arguments;
  if (a.count == 0) return;
  size_t group = a.rows.heads / a.rows.pool.heads;
  a.tile_rows = group < 12 ? 12 / group : 1;
  spread(pool, kernels->weigh_rows, &a, (a.count + a.tile_rows - 1) / a.tile_rows * a.rows.pool.heads,
         1, a.tokens * a.rows.pool.head_width * (2 + group * a.tile_rows / 4));
}

void cpu_sum_columns(const cpu_kernels *kernels, cpu_pool *pool,
                     const cpu_observe_arguments *a) {
  spread(pool, kernels->sum_columns, a, a->rows.pool.heads * ((a->tokens + 63) / 64), 1,
         a->count * (a->rows.heads / a->rows.pool.heads) * a->rows.pool.head_width * 16);
}

void cpu_choose_tokens(const cpu_kernels *kernels, cpu_pool *pool,
                       const cpu_choose_tokens_arguments *a) {
  (void)pool; // one sum after the other
  kernels->choose_tokens(a, 0, 1);
}

void cpu_place_tokens(const cpu_kernels *kernels, cpu_pool *pool,
                      const cpu_place_tokens_arguments *a) {
  (void)pool;
  kernels->place_tokens(a, 0, 1);
}

void cpu_gather_tokens(const cpu_kernels *kernels, cpu_pool *pool,
                       const cpu_gather_tokens_arguments *a) {
  size_t pages = ((size_t)a->chosen[0] + 15) / 16;
  spread(pool, kernels->gather_tokens, a, pages * a->pool.heads, 1, a->pool.head_width * 16 * 8);
}

void cpu_attend(const cpu_kernels *kernels, cpu_pool *pool, const cpu_attend_arguments *arguments) {
  // Queries of a tile: more share what is read, fewer leave more for other threads.
  enum { TILE_QUERIES = 48, TILE_ROWS = 16 };
  cpu_attend_arguments a = *arguments;
  if (a.rows == 0) return;
  size_t group = a.heads / a.pool.heads, rows = TILE_QUERIES / group;
  a.tile_rows = rows < 1 ? 1 : rows > TILE_ROWS ? TILE_ROWS : rows;
  size_t threads = (size_t)cpu_pool_threads(pool);
  size_t items = (a.rows + a.tile_rows - 1) / a.tile_rows * a.pool.heads;
  int64_t depth = 0, longest = 0;
  for (size_t r = 0; r < a.rows; r++) {
    int64_t seen = (int64_t)a.end[r] - a.begin[r];
    longest = seen > longest ? seen : longest;
    depth = a.end[r] > depth ? a.end[r] : depth;
  }
  size_t spans = ((size_t)depth + CPU_SPAN - 1) / CPU_SPAN;
  // Few items leave threads idle at the end: then spans are items too.
  bool apart = a.parts && threads > 1 && a.rows <= a.parts_rows && spans > 1 && spans <= a.spans &&
               items < threads * 4;
  if (apart) {
    a.spans = spans;
    items *= spans;
    longest = longest < CPU_SPAN ? longest : CPU_SPAN;
  } else {
    a.parts = NULL;
  }
  size_t queries = group * (a.rows < a.tile_rows ? a.rows : a.tile_rows);
  spread_in_order(pool, kernels->attend, &a, items, 1,
                  (size_t)longest * a.pool.head_width * (2 + queries / 4), true);
  if (apart) kernels->merge_parts(&a, 0, a.rows * a.heads);
}
