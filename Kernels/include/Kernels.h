// The OpenCL C programs, carried inside the binary.
#pragma once

#include <stddef.h>

// One file under Kernels/.
typedef struct {
  const char *name;  // its path without the ending: "pointwise/add"
  const char *text;  // its text, zero-terminated
  size_t length;     // bytes of the text, without the zero
} kernel_program;

// Every program and how many there are. The first two, "common/prelude" and "common/arithmetic", are no programs of their
// own: the host puts them before each of the others. Other texts of "common" go before some.
const kernel_program *kernel_programs(size_t *count);

// What "apus tune" found on known devices: the files of Kernels/tuned, by their names.
const kernel_program *kernel_tunings(size_t *count);
