// Kernels of the CPU backend: one source, compiled for several instruction sets, picked at run
// time. Nothing here allocates but the pool, and nothing here fails: arguments are checked by the
// caller.
//
// All but `cpu_linear` give the bits of the reference backend, on every instruction set and with
// any number of threads.
#pragma once

#include <WeightTiles.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// ---------------------------------------------------------------------------------- instruction sets

typedef enum {
  CPU_LEVEL_PORTABLE, // vectors that any CPU has; NEON on arm64
  CPU_LEVEL_AVX2,     // AVX2, FMA and F16C
  CPU_LEVEL_AVX512,   // AVX-512 F, BW, VL, DQ and VNNI
} cpu_level;

enum { CPU_LEVELS = CPU_LEVEL_AVX512 + 1 };

// The kernels of one instruction set.
typedef struct cpu_kernels cpu_kernels;

// The kernels of a level, or NULL where this CPU or its operating system does not support it.
const cpu_kernels *cpu_kernels_level(cpu_level level);

// The highest level that this CPU has.
const cpu_kernels *cpu_kernels_best(void);

// Sets whether kernels suit Intel's cores, which changes what they ask memory for and in which order, not what they
// compute; returns whether they did. From the start they suit the processor.
bool cpu_suit_intel(bool does);

// "portable", "avx2", "avx512-vnni".
const char *cpu_kernels_name(const cpu_kernels *kernels);

// The brand that the CPU reports, or the architecture's name.
const char *cpu_brand(void);

// ---------------------------------------------------------------------------------- threads

// Threads that share the tasks of one call at a time. One thread owns the pool and calls it.
typedef struct cpu_pool cpu_pool;

// CPUs that this process may run on.
int cpu_online(void);

// A pool of `threads` threads, the caller's among them. It gets fewer where the system refuses
// more, and is NULL where there is no memory. The caller's thread needs 256 KiB of stack for the
// operations below, as each of the pool's has.
cpu_pool *cpu_pool_create(int threads);

// Ends the threads and frees the pool; NULL is ignored.
void cpu_pool_destroy(cpu_pool *pool);

// Threads of the pool, the caller's among them; 1 for NULL.
int cpu_pool_threads(const cpu_pool *pool);

// Runs `task(context, i)` once for each i below `tasks`, and returns when all have ended. Each thread
// has a share of neighbouring indices, and takes others' as it becomes free, always the first that is left;
// threads that sleep are woken only where `wakes` says that it pays. NULL runs all tasks on the caller's
// thread.
void cpu_pool_run(cpu_pool *pool, size_t tasks, bool wakes, void (*task)(void *context, size_t i),
                  void *context);

// ---------------------------------------------------------------------------------- operations

// How the elements of a weight are stored, by their GGUF ids.
typedef enum {
  CPU_F32 = 0,
  CPU_F16 = 1,
  CPU_BF16 = 30,
  CPU_Q4_0 = WEIGHT_Q4_0,
  CPU_Q4_1 = WEIGHT_Q4_1,
  CPU_Q5_0 = WEIGHT_Q5_0,
  CPU_Q5_1 = WEIGHT_Q5_1,
  CPU_Q8_0 = WEIGHT_Q8_0,
  CPU_Q2_K = WEIGHT_Q2_K,
  CPU_Q3_K = WEIGHT_Q3_K,
  CPU_Q4_K = WEIGHT_Q4_K,
  CPU_Q5_K = WEIGHT_Q5_K,
  CPU_Q6_K = WEIGHT_Q6_K,
  CPU_IQ4_NL = WEIGHT_IQ4_NL,
  CPU_IQ4_XS = WEIGHT_IQ4_XS,
  CPU_MXFP4 = WEIGHT_MXFP4,
} cpu_type;

// Decodes `count` elements of a float type.
void cpu_decode(const cpu_kernels *kernels, cpu_type type, const void *source, size_t count,
                float *target);

