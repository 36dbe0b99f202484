// What a level provides and `run.c` spreads over threads.
#pragma once

#include "include/CPUKernels.h"

// Computes the items first ..< last of an operation; what an item is, each entry says.
typedef void (*cpu_range)(const void *arguments, size_t first, size_t last);

// Blocks of an item of a gate; of a product with int8 blocks the outputs of an item, and the most rows of a block.
enum { GATED_BLOCKS = 16, OUTPUTS = 32, MOST_ROWS = 256 };

// How many of so many tasks, one behind the other, are a thread's own in `cpu_pool_run`.
size_t cpu_pool_share(const cpu_pool *pool, size_t tasks);

struct cpu_kernels {
  const char *name;
  void (*decode)(cpu_type type, const void *source, size_t count, float *target);
  cpu_range linear;      // outputs
  cpu_range linear_int8; // block of rows * groups of OUTPUTS outputs + group
  cpu_range embed;       // rows
  cpu_range rms_norm;    // rows
  cpu_range rope;        // rows
  cpu_range rotate;      // rows
  cpu_range add;         // elements
  cpu_range gated_silu;  // elements
  cpu_range gated_gelu;  // elements
  cpu_range quantize;    // rows
  cpu_range norm_quantize; // rows
  cpu_range quantize_silu; // row * groups of GATED_BLOCKS blocks + group
  cpu_range quantize_gelu; // the same
  cpu_range write_kv;    // rows
  cpu_range copy_kv;     // rows
  cpu_range attend;      // (row tile * spans + span) * kv heads + kv head
  cpu_range merge_parts; // row * heads + head
  cpu_range bound_pages; // rows
  cpu_range score_pages; // row * lots of 16 pages + lot
  cpu_range choose_pages; // row * kv heads + kv head
  cpu_range weigh_rows;  // tile of observed rows * kv heads + kv head
  cpu_range sum_columns; // kv head * windows + window
  cpu_range choose_tokens; // one
  cpu_range place_tokens;  // one
  cpu_range gather_tokens; // page * kv heads + kv head
  cpu_range probe_read;  // chunks
  cpu_range probe_float; // chunks
  cpu_range probe_int8;  // chunks
  size_t probe_operations; // of a round of probe_float; probe_int8 has four times as many
};

// Intel's cores wait for few lines at a time in their first cache: lines far ahead are asked for into the second one,
// and one row's weights are read from several places at once. A Zen 5 reads 10 to 55 % more bytes from a single place,
// and attention's 4 % faster where all lines are asked for into the first cache.
extern bool cpu_is_intel;

extern const cpu_kernels cpu_kernels_portable;
extern const cpu_kernels cpu_kernels_avx2;
extern const cpu_kernels cpu_kernels_avx512;
