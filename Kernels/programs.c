// Embeds every .cl file; a new kernel adds one text and one row here. An edit of a .cl rebuilds this
// file, as #embed lists it as a dependency.
#include "Kernels.h"

static const char prelude[] = {
#embed "common/prelude.cl" suffix(, 0)
};
static const char arithmetic[] = {
#embed "common/arithmetic.cl" suffix(, 0)
};
static const char code_products[] = {
#embed "common/code_products.cl" suffix(, 0)
};
static const char tile_dot[] = {
#embed "common/tile_dot.cl" suffix(, 0)
};
static const char many_rows[] = {
#embed "common/many_rows.cl" suffix(, 0)
};
static const char whole_numbers[] = {
#embed "common/whole_numbers.cl" suffix(, 0)
};
static const char kv_numbers[] = {
#embed "common/kv_numbers.cl" suffix(, 0)
};
static const char attention[] = {
#embed "common/attention.cl" suffix(, 0)
};
static const char attention_codes[] = {
#embed "common/attention_codes.cl" suffix(, 0)
};
static const char page_writes[] = {
#embed "common/page_writes.cl" suffix(, 0)
};
static const char rotation[] = {
#embed "common/rotation.cl" suffix(, 0)
};
static const char attend[] = {
#embed "attention/attend.cl" suffix(, 0)
};
static const char attend_rows[] = {
#embed "attention/attend_rows.cl" suffix(, 0)
};
static const char attend_tiles[] = {
#embed "attention/attend_tiles.cl" suffix(, 0)
};
static const char bound_pages[] = {
#embed "attention/bound_pages.cl" suffix(, 0)
};
static const char choose_pages[] = {
#embed "attention/choose_pages.cl" suffix(, 0)
};
static const char copy_kv[] = {
#embed "attention/copy_kv.cl" suffix(, 0)
};
static const char write_kv[] = {
#embed "attention/write_kv.cl" suffix(, 0)
};
static const char linear_int8[] = {
#embed "gemm/linear_int8.cl" suffix(, 0)
};
static const char linear_lanes[] = {
#embed "gemm/linear_lanes.cl" suffix(, 0)
};
static const char linear_tiles[] = {
#embed "gemm/linear_tiles.cl" suffix(, 0)
};
static const char linear_float[] = {
#embed "gemm/linear_float.cl" suffix(, 0)
};
static const char add[] = {
#embed "pointwise/add.cl" suffix(, 0)
};
static const char gated[] = {
#embed "pointwise/gated.cl" suffix(, 0)
};
static const char rms_norm[] = {
#embed "pointwise/rms_norm.cl" suffix(, 0)
};
static const char rope[] = {
#embed "pointwise/rope.cl" suffix(, 0)
};
static const char rotate_heads[] = {
#embed "pointwise/rotate_heads.cl" suffix(, 0)
};
static const char select_rows[] = {
#embed "pointwise/select_rows.cl" suffix(, 0)
};
static const char roofline[] = {
#embed "probe/roofline.cl" suffix(, 0)
};
static const char step[] = {
#embed "step/step.cl" suffix(, 0)
};
static const char embed_rows[] = {
#embed "quant/embed_rows.cl" suffix(, 0)
};
static const char embed_tiles[] = {
#embed "quant/embed_tiles.cl" suffix(, 0)
};
static const char int8_blocks[] = {
#embed "common/int8_blocks.cl" suffix(, 0)
};
static const char gated_quantize[] = {
#embed "quant/gated_quantize.cl" suffix(, 0)
};
static const char normed_row[] = {
#embed "common/normed_row.cl" suffix(, 0)
};
static const char attention_inputs[] = {
#embed "fused/attention_inputs.cl" suffix(, 0)
};
static const char gated_unit[] = {
#embed "fused/gated_unit.cl" suffix(, 0)
};
static const char norm_quantize[] = {
#embed "quant/norm_quantize.cl" suffix(, 0)
};
static const char quantize[] = {
#embed "quant/quantize.cl" suffix(, 0)
};

static const char sum_columns[] = {
#embed "attention/sum_columns.cl" suffix(, 0)
};

static const char choose_tokens[] = {
#embed "attention/choose_tokens.cl" suffix(, 0)
};

static const char gather_tokens[] = {
#embed "attention/gather_tokens.cl" suffix(, 0)
};

#define PROGRAM(family, name) {#family "/" #name, name, sizeof name - 1}

static const kernel_program programs[] = {
    PROGRAM(common, prelude),
    PROGRAM(common, arithmetic),
    PROGRAM(common, int8_blocks),
    PROGRAM(common, normed_row),
    PROGRAM(quant, gated_quantize),
    PROGRAM(fused, attention_inputs),
    PROGRAM(fused, gated_unit),
    PROGRAM(common, code_products),
    PROGRAM(common, tile_dot),
    PROGRAM(common, many_rows),
    PROGRAM(common, whole_numbers),
    PROGRAM(common, kv_numbers),
    PROGRAM(common, attention),
    PROGRAM(common, attention_codes),
    PROGRAM(common, page_writes),
    PROGRAM(common, rotation),
    PROGRAM(attention, attend),
    PROGRAM(attention, attend_rows),
    PROGRAM(attention, attend_tiles),
    PROGRAM(attention, bound_pages),
    PROGRAM(attention, choose_pages),
    PROGRAM(attention, choose_tokens),
    PROGRAM(attention, gather_tokens),
    PROGRAM(attention, sum_columns),
    PROGRAM(attention, copy_kv),
    PROGRAM(attention, write_kv),
    PROGRAM(gemm, linear_int8),
    PROGRAM(gemm, linear_lanes),
    PROGRAM(gemm, linear_tiles),
    PROGRAM(gemm, linear_float),
    PROGRAM(pointwise, add),
    PROGRAM(pointwise, gated),
    PROGRAM(pointwise, rms_norm),
    PROGRAM(pointwise, rope),
    PROGRAM(pointwise, rotate_heads),
    PROGRAM(pointwise, select_rows),
    PROGRAM(probe, roofline),
    PROGRAM(quant, embed_rows),
    PROGRAM(quant, embed_tiles),
    PROGRAM(quant, norm_quantize),
    PROGRAM(quant, quantize),
    PROGRAM(step, step),
};

const kernel_program *kernel_programs(size_t *count) {
  *count = sizeof programs / sizeof *programs;
  return programs;
}