// output[r][o] = bias[o] + sum over k of input[r][k] * weights[o][k]
typedef struct {
  cpu_type type;
  const void *weights; // rows of floats as in a file, or the tiles of WeightTiles.h
  size_t outputs;
  size_t width;
  const float *bias; // or NULL
  const void *input; // f32 rows, or rows of int8 blocks
  size_t rows;
  const float *addend; // rows as the output's, or NULL; int8 blocks only
  float *output;
  size_t block_rows; // rows that are worked on together; set by `cpu_linear_int8`
} cpu_linear_arguments;

// The input is f32.
void cpu_linear(const cpu_kernels *kernels, cpu_pool *pool, const cpu_linear_arguments *arguments);

// The input is int8 blocks and the weights are quantised. Products of a block are summed as integers,
// without rounding; the sum starts with the bias and takes the blocks in order. The addend comes on top at the end.
void cpu_linear_int8(const cpu_kernels *kernels, cpu_pool *pool,
                     const cpu_linear_arguments *arguments);

// output[r] = table[tokens[r]] * scale; rows of a token outside the table are zeros.
typedef struct {
  cpu_type type;
  const void *table; // as in a file, or tiles
  bool tiled;
  size_t row_bytes; // as in a file
  size_t table_rows;
  size_t width;
  const int32_t *tokens;
  size_t rows;
  float scale;
  float *output;
} cpu_embed_arguments;

void cpu_embed(const cpu_kernels *kernels, cpu_pool *pool, const cpu_embed_arguments *arguments);

// output = input / sqrt(mean(input^2) + epsilon) * weight, row by row; floats in place if they are equal.
typedef struct {
  const float *input;
  const float *weight;
  float epsilon;
  size_t rows;
  size_t width;
  void *output; // f32 rows, or of cpu_norm_quantize rows of int8 blocks
} cpu_rms_norm_arguments;

void cpu_rms_norm(const cpu_kernels *kernels, cpu_pool *pool,
                  const cpu_rms_norm_arguments *arguments);

// Turns pairs of each head by position * frequency; sine and cosine are multiplied by `magnitude`.
typedef struct {
  const float *input;
  const int32_t *positions;
  const float *frequencies;
  size_t rows;
  size_t heads;
  size_t head_width;
  size_t dimensions;
  bool adjacent; // pairs (2i, 2i + 1), or else (i, i + dimensions / 2)
  float magnitude;
  float *output;
} cpu_rope_arguments;

void cpu_rope(const cpu_kernels *kernels, cpu_pool *pool, const cpu_rope_arguments *arguments);

// Blocks of rows, a power of two wide, times a Hadamard matrix: (a, b) to (a + b, a - b) for elements 1, 2, 4 ...
// apart, then times `factor`; in place if input and output are equal.
typedef struct {
  const float *input;
  size_t rows;
  size_t width;
  size_t block_width;
  float factor;
  float *output;
} cpu_rotate_arguments;

void cpu_rotate(const cpu_kernels *kernels, cpu_pool *pool, const cpu_rotate_arguments *arguments);

// Element by element over `count` floats; output may be one of the inputs.
typedef struct {
  const float *a;
  const float *b;
  size_t count;
  float *output;
} cpu_pair_arguments;

// output = a + b
void cpu_add(const cpu_kernels *kernels, cpu_pool *pool, const cpu_pair_arguments *arguments);

// output = a / (1 + exp(-a)) * b
void cpu_gated_silu(const cpu_kernels *kernels, cpu_pool *pool,
                    const cpu_pair_arguments *arguments);

// output = a / (1 + exp(-z)) * b, where z = 2 sqrt(2 / pi) (a + 0.044715 a^3)
void cpu_gated_gelu(const cpu_kernels *kernels, cpu_pool *pool,
                    const cpu_pair_arguments *arguments);

// output[r] = input[indices[r]]; rows of an index outside the input are zeros.
typedef struct {
  const float *input;
  size_t input_rows;
  const int32_t *indices;
  size_t rows;
  size_t width;
  float *output;
} cpu_select_arguments;

