// All kernels of one level; the level's file has defined its vectors and primitives.
#include "weights.h"

#include "tiles.h"

#pragma clang fp contract(on)

#include "linear_f32.h"

#include "linear_rows.h"

#include "linear_tile.h"

#pragma clang fp contract(off)

#include "linear_int8.h"

#include "pointwise.h"

#include "norm_rope.h"

#include "attention.h"

#include "pages.h"

#include "columns.h"

#include "tokens.h"

#include "probe.h"

#define KERNELS(level)                                                                         \
  {                                                                                            \
    .name = level, .decode = decode, .linear = linear, .linear_int8 = linear_int8,             \
    .embed = embed, .rms_norm = rms_norm, .rope = rope, .rotate = rotate, .add = add,          \
    .gated_silu = gated_silu, .gated_gelu = gated_gelu,                                        \
    .quantize = quantize, .norm_quantize = norm_quantize,                                      \
    .quantize_silu = quantize_silu, .quantize_gelu = quantize_gelu,                            \
    .write_kv = write_kv, .copy_kv = copy_kv,                                                  \
    .attend = attend, .merge_parts = merge_parts,                                              \
    .bound_pages = bound_pages, .score_pages = score_pages, .choose_pages = choose_pages,      \
    .weigh_rows = weigh_rows, .sum_columns = sum_columns,                                      \
    .choose_tokens = choose_tokens, .place_tokens = place_tokens,                              \
    .gather_tokens = gather_tokens,                                                            \
    .probe_read = probe_read, .probe_float = probe_float, .probe_int8 = probe_int8,            \
    .probe_operations = 2 * CHAINS * LANES                                                     \
  }