void cpu_select_rows(const cpu_kernels *kernels, cpu_pool *pool,
                     const cpu_select_arguments *arguments);

// Rows of f32 to rows of int8 blocks: q[width] | scales[width / 32] | sums[width / 32], where
// scale = max|x| * (1 / 127), q = x * (127 * 1 / max|x|) to nearest even, sum = scale * sum of q. A
// block whose max|x| is outside 1e-30 ... 1e30 is zeros; what is not a number counts as 0.
typedef struct {
  const float *input;
  size_t rows;
  size_t width;
  void *output;
} cpu_quantize_arguments;

void cpu_quantize(const cpu_kernels *kernels, cpu_pool *pool,
                  const cpu_quantize_arguments *arguments);

// The same of what cpu_rms_norm makes of a row.
void cpu_norm_quantize(const cpu_kernels *kernels, cpu_pool *pool,
                       const cpu_rms_norm_arguments *arguments);

// The same of activation(a) * b.
typedef struct {
  const float *a;
  const float *b;
  size_t rows;
  size_t width;
  void *output;
} cpu_gated_quantize_arguments;

void cpu_quantize_silu(const cpu_kernels *kernels, cpu_pool *pool,
                       const cpu_gated_quantize_arguments *arguments);
void cpu_quantize_gelu(const cpu_kernels *kernels, cpu_pool *pool,
                       const cpu_gated_quantize_arguments *arguments);

// Pages of 16 tokens:
//
//   pool      kv head 0          kv head 1 ...
//   kv head   page 0 | page 1 | ...
//   page      keys [head_width][16] | values [16][head_width]
//
// Codes of 8 or 4 bits share a scale, an f16, in blocks of 32 numbers of a token; a number is code * scale, and
// heads are whole blocks:
//
//   keys      scales [head_width / 32][16] | codes [head_width][16], of 4 bits [head_width / 2][16]
//   values    scales [16][head_width / 32] | codes [16][head_width], of 4 bits [16][head_width / 2], of 2 bits
//             [16][head_width / 4]
//
// Codes of 4 bits have 8 added, those of 2 bits are -3, -1, 1, 3 as 0 … 3. Of a key the elements 2 i and 2 i + 1 share a
// byte; of a block of a value the elements i and i + 16, of 2 bits i, i + 8, i + 16 and i + 24; the first is in the
// lowest bits. With K4V2 keys have 4 bits and values 2.
//
// With K2V2 both have 2 bits, 0 … 3, and a number is base + step * code, with both in a byte each: of each element of
// the keys of a page, and of each block of a value.
//
//   keys      pairs [head_width] | codes [head_width / 4][16], neighbours in a byte
//   values    pairs [16][head_width / 32] | codes as K4V2
//
// With I16 a token's key shares a scale, an f32, and its value another; codes are int16_t, and what is summed together
// lies in one word: two elements of a key, and an element of the values of two tokens. Heads are a multiple of 32 wide.
//
//   keys      scales [16] | codes [head_width / 2][16][2]
//   values    scales [16] | codes [8][head_width][2]
typedef enum {
  CPU_KV_F32,
  CPU_KV_F16,
  CPU_KV_BF16,
  CPU_KV_I16,
  CPU_KV_Q8,
  CPU_KV_Q4,
  CPU_KV_K4V2,
  CPU_KV_K2V2, // only by cpu_copy_kv, from halves
} cpu_kv_type;

typedef struct {
  void *pages;
  size_t page_count;
  cpu_kv_type type;
  size_t heads;
  size_t head_width;
} cpu_kv_pool;

// The widest head that `cpu_attend` takes.
enum { CPU_MAX_HEAD_WIDTH = 512 };

// Row r of k and v goes to token slots[r] of the pool; a negative slot is skipped.
typedef struct {
  const float *k;
  const float *v;
  const int32_t *slots;
  size_t rows;
  cpu_kv_pool pool;
} cpu_write_kv_arguments;

void cpu_write_kv(const cpu_kernels *kernels, cpu_pool *pool,
                  const cpu_write_kv_arguments *arguments);

// Token sources[r] of a pool of floats goes to token slots[r] of another pool of as many heads as wide; a negative
// one is skipped. Rows of one page follow one another: with K2V2 the last of them makes its keys for all, from a page
// where they have the same places.
typedef struct {
  const int32_t *sources;
  const int32_t *slots;
  size_t rows;
  cpu_kv_pool from;
  cpu_kv_pool to;
} cpu_copy_kv_arguments;

void cpu_copy_kv(const cpu_kernels *kernels, cpu_pool *pool, const cpu_copy_kv_arguments *arguments);

// Bounds of pages: for each page and kv head the least of each element of its keys, then the largest;
// head_width numbers up to the next multiple of 16, and zeros up to there. They are f32 where keys are, else f16.
//
// Bounds of the pages whose last token is a row's slot.
typedef struct {
  const int32_t *slots;
  size_t rows;
  cpu_kv_pool pool;
  void *bounds;
} cpu_bound_pages_arguments;

void cpu_bound_pages(const cpu_kernels *kernels, cpu_pool *pool,
                     const cpu_bound_pages_arguments *arguments);

// scores[row][kv head][page]: the most that a product of one of the head's queries with a key of the page
// may be. Of a row that sees n pages, and those are more than `count`, the first n - 1 are scored; behind
// them is minus infinity up to a multiple of 16.
typedef struct {
  const float *q;
  cpu_kv_pool pool; // of its pages nothing is read
  const void *bounds;
  const int32_t *end;
  const int32_t *table;
  const int32_t *tables;
  size_t rows;
  size_t heads;
  float scale;
  size_t count;
  size_t stride; // scores of a kv head, a multiple of 16
  float *scores;
} cpu_score_pages_arguments;

void cpu_score_pages(const cpu_kernels *kernels, cpu_pool *pool,
                     const cpu_score_pages_arguments *arguments);

// chosen[row][kv head]: `count` pages or, where a row sees fewer, all. The first page that it sees, the last two or
// all of its window of `window` pages where that is more, and the others by their scores; in order of tokens.
// `count` has room for the first ones.
typedef struct {
  const float *scores;
  const int32_t *end;
  const int32_t *table;
  const int32_t *tables;
  size_t rows;
  size_t heads; // kv heads
  size_t count;
  size_t window;
  size_t stride;
  int32_t *chosen;
} cpu_choose_pages_arguments;

void cpu_choose_pages(const cpu_kernels *kernels, cpu_pool *pool,
                      const cpu_choose_pages_arguments *arguments);

// Row r sees the tokens begin[r] ..< end[r]; token t lies in page tables[table[r] + t / 16], or for kv
// head h in tables[table[r] + h * head_stride + t / 16]. What
// lies outside is read, but takes no part, whatever it holds. A row that sees nothing yields zeros.
//
// What `leaves` is true for leaves for each row and head head_width sums, which are not divided, a peak and a total;
// what has that as `before` merges its own behind it.
typedef struct {
  const float *q;
  cpu_kv_pool pool;
  const int32_t *begin;
  const int32_t *end;
  const int32_t *table;
  const int32_t *tables;
  size_t head_stride;
  size_t rows;
  size_t heads;
  float scale;
  const float *before; // or NULL
  bool leaves;
  float *output;
  // Room for `parts_rows` rows x heads x `spans` x (head_width + 2) floats, so that threads may share
  // the tokens of a few rows; `spans` covers what any row sees. Or NULL.
  float *parts;
  size_t parts_rows;
  size_t spans;
  size_t tile_rows; // set by `cpu_attend`
} cpu_attend_arguments;

// Tokens that are summed on their own; the sums are merged in order.
enum { CPU_SPAN = 512 };

void cpu_attend(const cpu_kernels *kernels, cpu_pool *pool, const cpu_attend_arguments *arguments);

// Observed rows of an attention: of place i in the list row observed[i], or none where that is negative.
//
// `cpu_weigh_rows` writes the peak of each row's and head's scores and 1 / the total of its softmax to
// weights[count][heads][2]. `cpu_sum_columns` reads them and writes columns[kv head][token]: the sum of
// exp(score - peak) / total over the observed rows in the order of the list and over the kv head's query
// heads in theirs.
typedef struct {
  cpu_attend_arguments rows; // all but output, parts and head_stride
  const int32_t *observed;
  size_t count;
  float *weights;
  float *columns;
  size_t tokens;    // a multiple of 16
  size_t tile_rows; // set by `cpu_weigh_rows`
} cpu_observe_arguments;

void cpu_weigh_rows(const cpu_kernels *kernels, cpu_pool *pool,
                    const cpu_observe_arguments *arguments);
void cpu_sum_columns(const cpu_kernels *kernels, cpu_pool *pool,
                     const cpu_observe_arguments *arguments);

// Which tokens rows attend to, by what observed rows attend to each: columns[kv head][tokens]. Row r sees the
// tokens before end[r]; the last sees most. `chosen` has three rows of 16 + tokens numbers: the count of chosen tokens
// and, 16 numbers on, these in order; a token's share of all in parts of 2^30; and that divided by the part of the
// observed rows that see it. Shares are the largest that have `share` parts of 2^20 together, the tokens those with the
// largest of the third row.
typedef struct {
  const float *columns;
  const int32_t *observed; // rows, or negative for none
  const int32_t *end;
  size_t rows;
  size_t count;    // of observed
  size_t heads;    // query heads
  size_t kv_heads;
  size_t tokens;   // a multiple of 16
  uint32_t share;
  int32_t *chosen;
} cpu_choose_tokens_arguments;

void cpu_choose_tokens(const cpu_kernels *kernels, cpu_pool *pool,
                       const cpu_choose_tokens_arguments *arguments);

// Where rows lie that attend to chosen tokens: those whose own are chosen in front. Writes one number a row: the row
// that lies there (or 0), where what it sees ends among chosen tokens (or 0), or where each row has come to lie (or in
// the last place).
typedef enum { CPU_PLACE_SOURCE, CPU_PLACE_END, CPU_PLACE_TARGET } cpu_token_place;

typedef struct {
  const int32_t *chosen;
  const int32_t *end;
  size_t rows;
  cpu_token_place place;
  int32_t *output;
} cpu_place_tokens_arguments;

void cpu_place_tokens(const cpu_kernels *kernels, cpu_pool *pool,
                      const cpu_place_tokens_arguments *arguments);

// Keys and values of chosen tokens of the sequence whose pages are tables[table[0]] ... to the beginning of `target`, a
// pool of as many pages.
typedef struct {
  const int32_t *chosen;
  cpu_kv_pool pool;
  const int32_t *table;
  const int32_t *tables;
  void *target;
} cpu_gather_tokens_arguments;

void cpu_gather_tokens(const cpu_kernels *kernels, cpu_pool *pool,
                       const cpu_gather_tokens_arguments *arguments);

// ---------------------------------------------------------------------------------- limits

// What a probe measures.
typedef enum { CPU_PROBE_READ, CPU_PROBE_FLOAT, CPU_PROBE_INT8 } cpu_probe_kind;

// Memory of `chunks * chunk_bytes` bytes; a chunk is a task. Arithmetic goes `rounds` times over the
// beginning of the memory, which has 4 KiB at least, for each chunk.
typedef struct {
  const void *bytes;
  size_t chunk_bytes; // a multiple of 1024
  size_t chunks;
  size_t rounds;
  uint32_t *results; // one of each chunk
} cpu_probe_arguments;

// Reads or computes as fast as the level can.
void cpu_probe(const cpu_kernels *kernels, cpu_pool *pool, cpu_probe_kind kind,
               const cpu_probe_arguments *arguments);

// Bytes that a probe reads, or multiplications and additions that it does.
size_t cpu_probe_work(const cpu_kernels *kernels, cpu_probe_kind kind,
                      const cpu_probe_arguments *arguments);
